package maildrop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sampleText gives a message in canonical form that tells its own contents: its name, and how long it is.
func sampleText(name string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: %s %d\r\n\r\n", name, size)
	random := rand.New(rand.NewPCG(uint64(size), uint64(len(name))))
	for b.Len() < size {
		fmt.Fprintf(&b, "%s %016x %016x%.*s\r\n", name, random.Uint64(), random.Uint64(), random.IntN(40), strings.Repeat("=", 40))
	}
	return b.String()
}

// checkSample gives the name of a message that sampleText has made, if each octet of it is right.
func checkSample(text string) (string, error) {
	first, _, _ := strings.Cut(text, "\r\n")
	var name string
	var size int
	if _, err := fmt.Sscanf(first, "Subject: %s %d", &name, &size); err != nil {
		return "", fmt.Errorf("%q: %w", first, err)
	}
	if want := sampleText(name, size); text != want {
		return "", fmt.Errorf("message %s has %d octets, and not the %d that were delivered", name, len(text), len(want))
	}
	return name, nil
}

// crashUnderLoad delivers, reads, removes and compacts at random for ever. Before each step that changes something it prints
// what it is about to do, and after it that it is done.
func crashUnderLoad(s *JournalStore, name string) error {
	seed, _ := strconv.ParseUint(name, 10, 64)
	l := &load{store: s, name: name, random: rand.New(rand.NewPCG(seed, 1))}
	for {
		var err error
		switch n := l.random.IntN(20); {
		case n < 9:
			err = l.deliver()
		case n < 11:
			err = l.putNew()
		case n < 19:
			err = l.quit()
		default:
			err = l.compact()
		}
		if err != nil {
			return err
		}
	}
}

// load is what a server under load knows.
type load struct {
	store  *JournalStore
	name   string
	random *rand.Rand
	count  int
}

// next gives a message.
func (l *load) next() (name, text string) {
	l.count++
	size := 1 + l.random.IntN(2000)
	switch l.random.IntN(8) {
	case 0:
		size = inlineOctets/2 + l.random.IntN(inlineOctets)
	case 1:
		size = inlineOctets - 50 + l.random.IntN(100)
	}
	name = fmt.Sprintf("%s.%d", l.name, l.count)
	return name, sampleText(name, size)
}

func (l *load) deliver() error {
	name, text := l.next()
	fmt.Println("delivering", name)
	results, err := l.store.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(text))
	if err = errors.Join(append(results, err)...); err == nil {
		fmt.Println("delivered", name)
	}
	return err
}

func (l *load) putNew() error {
	name, text := l.next()
	fmt.Println("delivering", name)
	err := putForeign(l.store.root, name, text)
	if err == nil {
		fmt.Println("delivered", name)
	}
	return err
}

func (l *load) compact() error {
	if err := l.store.Compact(context.Background(), alice.ID); err != nil && !errors.Is(err, ErrNoMaildrop) {
		return err
	}
	_, err := l.store.Usage(context.Background(), alice)
	return err
}

// quit is a client's session: it reads some messages and removes some of those.
func (l *load) quit() error {
	session, err := l.store.Open(context.Background(), alice)
	if err != nil {
		return err
	}
	var removing []Message
	for _, m := range session.Messages() {
		if l.random.IntN(3) == 0 {
			continue
		}
		read, err := l.read(session, m)
		if err != nil {
			return err
		}
		if read && l.random.IntN(2) == 0 {
			removing = append(removing, m)
		}
	}
	return errors.Join(l.remove(session, removing), session.Close())
}

func (l *load) remove(session Session, messages []Message) error {
	for _, m := range messages {
		fmt.Println("removing", m.UID())
	}
	if err := session.Delete(context.Background(), messages); err != nil {
		return err
	}
	for _, m := range messages {
		fmt.Println("removed", m.UID())
	}
	return nil
}

// read reads a message and prints which one it is. It tells whether it was there still.
func (l *load) read(session Session, m Message) (bool, error) {
	session.Rest()
	r, err := session.Body(context.Background(), m)
	if errors.Is(err, ErrVanished) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	text, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return false, fmt.Errorf("read %s: %w", m.UID(), err)
	}
	name, err := checkSample(string(text))
	if err == nil && int64(len(text)) != m.Octets {
		err = fmt.Errorf("message %s has %d octets and not the %d of its row", name, len(text), m.Octets)
	}
	session.MarkRead(m)
	fmt.Println("read", m.UID(), name)
	return true, err
}

// ledger is what the servers have told, of all rounds.
type ledger struct {
	tb testing.TB
	// delivering and delivered have the names of messages.
	delivering, delivered map[string]bool
	// removing and removed have unique-ids, as have names, of all messages that anybody has seen.
	removing, removed map[string]bool
	names             map[string]string // by unique-id
	uids              map[string]string // by name
	gone              map[string]bool   // names that were not there after a round
	last              uint64
}

func newLedger(t testing.TB) *ledger {
	return &ledger{tb: t, delivering: map[string]bool{}, delivered: map[string]bool{}, removing: map[string]bool{},
		removed: map[string]bool{}, names: map[string]string{}, uids: map[string]string{}, gone: map[string]bool{}}
}

