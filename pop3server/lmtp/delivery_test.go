package lmtp

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// failingStore is a store in which some maildrops fail.
type failingStore struct {
	maildrop.Store
	mu   sync.Mutex
	errs map[string]error // by the maildrop's id
}

// fail gives a store that fails for these mailboxes.
func fail(t *testing.T, err error, ids ...string) *failingStore {
	s := &failingStore{Store: newStore(t), errs: make(map[string]error)}
	for _, id := range ids {
		s.errs[id] = err
	}
	return s
}

func (s *failingStore) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = nil
}

// Deliver does with the others what the store does, and reads nothing where there are none.
func (s *failingStore) Deliver(ctx context.Context, recipients []maildrop.Recipient, body io.Reader) ([]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]error, len(recipients))
	var others []maildrop.Recipient
	var of []int
	for i, r := range recipients {
		if results[i] = s.errs[r.ID]; results[i] == nil {
			others, of = append(others, r), append(of, i)
		}
	}
	delivered, err := s.Store.Deliver(ctx, others, body)
	for i, result := range delivered {
		results[of[i]] = result
	}
	return results, err
}

// What a store says is told to the MTA such that no mail is lost and none sent back that could be delivered later; the text is
// read to its end, and nothing is told of how the mail is kept.
func TestStoreErrors(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		reply string
	}{
		"disk full":          {fmt.Errorf("deliver to secret: %w", maildrop.ErrNoSpace), "452 4.3.1"},
		"damaged":            {fmt.Errorf("deliver to secret: %w", maildrop.ErrDamaged), "451 4.3.0"},
		"volume unreachable": {&fs.PathError{Op: "open", Path: "secret", Err: fs.ErrInvalid}, "451 4.3.0"},
		"foreign owner":      {&maildrop.ForeignOwnerError{Owner: "mail/secret"}, "451 4.3.0"},
		"over quota":         {fmt.Errorf("secret: %w", maildrop.ErrOverQuota), "552 5.2.2"},
	} {
		for _, text := range []string{
			"DATA\r\n" + long(200) + "\r\n.\r\n", "BDAT 100\r\n" + long(100) + "BDAT 100 LAST\r\n" + long(100),
		} {
			store := fail(t, test.err, alice.ID)
			f := start(t, store)
			c := f.greet(t)
			c.say(aliceEnvelope + text + "NOOP\r\n")
			c.expect("250", "250")
			c.expect(map[bool]string{true: "354", false: "250 2.0.0 Continue"}[strings.HasPrefix(text, "DATA")])
			if got := c.line(); !strings.HasPrefix(got, test.reply+" <alice@example.com>") || strings.Contains(got, "secret") {
				t.Errorf("%s: got %q, want %s", name, got, test.reply)
			}
			c.expect("250 2.0.0 Ok")
			store.heal()
			if n := len(f.messages(t, alice)); n != 0 {
				t.Errorf("%s: %d messages, want none", name, n)
			}
			c.begin()
			c.say(".\r\n")
			c.expect("250 2.0.0 <alice@example.com>")
			if n := len(f.messages(t, alice)); n != 1 {
				t.Errorf("%s: %d messages afterwards, want 1", name, n)
			}
		}
	}
}

// RFC 2033 §4.2: a reply for each recipient, in the order of RCPT, whichever way the text came.
func TestRepliesInOrderOfRecipients(t *testing.T) {
	f := start(t, fail(t, maildrop.ErrNoSpace, bob.ID))
	f.change(func(s *Settings) { s.MaxRecipients = 10 })
	const envelope = "MAIL FROM:<>\r\nRCPT TO:<small@example.com>\r\nRCPT TO:<bob@example.com>\r\n" +
		"RCPT TO:<nobody@example.com>\r\nRCPT TO:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<sales@example.com>\r\n"
	c := f.greet(t)
	big := long(9000) + "\r\n"
	for _, text := range []string{"DATA\r\n" + big + ".\r\n", "BDAT 5000\r\n" + big[:5000] + "BDAT 4002 LAST\r\n" + big[5000:]} {
		c.say(envelope + text)
		c.expect("250", "250", "250", "550 5.1.1", "250", "250", "250")
		c.expect(map[bool]string{true: "354", false: "250 2.0.0 Continue"}[strings.HasPrefix(text, "DATA")])
		c.expect("552 5.2.2 <small@example.com>", "452 4.3.1 <bob@example.com>", "250 2.0.0 <alice@example.com>",
			"452 4.3.1 <bob@example.com>", "250 2.0.0 <sales@example.com>")
	}
	if a, b, s := len(f.messages(t, alice)), len(f.messages(t, bob)), len(f.messages(t, small)); a != 2 || b != 0 || s != 0 {
		t.Errorf("alice has %d messages, bob %d, small %d; want 2, none and none", a, b, s)
	}
}

