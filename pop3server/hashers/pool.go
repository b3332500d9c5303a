package hashers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// idleFor is how long a process waits for its next check. Logins that need one come in storms; after that, the memory
// that a process has by itself is better given back.
const idleFor = 10 * time.Second

// errClosed says that the server is about to end.
var errClosed = errors.New("no more passwords are checked")

// Pool has passwords checked by processes that it starts as they are needed: one for each check that runs. Its methods
// may be called at the same time.
type Pool struct {
	argv    []string
	log     *slog.Logger
	idleFor time.Duration

	mu     sync.Mutex
	closed bool
	all    map[*process]struct{}
	idle   []*process // the one used last is the last
}

// NewPool makes a pool whose processes are started with argv, and run Serve on their standard input and output.
func NewPool(argv []string, log *slog.Logger) *Pool {
	return &Pool{argv: argv, log: log, idleFor: idleFor, all: make(map[*process]struct{})}
}

// Match gives the index of a verifier that the password matches, -1 if there is none, as verifier.Match does. It takes some 20
// MiB or what the verifiers ask for, in another process. Buffers of both may hold the password until the next one. An error says that the check could not be made.
func (p *Pool) Match(verifiers []string, password []byte) (int, error) {
	r := request{Verifiers: verifiers, Password: password}
	for {
		one, used, err := p.take()
		if err != nil {
			return -1, fmt.Errorf("check a password in another process: %w", err)
		}
		answer, err := one.ask(r)
		if err == nil {
			p.give(one)
			return answer.Matched, nil
		}
		p.remove(one)
		p.log.Warn("a process that checks passwords has ended", "error", err)
		if !used { // or else it may have ended long before this check
			return -1, fmt.Errorf("check a password in another process: %w", err)
		}
	}
}

// take gives an idle process, or else a new one.
func (p *Pool) take() (one *process, used bool, err error) {
	if one, err = p.takeIdle(); one != nil || err != nil {
		return one, true, err
	}
	one, err = start(p.command())
	if err != nil {
		return nil, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		one.kill()
		one.end()
		return nil, false, errClosed
	}
	p.all[one] = struct{}{}
	return one, false, nil
}

// takeIdle gives none where there is none.
func (p *Pool) takeIdle() (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	last := len(p.idle) - 1
	if last < 0 {
		return nil, nil
	}
	one := p.idle[last]
	p.idle = p.idle[:last]
	one.idle.Stop() // where that comes too late, retire finds that it is not idle
	return one, nil
}

// command is one process. A signal that a terminal sends to the server's group is not for it: it ends when its input does,
// and so at Close.
func (p *Pool) command() *exec.Cmd {
	command := exec.CommandContext(context.Background(), p.argv[0], p.argv[1:]...) //nolint:gosec // it is this program
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return command
}

// give takes a process back.
func (p *Pool) give(one *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // and so ended
		return
	}
	p.idle = append(p.idle, one)
	one.idle = time.AfterFunc(p.idleFor, func() { p.retire(one) })
}

// retire ends a process that is idle still.
func (p *Pool) retire(one *process) {
	p.mu.Lock()
	i := slices.Index(p.idle, one)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		p.remove(one)
	}
}

// remove ends a process for good.
func (p *Pool) remove(one *process) {
	p.mu.Lock()
	delete(p.all, one)
	p.mu.Unlock()
	one.end()
}

// Close ends all processes, and with them the checks that are being made.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	all := p.all
	p.all, p.idle = make(map[*process]struct{}), nil
	p.mu.Unlock()
	var ending sync.WaitGroup
	for one := range all {
		ending.Go(one.end)
	}
	ending.Wait()
}
