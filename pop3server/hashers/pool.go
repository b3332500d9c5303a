package hashers

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// idleFor is how long a process waits for its next check. Logins that need one come in storms; after that, the memory
// that a process has by itself is better given back.
const idleFor = 10 * time.Second

// starvedFor is how long passwords are checked here after a process had too little of the cores.
const starvedFor = 10 * time.Second

// errClosed says that the server is about to end.
var errClosed = errors.New("no more passwords are checked")

// Pool has passwords checked by processes that it starts as they are needed: one for each check that runs. Its methods
// may be called at the same time.
type Pool struct {
	argv []string
	log  *slog.Logger

	idleFor, patience, grace, starvedFor time.Duration

	mu      sync.Mutex
	closed  bool
	starved time.Time // until then
	all     map[*process]struct{}
	idle    []*process // the one used last is the last
	ending  sync.WaitGroup
}

// NewPool makes a pool whose processes are started with argv, and run Serve on their standard input and output.
func NewPool(argv []string, log *slog.Logger) *Pool {
	return &Pool{argv: argv, log: log, all: make(map[*process]struct{}),
		idleFor: idleFor, patience: patience, grace: grace, starvedFor: starvedFor}
}

// Match gives the index of a verifier that the password matches, -1 if there is none, as verifier.Match does. It takes what
// the verifiers ask for, some 20 MiB as a rule, in another process, whose buffers may hold the password until the next one.
// Where no process can be had, or it gets too little of the cores because others keep them busy, this one makes the check: a
// server whose cores are busy with mail, or the machine's with something else, lets its users in nevertheless.
//
// It fails with nothing but that the Pool is closed.
func (p *Pool) Match(verifiers []verifier.Verifier, password []byte) (int, error) {
	if !p.isStarved() {
		matched, err := p.ask(requestOf(verifiers, password), p.patience+4*verifier.Cost(verifiers))
		if err == nil || errors.Is(err, errClosed) {
			return matched, err
		}
		p.starve(err)
	}
	return verifier.Match(verifiers, password), nil
}

// isStarved tells whether a process has had too little of the cores just now: to try that each time would take too long.
func (p *Pool) isStarved() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.starved)
}

func (p *Pool) starve(reason error) {
	p.log.Warn("passwords are checked within the server for a while", "reason", reason)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starved = time.Now().Add(p.starvedFor)
}

// ask has a process answer.
func (p *Pool) ask(r request, within time.Duration) (int, error) {
	for {
		one, used, err := p.take()
		if err != nil {
			return -1, err
		}
		answer, err := one.ask(r, within)
		if err == nil {
			p.give(one)
			return answer.Matched, nil
		}
		p.remove(one)
		if errors.Is(err, errLate) || !used { // one that was used may have ended long before this check
			return -1, err
		}
	}
}

// take gives an idle process, or else a new one.
func (p *Pool) take() (one *process, used bool, err error) {
	if one, err = p.takeIdle(); one != nil || err != nil {
		return one, true, err
	}
	one, err = start(p.command(), p.grace)
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

// remove ends a process for good. What that takes, nobody waits for but Close.
func (p *Pool) remove(one *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, one)
	if !p.closed { // or else Close ends it
		p.ending.Go(one.end)
	}
}

// Close ends all processes, and with them the checks that are being made.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	all := p.all
	p.all, p.idle = make(map[*process]struct{}), nil
	p.mu.Unlock()
	for one := range all {
		p.ending.Go(one.end)
	}
	p.ending.Wait()
}
