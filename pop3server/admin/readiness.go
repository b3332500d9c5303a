package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// checkTimeout is how long a probe waits for a check.
const checkTimeout = 4 * time.Second

var errNoAnswer = fmt.Errorf("no answer within %v", checkTimeout)

// Check is one condition of readiness. Run says with its error why the server cannot serve now.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// readiness is the handler of /readyz.
type readiness struct {
	checks []*guarded
}

func newReadiness(checks []Check) *readiness {
	r := &readiness{}
	for _, check := range checks {
		r.checks = append(r.checks, &guarded{Check: check})
	}
	return r
}

// ServeHTTP writes one line a check: "[+]name ok" or "[-]name failed: why".
func (r *readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), checkTimeout)
	defer cancel()
	var body strings.Builder
	status := http.StatusOK
	for _, check := range r.checks {
		if err := check.run(ctx); err != nil {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&body, "[-]%s failed: %v\n", check.Name, err)
			continue
		}
		fmt.Fprintf(&body, "[+]%s ok\n", check.Name)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body.String()))
}

// guarded has at most one run of its check under way. Storage that hangs blocks inside a system call, which no context
// ends: without the guard each probe would leave one more goroutine behind.
type guarded struct {
	Check
	mu   sync.Mutex
	last *attempt
}

// attempt is one run of a check; err may be read once finished is closed.
type attempt struct {
	finished chan struct{}
	err      error
}

func (a *attempt) running() bool {
	select {
	case <-a.finished:
		return false
	default:
		return true
	}
}

// run starts the check, or joins the run under way, and gives its result.
func (g *guarded) run(ctx context.Context) error {
	current := g.begin()
	select {
	case <-current.finished:
		return current.err
	case <-ctx.Done():
		return errNoAnswer
	}
}

func (g *guarded) begin() *attempt {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last != nil && g.last.running() {
		return g.last
	}
	g.last = &attempt{finished: make(chan struct{})}
	go g.perform(g.last)
	return g.last
}

func (g *guarded) perform(current *attempt) {
	defer close(current.finished)
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	current.err = g.Run(ctx)
}
