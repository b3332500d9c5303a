// Package progress tells a person at a terminal, or the reader of a CI log, what a long piece of work is doing.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// interval is the pause between two reports of a step that still runs.
const interval = 15 * time.Second

// Step is one long piece of work. It reports at its start, every 15 seconds, and at its end.
type Step struct {
	name  string
	start time.Time
	w     io.Writer
	stop  chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex
	detail string
}

// Start reports the begin of a step on w. The caller ends it with End.
func Start(w io.Writer, format string, args ...any) *Step {
	s := &Step{name: fmt.Sprintf(format, args...), start: time.Now(), w: w, stop: make(chan struct{})}
	fmt.Fprintf(w, "cluster: %s …\n", s.name)
	s.done.Go(s.report)
	return s
}

// Detail sets what later reports add to the step's name, such as a count.
func (s *Step) Detail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detail = ": " + fmt.Sprintf(format, args...)
}

// End reports how long the step took, and whether it failed.
func (s *Step) End(err error) {
	close(s.stop)
	s.done.Wait()
	result := "done"
	if err != nil {
		result = "FAILED"
	}
	fmt.Fprintf(s.w, "cluster: %s %s after %s\n", s.name, result, s.elapsed())
}

func (s *Step) report() {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.mu.Lock()
			fmt.Fprintf(s.w, "cluster: %s, %s%s\n", s.name, s.elapsed(), s.detail)
			s.mu.Unlock()
		}
	}
}

func (s *Step) elapsed() time.Duration {
	return time.Since(s.start).Round(100 * time.Millisecond)
}
