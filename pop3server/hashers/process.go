package hashers

import (
	"encoding/json"
	"io"
	"os/exec"
	"sync"
	"time"
)

const (
	// patience is how long a check may take: several times what the dearest one needs that authn asks for.
	patience = 20 * time.Second
	// grace is how long a process may take to end when there is nothing more to do.
	grace = time.Second
)

// process is one that runs Serve.
type process struct {
	command *exec.Cmd
	in      io.Closer
	request *json.Encoder
	reply   *json.Decoder
	idle    *time.Timer // ends it, if it is not used before
	ending  sync.Once
}

func start(command *exec.Cmd) (*process, error) {
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
	return &process{command: command, in: in, request: json.NewEncoder(in), reply: json.NewDecoder(out)}, nil
}

// ask has one request answered. After an error the process is of no more use.
func (p *process) ask(r request) (reply, error) {
	late := time.AfterFunc(patience, p.kill)
	defer late.Stop()
	if err := p.request.Encode(r); err != nil { //nolint:gosec // the pipe is all that sees it
		return reply{}, err
	}
	var answer reply
	if err := p.reply.Decode(&answer); err != nil {
		return reply{}, err
	}
	return answer, nil
}

// end lets the process end, and has it killed if it does not. It may be called once more while it works.
func (p *process) end() {
	p.ending.Do(func() {
		_ = p.in.Close() // whatever comes of it, the process is waited for
		late := time.AfterFunc(grace, p.kill)
		defer late.Stop()
		_ = p.command.Wait()
	})
}

func (p *process) kill() { _ = p.command.Process.Kill() } // fails where it has ended
