//go:build differential

// Package differential gives the same mail to pop3d and to a real Dovecot, plays the same random commands to both, and compares
// what they answer and what they leave. Differences that are meant stand in a table (explained_test.go), each with the
// statement that asks for it; any other one fails. `make differential` installs Dovecot where it is missing.
package differential

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// longRun is from how many trials on every explained difference must have been met, or it is one no more.
const longRun = 10_000

var trials = flag.Int("trials", 400, "how many mailboxes are filled, each for a script or two; "+
	"from 10,000 on, every explained difference must be met")

// progressEvery is how often the test says that it goes on.
const progressEvery = 5 * time.Second

// The two servers.
const (
	pop3d = iota
	dovecot
)

var serverNames = [...]string{"pop3d", "Dovecot"}

// server is a POP3 server with one mailbox.
type server interface {
	// empty removes all messages.
	empty() error
	// deliver puts messages into the mailbox, behind so many others.
	deliver(messages []*message, behind int) error
	// open begins a session, logged in, behind the greeting.
	open() (*session, error)
	// close waits until what the session has done is done, and frees what it took.
	close(s *session) error
}

// bench has both servers, and counts.
type bench struct {
	servers  [2]server
	trials   int
	scripts  int
	commands int
	visits   int
	dirty    bool        // the mailboxes may have messages
	newest   int         // unique-id of pop3d
	played   []*dialogue // of this trial
	started  time.Time
	shown    time.Time
}

// TestDifferential is the whole of it.
func TestDifferential(t *testing.T) {
	set(t, "rapid.checks", strconv.Itoa(*trials))
	set(t, "rapid.nofailfile", "true") // the failure itself shows everything
	servers := [2]server{newPop3d(t), newDovecot(t)}
	b := &bench{servers: servers, dirty: true, started: time.Now(), shown: time.Now()}
	rapid.Check(t, func(r *rapid.T) {
		trial := drawTrial(r)
		if err := b.run(trial); err != nil {
			r.Fatal(err)
		}
		b.progress(t)
	})
	b.summarize(t)
}

func set(t *testing.T, name, value string) {
	t.Helper()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

// run carries a trial out and gives the error with all that was said.
func (b *bench) run(trial trial) error {
	b.trials++
	b.played = nil
	err := b.carryOut(trial)
	if err == nil {
		return nil
	}
	text := err.Error()
	for i, d := range b.played {
		text += fmt.Sprintf("\nsession %d:\n%s", i+1, d)
	}
	return errors.New(text)
}

// carryOut fills the mailboxes, plays the scripts one after the other, and then looks at what is left.
func (b *bench) carryOut(trial trial) error {
	if err := b.fill(trial.messages); err != nil {
		return err
	}
	v := newView(trial.messages, b.newest)
	for _, script := range trial.scripts {
		b.scripts++
		if err := b.play(v, script); err != nil {
			return err
		}
		v = v.next()
	}
	if err := b.play(v, inventory(len(v.messages))); err != nil {
		return fmt.Errorf("what is left: %w", err)
	}
	b.dirty = false // the inventory removes all that it finds
	b.newest = v.newestUID()
	return nil
}

// fill puts messages into both mailboxes, which a trial that failed may have left as they were.
func (b *bench) fill(messages []*message) error {
	for _, s := range b.servers { // pop3d is the first one: it gives the messages their traces
		if b.dirty {
			if err := s.empty(); err != nil {
				return err
			}
		}
		if err := s.deliver(messages, 0); err != nil {
			return err
		}
	}
	b.dirty = true
	return nil
}

// play plays a script to both servers and compares.
func (b *bench) play(v *view, s script) error {
	d := &dialogue{script: s, commands: commandsOf(s.lines)}
	b.played = append(b.played, d)
	b.commands += len(s.lines)
	var visited [2]bool
	for i, server := range b.servers {
		visit := func(next int) error {
			if s.visit == nil || s.visit.before != next {
				return nil
			}
			visited[i] = true
			return s.visit.pay(server, i, len(v.messages))
		}
		var err error
		if d.answers[i], err = converse(server, i, s, d.commands, visit); err != nil {
			return fmt.Errorf("%s: %w", serverNames[i], err)
		}
	}
	if visited[pop3d] {
		b.visits++
		v.visit = s.visit
	}
	return v.compare(d.commands, d.answers)
}

// converse plays a script to one server. In front of each line, or of all that are sent at once, it calls a function.
func converse(s server, which int, script script, commands []command, visit func(next int) error) ([]answer, error) {
	session, err := s.open()
	if err != nil {
		return nil, err
	}
	answers, err := session.converse(which, script, commands, visit)
	if closeErr := s.close(session); err != nil || closeErr != nil {
		return answers, fmt.Errorf("%w; its log: %q", errors.Join(err, closeErr), session.said.String())
	}
	return answers, nil
}

// visit is what others do to the mailbox during a session.
type visit struct {
	before  int      // this line of the script
	arrives *message // nil if none does
	removed []int    // numbers of messages that another session removes
}

// pay does it to one of the servers, whose mailbox has so many messages.
func (v *visit) pay(s server, which, messages int) error {
	if v.arrives != nil {
		if err := s.deliver([]*message{v.arrives}, messages); err != nil {
			return err
		}
	}
	if len(v.removed) == 0 {
		return nil
	}
	return remove(s, which, v.removed)
}

// remove removes messages in a session of its own.
func remove(s server, which int, numbers []int) error {
	script := script{pipelined: true}
	for _, n := range numbers {
		script.lines = append(script.lines, fmt.Sprintf("DELE %d\r\n", n))
	}
	script.lines = append(script.lines, "QUIT\r\n")
	return request(s, which, script.lines, func(i int, r reply) error {
		if !r.ok() {
			return fmt.Errorf("%s says %q to %q", serverNames[which], r.status, script.lines[i])
		}
		return nil
	})
}

// request plays commands to one server alone, and passes on the replies, one for each.
func request(s server, which int, lines []string, take func(i int, r reply) error) error {
	script := script{lines: lines, pipelined: true}
	alone := func(int) error { return nil }
	answers, err := converse(s, which, script, commandsOf(lines), alone)
	if err == nil && len(answers) < len(lines) {
		err = fmt.Errorf("%s answers %d of %d commands", serverNames[which], len(answers), len(lines))
	}
	for i := 0; i < len(answers) && err == nil; i++ {
		err = take(i, answers[i][0])
	}
	return err
}

// progress shows now and then that the test goes on.
func (b *bench) progress(t *testing.T) {
	if time.Since(b.shown) >= progressEvery {
		b.shown = time.Now()
		t.Logf("%3.0f s: %s", time.Since(b.started).Seconds(), b)
	}
}

func (b *bench) String() string {
	return fmt.Sprintf("%d trials, %d scripts, %d commands, %d visits", b.trials, b.scripts, b.commands, b.visits)
}

// summarize prints what was played and which differences were met, and fails for those that are there no more.
func (b *bench) summarize(t *testing.T) {
	var text strings.Builder
	fmt.Fprintf(&text, "%s in %.0f s. Differences that are meant:\n", b, time.Since(b.started).Seconds())
	for _, e := range explanations() {
		fmt.Fprintf(&text, "%8d  %s: %s\n", e.met, e.id, e.what)
	}
	fmt.Fprint(os.Stdout, text.String())
	for _, e := range explanations() {
		if e.met == 0 && b.trials >= longRun && !t.Failed() {
			t.Errorf("this difference is explained and was never met, so take it out of the table: %s: %s", e.id, e.what)
		}
	}
}
