//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/popservice/popservice/hack/cluster/internal/binaries"
	"github.com/popservice/popservice/hack/cluster/internal/filelock"
	"github.com/popservice/popservice/hack/cluster/internal/process"
	"github.com/popservice/popservice/hack/cluster/internal/progress"
	"github.com/popservice/popservice/hack/cluster/internal/tail"
)

const startLimit = 3 * time.Minute

// Up makes the cluster run. One that runs is left as it is, apart from its volumes: released ones become available again, and
// missing ones are made, for they come last and so are what a start that was cut off may lack.
// One that does not run as a whole is cleaned away and started anew.
func (n *Node) Up(ctx context.Context) error {
	if err := n.cache.Ensure(ctx, binaries.Everything); err != nil {
		return err
	}
	unlock, err := n.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if n.check(ctx) == nil {
		return n.offerVolumes(ctx)
	}
	if n.anythingLeft() {
		if err := n.clean(ctx); err != nil {
			return fmt.Errorf("cleaning up what is left of an earlier start: %w", err)
		}
	}
	step := progress.Start(n.out, "starting Kubernetes %s", n.cache.Versions()["kubernetes"])
	err = n.start(ctx)
	step.End(err)
	return err
}

func (n *Node) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(n.dir), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder for the cluster's state: %w", err)
	}
	return filelock.Lock(ctx, n.lockFile(), n.out)
}

// check tells why the cluster is not up, or nil.
func (n *Node) check(ctx context.Context) error {
	r, err := n.readRecord()
	if err != nil {
		return err
	}
	if len(r.Processes) == 0 {
		return errors.New("not started")
	}
	if dead := r.dead(); len(dead) > 0 {
		return fmt.Errorf("%s ended; see %s", dead[0], n.log(dead[0]))
	}
	if r.Programs != n.cache.Bin() {
		return errors.New("it runs other versions than this checkout names")
	}
	client, err := n.newAPI(r.Port)
	if err != nil {
		return err
	}
	return client.nodeReady(ctx)
}

// A starter starts the components one by one and notes each.
type starter struct {
	*Node
	record  record
	running map[string]process.Started
}

func (n *Node) start(ctx context.Context) error {
	s, err := n.prepare(ctx)
	if err != nil {
		return err
	}
	if err := s.startAll(s.foundation(s.record.Port)); err != nil {
		return err
	}
	client, err := n.newAPI(s.record.Port)
	if err != nil {
		return err
	}
	if err := s.await(ctx, "kube-apiserver", client.serverReady); err != nil {
		return err
	}
	if err := s.await(ctx, "containerd", n.containerdReady); err != nil {
		return err
	}
	if err := n.loadPause(ctx); err != nil {
		return err
	}
	if err := s.startAll(n.workers()); err != nil {
		return err
	}
	if err := s.await(ctx, "kubelet", client.nodeReady); err != nil {
		return err
	}
	return n.offerVolumes(ctx)
}

// prepare makes all that the components need, and starts the way to them.
func (n *Node) prepare(ctx context.Context) (*starter, error) {
	plugins, err := cniFolder()
	if err != nil {
		return nil, err
	}
	listener, port, err := listen()
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	if err := n.writeFiles(plugins, port); err != nil {
		return nil, err
	}
	s := &starter{Node: n, running: map[string]process.Started{}, record: record{
		Port: port, Programs: n.cache.Bin(), Processes: map[string]process.Identity{}}}
	if err := n.writeRecord(s.record); err != nil {
		return nil, err
	}
	if err := errors.Join(n.cgroup.Create(), n.createNetwork(ctx)); err != nil {
		return nil, err
	}
	started, err := n.startForwarder(listener, port)
	if err != nil {
		return nil, err
	}
	return s, s.note(forwarder, started)
}

func (s *starter) startAll(components []component) error {
	for _, c := range components {
		started, err := process.Start(process.Spec{
			Path: filepath.Join(s.cache.Bin(), c.name), Args: c.args, Env: s.environment(),
			Log: s.log(c.name), Namespace: s.namespace,
		})
		if err != nil {
			return s.explain(c.name, err)
		}
		if err := s.note(c.name, started); err != nil {
			return err
		}
	}
	return nil
}

func (s *starter) note(name string, started process.Started) error {
	s.running[name] = started
	s.record.Processes[name] = started.Identity
	if err := s.writeRecord(s.record); err != nil {
		return err
	}
	return s.cgroup.Add(started.PID)
}

// await polls until the cluster has come a step further, and ends early when a component does.
func (s *starter) await(ctx context.Context, suspect string, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for name, p := range s.running {
		go func() {
			select {
			case <-p.Done:
				cancel(fmt.Errorf("%s ended: %w", name, s.explain(name, errEnded)))
			case <-ctx.Done():
			}
		}()
	}
	err := poll(ctx, startLimit, f)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); errors.Is(cause, errEnded) {
		return cause
	}
	return s.explain(suspect, err)
}

var errEnded = errors.New("it should run until `down`")

// explain adds the end of the right log to an error, and what to do.
func (n *Node) explain(component string, err error) error {
	return fmt.Errorf("%w; the end of %s:\n%s\nAll logs are in %s. `up` cleans up and tries again, `down` cleans up",
		err, n.log(component), tail.Lines(n.log(component), 15), n.path("logs"))
}

// kubectl runs the cluster's own kubectl from the host's namespace.
func (n *Node) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(n.cache.Bin(), "kubectl"), args...)
	cmd.Env = append(n.environment(), "KUBECONFIG="+n.Kubeconfig())
	return cmd
}
