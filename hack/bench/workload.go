package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// workload is something that both servers are to do.
type workload struct {
	name     string
	boxes    []box     // what must be there
	rounds   int       // how often it is run; 0 as often as the user wants
	measures []measure // what run gives, in this order
	// prepare is done before each run and does not count; nil is nothing.
	prepare func(ctx context.Context, s *server, round int) error
	run     func(ctx context.Context, s *server, round int) ([]float64, error)
}

// measure is one figure, with the target of the design: how many times better pop3d is to be, and its figure's limit.
type measure struct {
	name   string // added to that of the workload
	unit   string
	less   bool // less is better
	target float64
	limit  float64
}

func (w workload) roundsOf(o options) int {
	if w.rounds > 0 {
		return min(w.rounds, o.rounds)
	}
	return o.rounds
}

func (w workload) rows() []*row {
	rows := make([]*row, len(w.measures))
	for i, m := range w.measures {
		r := &row{Name: w.name + m.name, Unit: m.unit, Less: m.less, Target: m.target, Limit: m.limit}
		r.sides = [2]*side{&r.Pop3d, &r.Dovecot}
		rows[i] = r
	}
	return rows
}

// The mailboxes. Several hold ten messages, as many users do who fetch and delete.
const smallBoxes = 200

func smallBox(i int) box {
	return box{name: "small" + strconv.Itoa(i), messages: 10, octets: smallOctets}
}

func listBox(messages int) box {
	return box{name: "list" + strconv.Itoa(messages), messages: messages, octets: smallOctets}
}

func several(n int, make func(int) box) (boxes []box) {
	for i := range n {
		boxes = append(boxes, make(i))
	}
	return boxes
}

// workloads are all that there are, with the targets of the design.
func workloads(o options) (all []workload) {
	few, many := o.messages, 10*o.messages
	all = append(all, listing(few, false, 8), listing(many, false, 12), listing(few, true, 8), listing(many, true, 12))
	for _, clients := range []int{1, 16} {
		all = append(all, sessions(o, clients))
	}
	all = append(all, hashing(o))
	for _, secure := range []bool{false, true} {
		all = append(all, retrieveSmall(few, secure), retrieveLarge(secure))
	}
	all = append(all, removal(few, o.rounds), delivery(o, 1, 5), delivery(o, 16, 3))
	return append(all, idling(o, false, 32), idling(o, true, 64), siege(), guessing())
}

// until calls f again and again for a time, by several goroutines, and tells how many calls there were in a second.
func until(
	ctx context.Context, duration time.Duration, goroutines int, f func(i int) error,
) (rate float64, calls int, err error) {
	begun := time.Now()
	type outcome struct {
		calls int
		err   error
	}
	outcomes := make(chan outcome, goroutines)
	for i := range goroutines {
		go func() {
			var o outcome
			for time.Since(begun) < duration && ctx.Err() == nil && o.err == nil {
				o.err = f(i)
				o.calls++
			}
			outcomes <- o
		}()
	}
	for range goroutines {
		o := <-outcomes
		calls += o.calls
		if o.err != nil {
			err = o.err
		}
	}
	return float64(calls) / time.Since(begun).Seconds(), calls, err
}

// withCPU calls f, which tells how often it did something, and gives its rate and the server's CPU time for each, in µs.
func withCPU(s *server, f func() (rate float64, calls int, err error)) ([]float64, error) {
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	rate, calls, err := f()
	if err != nil {
		return nil, err
	}
	after, err := s.cpu()
	return []float64{rate, (after - before).Seconds() * 1e6 / float64(calls)}, err
}

func secured(name string, secure bool) string {
	if secure {
		return name + ", TLS"
	}
	return name
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func thousands(n int) string {
	if n%1000 == 0 {
		return fmt.Sprintf("%d k", n/1000)
	}
	return strconv.Itoa(n)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
