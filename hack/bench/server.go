package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// patience is how long a server may take to start, to end, or for anything that a client asks for.
const patience = 60 * time.Second

// server is a server process with those that it starts itself.
type server struct {
	name    string
	version string
	argv    []string
	log     string // file of its standard output and standard error
	ports   ports
	dir     string // where its files are

	process *exec.Cmd
	exited  chan struct{}
}

// ports are a server's ports on the loopback interface.
type ports struct{ POP3, POP3S, LMTP int }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts finds ports that nobody uses.
func freePorts() (p ports, err error) {
	var taken []net.Listener
	for _, port := range []*int{&p.POP3, &p.POP3S, &p.LMTP} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		taken = append(taken, listener)
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	for _, listener := range taken {
		err = errors.Join(err, listener.Close())
	}
	return p, err
}

// start starts the server and waits until it greets on all ports.
func (s *server) start(ctx context.Context) error {
	log, err := os.OpenFile(s.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	s.process = exec.CommandContext(ctx, s.argv[0], s.argv[1:]...)
	s.process.Stdout, s.process.Stderr = log, log
	s.process.Cancel = func() error { return s.process.Process.Signal(syscall.SIGTERM) }
	s.process.WaitDelay = patience
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.process.Start(); err != nil {
		return err
	}
	exited, process := make(chan struct{}), s.process
	s.exited = exited
	go func() { _ = process.Wait(); close(exited) }()
	return s.awaitPorts()
}

func (s *server) awaitPorts() error {
	for _, port := range []int{s.ports.POP3, s.ports.POP3S, s.ports.LMTP} {
		for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) { // a port does not tell when it is open
			conn, err := net.Dial("tcp", address(port))
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-s.exited:
				return s.failed("ended instead of serving")
			default:
			}
			if time.Since(begun) > patience {
				return s.failed("does not serve")
			}
		}
	}
	return nil
}

// failed gives an error with what the server wrote.
func (s *server) failed(what string) error {
	text, _ := os.ReadFile(s.log)
	return fmt.Errorf("%s %s; it wrote:\n%s", s.name, what, text[max(0, len(text)-4000):])
}

// stop ends the server, with all the processes that it has started.
func (s *server) stop() {
	if s == nil || s.process == nil || s.process.Process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience / 4):
		say("%s does not end and is killed", s.name)
		_ = syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL) // its own process group
		<-s.exited
	}
	s.process = nil
}

func (s *server) restart(ctx context.Context) error {
	s.stop()
	return s.start(ctx)
}
