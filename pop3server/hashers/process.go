package hashers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"sync"
	"time"
)

const (
	// patience is how long a check may take beyond several times what it needs.
	patience = time.Second
	// grace is how long a process may take to end when there is nothing more to do.
	grace = time.Second
)

// errLate says that a process has not answered in time.
var errLate = errors.New("no process had the time")

// process is one that runs Serve.
type process struct {
	command *exec.Cmd
	in      io.Closer
	request *json.Encoder
	reply   *json.Decoder
	idle    *time.Timer // ends it, if it is not used before
	grace   time.Duration
	ending  sync.Once
}

func start(command *exec.Cmd, grace time.Duration) (*process, error) {
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return &process{command: command, in: in, request: json.NewEncoder(in), reply: json.NewDecoder(out), grace: grace}, nil
}

// ask has one request answered. After an error the process is of no more use.
func (p *process) ask(r request, within time.Duration) (answer reply, err error) {
	late := time.AfterFunc(within, p.kill)
	err = p.request.Encode(r) //nolint:gosec // the pipe is all that sees it
	if err == nil {
		err = p.reply.Decode(&answer)
	}
	if !late.Stop() {
		return reply{}, errLate
	}
	return answer, err
}

// end lets the process end, and has it killed if it does not. It may be called once more while it works.
func (p *process) end() {
	p.ending.Do(func() {
		_ = p.in.Close() // whatever comes of it, the process is waited for
		late := time.AfterFunc(p.grace, p.kill)
		defer late.Stop()
		_ = p.command.Wait()
	})
}

func (p *process) kill() { _ = p.command.Process.Kill() } // fails where it has ended