// note takes down a line of a server.
func (l *ledger) note(line string) {
	words := strings.Fields(line)
	switch {
	case len(words) == 2 && words[0] == "delivering":
		l.delivering[words[1]] = true
	case len(words) == 2 && words[0] == "delivered":
		l.delivered[words[1]] = true
	case len(words) == 2 && words[0] == "removing":
		l.removing[words[1]] = true
	case len(words) == 2 && words[0] == "removed":
		l.removed[words[1]] = true
	case len(words) == 3 && words[0] == "read":
		l.see(words[1], words[2])
	default:
		l.tb.Errorf("a server says %q", line)
	}
}

// see notes that a message has a unique-id.
func (l *ledger) see(uid, name string) {
	if other, ok := l.names[uid]; ok && other != name {
		l.tb.Errorf("unique-id %s is that of %s and of %s", uid, other, name)
	}
	if other, ok := l.uids[name]; ok && other != uid {
		l.tb.Errorf("message %s is there twice, as %s and as %s", name, other, uid)
	}
	l.names[uid], l.uids[name] = name, uid
}

// check compares a maildrop with what the servers have told.
func (l *ledger) check(s *JournalStore) {
	session := openDrop(l.tb, s, alice)
	there := map[string]bool{}
	for _, m := range session.Messages() {
		name, err := checkSample(body(l.tb, session, m))
		if err != nil {
			l.tb.Errorf("unique-id %s: %v", m.UID(), err)
			continue
		}
		l.see(m.UID(), name)
		l.checkPresent(m.UID(), name)
		there[name] = true
	}
	for name := range l.delivering {
		if l.delivered[name] && !there[name] && !l.gone[name] && !l.removing[l.uids[name]] {
			l.tb.Errorf("message %s (unique-id %q) was acknowledged and is lost", name, l.uids[name])
		}
		l.gone[name] = l.gone[name] || !there[name]
	}
	if err := session.Close(); err != nil {
		l.tb.Error(err)
	}
	l.checkNextUID(s)
}

func (l *ledger) checkPresent(uid, name string) {
	switch {
	case l.removed[uid]:
		l.tb.Errorf("message %s (unique-id %s) came back, though its removal was acknowledged", name, uid)
	case l.gone[name]:
		l.tb.Errorf("message %s (unique-id %s) came back", name, uid)
	case !l.delivering[name]:
		l.tb.Errorf("message %s (unique-id %s) was never delivered", name, uid)
	}
}

// checkNextUID checks that the next unique-id is above all that were seen.
func (l *ledger) checkNextUID(s *JournalStore) {
	c, err := s.Inspect(context.Background(), alice.ID)
	if err != nil {
		l.tb.Fatal(err)
	}
	for uid := range l.names {
		n, _ := strconv.ParseUint(uid, 10, 64)
		l.last = max(l.last, n)
	}
	if c.NextUID <= l.last || len(c.Damage) != 0 {
		l.tb.Errorf("the next unique-id is %d after %d, damage %v", c.NextUID, l.last, c.Damage)
	}
}

// told gives the lines of a server as they come.
type told struct {
	*exec.Cmd
	lines chan string
	errs  strings.Builder
}

func startTold(t testing.TB, root, name string) *told {
	t.Helper()
	s := &told{Cmd: startServer(root, "load", "", name, 0), lines: make(chan string, 1<<16)}
	s.Stderr = &s.errs
	out, err := s.StdoutPipe()
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			s.lines <- scanner.Text()
		}
	}()
	return s
}

// hear notes so many lines of a server, or all that are left.
func (s *told) hear(l *ledger, lines int) {
	for ; lines != 0; lines-- {
		line, ok := <-s.lines
		if !ok {
			return
		}
		l.note(line)
	}
}

func (s *told) kill(l *ledger) {
	_ = s.Process.Kill()
	s.hear(l, -1)
	_ = s.Wait()
	if s.errs.Len() > 0 {
		l.tb.Errorf("a server was not killed, but ended: %s", s.errs.String())
	}
}

// Two servers work on one maildrop, and are killed at random: first one, while the other goes on, then that one too.
func TestServersKilledAtRandom(t *testing.T) {
	rounds, seed := 10, uint64(1)
	if os.Getenv("POPSERVICE_CHAOS") != "" {
		rounds, seed = 200, uint64(time.Now().UnixNano())
	} else {
		t.Parallel()
	}
	t.Logf("seed %d", seed)
	random, root, l := rand.New(rand.NewPCG(seed, 2)), t.TempDir(), newLedger(t)
	for round := range rounds {
		first := startTold(t, root, fmt.Sprint(seed%1000*10000+uint64(2*round)))
		second := startTold(t, root, fmt.Sprint(seed%1000*10000+uint64(2*round+1)))
		first.hear(l, 5+random.IntN(100))
		second.hear(l, 5+random.IntN(50))
		time.Sleep(time.Duration(random.IntN(20_000)) * time.Microsecond) // so that not only what follows a line is hit
		first.kill(l)
		second.hear(l, 20+random.IntN(50)) // whoever was killed has not taken the lock along
		second.kill(l)
		l.check(openStore(t, root))
		if t.Failed() {
			t.Fatalf("in round %d", round+1)
		}
	}
	t.Logf("%d messages were delivered, %d removed", len(l.delivered), len(l.removed))
	if len(l.delivered) < 3*rounds || len(l.removed) < rounds {
		t.Error("hardly anything was done")
	}
}
