//go:build linux

package process

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/popservice/popservice/hack/cluster/internal/netns"
)

// Spec says what to start.
type Spec struct {
	Path      string
	Args      []string
	Env       []string
	Log       string     // file that takes both outputs
	Namespace string     // file of the network namespace
	Files     []*os.File // handed over as descriptors 3 and up
}

// Started is a process of Start. Its Done channel closes when it ends, while this program lives.
type Started struct {
	Identity
	Done <-chan struct{}
}

// Start starts a process in a session of its own, so that it outlives this program and its terminal.
func Start(spec Spec) (Started, error) {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return Started{}, fmt.Errorf("opening the log of %s: %w", spec.Path, err)
	}
	defer log.Close()
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Dir = spec.Env, "/"
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, spec.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := netns.Do(spec.Namespace, cmd.Start); err != nil {
		return Started{}, fmt.Errorf("starting %s: %w", spec.Path, err)
	}
	done := make(chan struct{})
	id, err := Identify(cmd.Process.Pid)
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(done)
	}()
	if err != nil {
		return Started{}, fmt.Errorf("%s ended at once: %w", spec.Path, err)
	}
	return Started{Identity: id, Done: done}, nil
}
