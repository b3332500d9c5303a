package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// When a step's progress is told, and how often: on a terminal at once, and to anything else, such as a log, when it takes
// long.
const (
	quietTime    = 3 * time.Second
	terminalTick = 200 * time.Millisecond
	logTick      = 10 * time.Second
)

// progress tells on standard error how far a step is.
type progress struct {
	out      io.Writer
	terminal bool
	what     string
	began    time.Time
	told     time.Time
	shown    bool // a line stands on the terminal
}

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

// step tells that so many are done, of so many; a new name begins a new step.
func (p *progress) step(what string, done, all int64) {
	now := time.Now()
	if what != p.what {
		p.end()
		p.what, p.began, p.told = what, now, now.Add(quietTime-logTick)
		if p.terminal {
			p.told = now.Add(-terminalTick)
		}
	}
	wait := logTick
	if p.terminal {
		wait = terminalTick
	}
	if now.Sub(p.told) < wait {
		return
	}
	p.told = now
	p.tell(done, all, now.Sub(p.began).Truncate(time.Second))
}

func (p *progress) tell(done, all int64, elapsed time.Duration) {
	percent := int64(100)
	if all > 0 {
		percent = done * 100 / all
	}
	line := fmt.Sprintf("%s: %d of %d (%d %%), %v", p.what, done, all, percent, elapsed)
	if p.terminal {
		_, _ = fmt.Fprintf(p.out, "\r\033[K%s", line)
		p.shown = true
		return
	}
	_, _ = fmt.Fprintln(p.out, line)
}

// end takes the line away, so that others can be written.
func (p *progress) end() {
	if p.shown {
		_, _ = fmt.Fprint(p.out, "\r\033[K")
		p.shown = false
	}
}
