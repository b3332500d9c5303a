// Command bench runs pop3d and a tuned Dovecot side by side and prints how they compare: go run ./hack/bench. See
// docs/design/performance.md for what is measured and how to read it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// options are what the program was called with.
type options struct {
	only     *regexp.Regexp
	messages int
	rounds   int
	duration time.Duration
	sessions int
	dir      string
	pop3d    string
	asJSON   bool
}

// init keeps main on the process's first thread: a server that is started from it is told to end when that thread does, which
// is when this program ends, in whatever way.
func init() { runtime.LockOSThread() }

func main() {
	o, err := parseOptions()
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		if err = run(ctx, o); ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		stop()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func parseOptions() (o options, err error) {
	only := flag.String("run", "", "run only the workloads whose name matches this regular expression")
	flag.IntVar(&o.messages, "messages", 10_000, "messages of the shorter list; the longer one has ten times as many")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each workload is run on each server")
	flag.DurationVar(&o.duration, "duration", 1500*time.Millisecond, "how long a run takes that counts what is done in a time")
	flag.IntVar(&o.sessions, "sessions", 2000, "sessions that are open while memory is measured")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "where a temporary folder is made for mail; not on a tmpfs")
	flag.StringVar(&o.pop3d, "pop3d", "", "pop3d to run; without it one is built from this tree")
	flag.BoolVar(&o.asJSON, "json", false, "print the results as JSON")
	flag.Parse()
	if flag.NArg() > 0 || o.messages < 1 || o.rounds < 1 || o.sessions < 10 || o.duration <= 0 {
		return o, errors.New("called wrongly; -help lists the flags, whose numbers are above 0, and at least 10 for -sessions")
	}
	o.only, err = regexp.Compile(*only)
	return o, err
}

func run(ctx context.Context, o options) error {
	chosen := choose(workloads(o), o.only)
	if len(chosen) == 0 {
		return fmt.Errorf("no workload matches %q", o.only)
	}
	h, err := newHouse(ctx, o)
	if err != nil {
		return err
	}
	defer h.remove()
	results, err := h.measure(ctx, chosen)
	if err != nil {
		return err
	}
	if o.asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(results)
	}
	return results.print(os.Stdout)
}

func choose(all []workload, only *regexp.Regexp) (chosen []workload) {
	for _, w := range all {
		if only.MatchString(w.name) {
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// say tells how far the program is; results alone go to standard output.
func say(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", arguments...)
}