// A maildrop of another owner defers mail, and somebody is told who owns what.
func TestForeignOwner(t *testing.T) {
	f := start(t, nil)
	before := mailbox(alice)
	before.Owner = "mail/former"
	recipients := []maildrop.Recipient{{Mailbox: before}}
	results, err := f.Store.Deliver(t.Context(), recipients, strings.NewReader("A: b\r\n"))
	if err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 451 4.3.0 The mail system failed
		C: RCPT TO:<bob@example.com>
		S: 250`)
	if got := testutil.ToFloat64(f.metrics.foreign); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
	log := f.log.String()
	for _, want := range []string{
		"level=ERROR", "mailbox=" + alice.ID, "mailboxOwner=" + alice.Owner, "maildropOwner=mail/former",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in log %s", want, log)
		}
	}
}

// watchedStore tells when a text has begun to come in.
type watchedStore struct {
	maildrop.Store
	read chan int
}

func (s *watchedStore) Deliver(ctx context.Context, recipients []maildrop.Recipient, body io.Reader) ([]error, error) {
	return s.Store.Deliver(ctx, recipients, &watchedReader{body, s.read, 0})
}

type watchedReader struct {
	io.Reader
	read  chan int
	total int
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.total += n
	r.read <- r.total
	return n, err
}

// A client that stops within a text holds up nobody who uses the same mailbox, be the text in memory or in a file by then.
func TestSlowSenderHoldsNoLock(t *testing.T) {
	for _, octets := range []int{100, 1 << 20} {
		for _, command := range []string{"DATA\r\n", "BDAT 9000000 LAST\r\n"} {
			store := &watchedStore{newStore(t), make(chan int, 1<<20)}
			f := start(t, store)
			f.change(func(s *Settings) { s.MaxMessageOctets = 10 << 20 })
			slow := f.greet(t)
			slow.say(aliceEnvelope + command + strings.Repeat(long(98)+"\r\n", octets/100))
			for read := 0; read < octets/100*100; read = <-store.read {
			}
			quick := f.greet(t)
			quick.say(aliceEnvelope + "DATA\r\n.\r\n")
			quick.expect("250", "250", "354", "250 2.0.0 <alice@example.com>")
			session, err := f.Store.Open(t.Context(), mailbox(alice))
			if err != nil {
				t.Fatal(err)
			}
			if n := len(session.Messages()); n != 1 {
				t.Errorf("%d messages while a text comes in, want 1", n)
			}
			if err := session.Delete(t.Context(), session.Messages()); err != nil {
				t.Error(err)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
			_ = slow.Close()
		}
	}
}

// A mailbox that has gone, or become another one's, while the text came gets nothing: its mail may have been removed already.
func TestMailboxGoesDuringTheText(t *testing.T) {
	for reply, change := range map[string]func(*directory.Record){
		"550 5.1.1": func(r *directory.Record) { r.State = directory.Purged },
		"550 5.2.1": func(r *directory.Record) { r.State = directory.Disabled },
		"451 4.3.0": func(r *directory.Record) { r.Owner = "mail/heir" },
	} {
		f := start(t, nil)
		var now atomic.Pointer[directory.Record]
		first := alice
		now.Store(&first)
		f.Lookup = func(string) (directory.Record, bool) { return *now.Load(), true }
		c := f.greet(t)
		c.script(`C: MAIL FROM:<>
			S: 250
			C: RCPT TO:<alice@example.com>
			S: 250
			C: DATA
			S: 354
			C: Subject: late`)
		changed := alice
		change(&changed)
		now.Store(&changed)
		c.script("C: .\nS: " + reply)
		if n := len(f.messages(t, alice)); n != 0 {
			t.Errorf("%s: %d messages are in the maildrop", reply, n)
		}
	}
}
