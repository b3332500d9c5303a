package maildrop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	alice = Mailbox{ID: strings.Repeat("a", 26), Owner: "mail/alice"}
	bob   = Mailbox{ID: strings.Repeat("b", 26), Owner: "mail/bob"}
)

const hello = "Subject: hello\r\n\r\nHello.\r\n"

// fatal is what *testing.T and *rapid.T share.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// warningText stands in the place of what the server says.
func warningText(w Warning) []byte {
	return fmt.Appendf(nil, "Subject: warning at %d of %d", w.StorageOctets, w.IssueWarning)
}

func openStore(t fatal, root string) *JournalStore {
	t.Helper()
	s, err := New(root, Options{Log: slog.New(slog.DiscardHandler), Warning: warningText})
	if err != nil {
		t.Fatal(err)
	}
	if test, ok := t.(interface{ Cleanup(func()) }); ok {
		test.Cleanup(s.Close) // nothing is at work in the folder any more when it is removed
	}
	return s
}

func deliver(t fatal, s *JournalStore, box Mailbox, body string) {
	t.Helper()
	results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: box}}, strings.NewReader(body))
	if err != nil || results[0] != nil {
		t.Fatal(err, results)
	}
}

func openDrop(t fatal, s *JournalStore, box Mailbox) Session {
	t.Helper()
	session, err := s.Open(context.Background(), box)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func body(t fatal, session Session, m Message) string {
	t.Helper()
	r, err := session.Body(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func uids(messages []Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.UID())
	}
	return all
}

func remove(t fatal, session Session, messages ...Message) {
	t.Helper()
	if err := session.Delete(context.Background(), messages); err != nil {
		t.Fatal(err)
	}
}

// drafts tells what is in the store's tmp folder.
func drafts(t *testing.T, s *JournalStore) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.tmp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDeliverAndRead(t *testing.T) {
	s := openStore(t, t.TempDir())
	before := time.Now().Add(-2 * time.Second)
	recipient := Recipient{Mailbox: alice, Trace: []byte("Delivered-To: alice\r\n")}
	results, err := s.Deliver(context.Background(), []Recipient{recipient}, strings.NewReader("A: b\n\nbody"))
	if err != nil || results[0] != nil {
		t.Fatal(err, results)
	}
	session := openDrop(t, s, alice)
	const want = "Delivered-To: alice\r\nA: b\r\n\r\nbody\r\n"
	m := session.Messages()[0]
	if got := body(t, session, m); got != want {
		t.Errorf("body %q, want %q", got, want)
	}
	if m.UID() != "1" || m.Octets != int64(len(want)) || m.StorageOctets <= m.Octets || m.StorageOctets > m.Octets+120 {
		t.Errorf("%+v", m)
	}
	if m.Received().Before(before) || m.Received().After(time.Now()) {
		t.Errorf("received %v", m.Received())
	}
	if left := drafts(t, s); len(left) != 0 {
		t.Errorf("drafts are left: %v", left)
	}
}

func TestDeliverToSeveral(t *testing.T) {
	s := openStore(t, t.TempDir())
	full := Mailbox{ID: strings.Repeat("c", 26), Owner: "mail/full", ProhibitReceive: 1}
	recipients := []Recipient{
		{Mailbox: full, Trace: []byte("Delivered-To: full\r\n")},
		{Mailbox: alice, Trace: []byte("Delivered-To: alice\r\n")},
		{Mailbox: bob, Trace: []byte("Delivered-To: bob\r\n")},
		{Mailbox: Mailbox{ID: "../../etc", Owner: "x"}},
	}
	results, err := s.Deliver(context.Background(), recipients, strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(results[0], ErrOverQuota) || results[1] != nil || results[2] != nil || results[3] == nil {
		t.Errorf("results %v", results)
	}
	for i, box := range []Mailbox{alice, bob} {
		session := openDrop(t, s, box)
		if got, want := body(t, session, session.Messages()[0]), string(recipients[i+1].Trace)+hello; got != want {
			t.Errorf("body %q, want %q", got, want)
		}
	}
	if n := len(openDrop(t, s, full).Messages()) + len(drafts(t, s)); n != 0 {
		t.Errorf("%d messages or drafts of the refused delivery are left", n)
	}
}

func TestOpenOfWhatDoesNotExistCreatesNothing(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	if messages := openDrop(t, s, alice).Messages(); len(messages) != 0 {
		t.Errorf("messages %v", messages)
	}
	entries, _ := os.ReadDir(root)
	if len(entries) != 2 || entries[0].Name() != "reserve" || entries[1].Name() != "tmp" {
		t.Errorf("the folder has %v", entries)
	}
}

func TestForeignOwnerIsShutOut(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	thief := Mailbox{ID: alice.ID, Owner: "evil/alice"}
	if _, err := s.Open(context.Background(), thief); !errors.Is(err, ErrForeignOwner) {
		t.Errorf("Open: %v", err)
	}
	if _, err := s.Usage(context.Background(), thief); !errors.Is(err, ErrForeignOwner) {
		t.Errorf("Usage: %v", err)
	}
	results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: thief}}, strings.NewReader(hello))
	if err != nil || !errors.Is(results[0], ErrForeignOwner) {
		t.Errorf("Deliver: %v %v", err, results)
	}
	if _, err := s.Open(context.Background(), Mailbox{ID: alice.ID}); err == nil {
		t.Error("an empty owner was let in")
	}
}

// [MS-STANXPOP3] C0007, C0008, C0009.
func TestUIDsRiseAndAreNeverUsedAgain(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	deliver(t, s, alice, hello)
	deliver(t, s, alice, hello)
	session := openDrop(t, s, alice)
	if diff := cmp.Diff([]string{"1", "2"}, uids(session.Messages())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	remove(t, session, session.Messages()...)
	s = openStore(t, root)
	for range 9 {
		deliver(t, s, alice, hello)
	}
	want := []string{"3", "4", "5", "6", "7", "8", "9", "10", "11"}
	if diff := cmp.Diff(want, uids(openDrop(t, s, alice).Messages())); diff != "" {
		t.Errorf("after all were removed (-want +got):\n%s", diff)
	}
}

func TestUIDsOverAnyHistory(t *testing.T) {
	t.Parallel()
	base := memoryFolder(t)
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		s, last := openStore(t, root), uint64(0)
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			deliver(t, s, alice, hello)
			session := openDrop(t, s, alice)
			newest := session.Messages()[len(session.Messages())-1]
			var uid uint64
			if _, err := fmt.Sscan(newest.UID(), &uid); err != nil || uid <= last {
				t.Fatalf("unique-id %s after %d", newest.UID(), last)
			}
			last = uid
			remove(t, session, rapid.SliceOf(rapid.SampledFrom(session.Messages())).Draw(t, "removed")...)
			if rapid.Bool().Draw(t, "restart") {
				s = openStore(t, root)
			}
		}
	})
}

// A quota is over when it is reached or would be exceeded.
func TestQuota(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, bob, hello)
	one := openDrop(t, s, bob).Messages()[0].StorageOctets
	for id, test := range map[string]struct {
		quota int64
		taken int
	}{"c": {1, 0}, "d": {one - 1, 0}, "e": {one, 1}, "f": {2*one - 1, 1}, "g": {2 * one, 2}, "h": {0, 3}} {
		box := Mailbox{ID: strings.Repeat(id, 26), Owner: "x", ProhibitReceive: test.quota}
		for i := range 3 {
			results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: box}}, strings.NewReader(hello))
			if err != nil || errors.Is(results[0], ErrOverQuota) != (i >= test.taken) {
				t.Errorf("quota %d, message %d: %v %v", test.quota, i+1, err, results[0])
			}
		}
		u, err := s.Usage(context.Background(), box)
		if want := (Usage{int64(test.taken), int64(test.taken) * one}); err != nil || u != want {
			t.Errorf("quota %d: usage %+v, %v; want %+v", test.quota, u, err, want)
		}
	}
}

// [MS-STANXPOP3] C0004.
func TestSnapshotIsFrozen(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	deliver(t, s, alice, hello)
	first, second := openDrop(t, s, alice), openDrop(t, s, alice)
	deliver(t, s, alice, hello)
	gone := second.Messages()[1]
	remove(t, second, gone)
	if n := len(first.Messages()); n != 2 {
		t.Errorf("the snapshot has %d messages, want 2", n)
	}
	if _, err := first.Body(context.Background(), gone); !errors.Is(err, ErrVanished) {
		t.Errorf("Body of a message that another session removed: %v", err)
	}
	if got := body(t, first, first.Messages()[0]); got != hello {
		t.Errorf("body %q", got)
	}
	remove(t, first, gone) // gone already counts as removed
	if diff := cmp.Diff([]string{"1", "3"}, uids(openDrop(t, s, alice).Messages())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// [MS-STANXPOP3] V0006: where a removal fails, nothing is removed.
func TestDeleteIsAllOrNothing(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	for range 3 {
		deliver(t, s, alice, hello)
	}
	session := openDrop(t, s, alice)
	for _, operation := range []string{"write", "sync"} {
		s.hooks.failing = func(at string) error {
			if at == operation {
				return errors.New("injected")
			}
			return nil
		}
		if err := session.Delete(context.Background(), session.Messages()[:2]); err == nil {
			t.Errorf("%s failed, and no error was told", operation)
		}
		s.hooks.failing = func(string) error { return nil }
		for _, store := range []*JournalStore{s, openStore(t, root)} {
			if diff := cmp.Diff([]string{"1", "2", "3"}, uids(openDrop(t, store, alice).Messages())); diff != "" {
				t.Errorf("after a failed %s (-want +got):\n%s", operation, diff)
			}
		}
	}
	remove(t, session, session.Messages()[:2]...)
	if diff := cmp.Diff([]string{"3"}, uids(openDrop(t, openStore(t, root), alice).Messages())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBodyThatCannotBeReadIsDeliveredToNobody(t *testing.T) {
	s := openStore(t, t.TempDir())
	cut := io.MultiReader(strings.NewReader(hello), iotest.ErrReader(io.ErrUnexpectedEOF))
	results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}, {Mailbox: bob}}, cut)
	if !errors.Is(err, io.ErrUnexpectedEOF) || results != nil {
		t.Errorf("%v, %v", results, err)
	}
	if n := len(openDrop(t, s, alice).Messages()) + len(drafts(t, s)); n != 0 {
		t.Errorf("%d messages or drafts are left", n)
	}
}

// A message of which an octet has changed is not served as if it were whole, be it in the journal or in a file of its own.
func TestDamagedMessageIsNotServed(t *testing.T) {
	for _, size := range []int{100, inlineOctets + 1} {
		root := t.TempDir()
		s := openStore(t, root)
		text := "A: b\r\n\r\n" + strings.Repeat("0123456789abcdef", size/16) + "needle\r\n"
		deliver(t, s, alice, text)
		deliver(t, s, alice, hello) // the last one is looked at when the journal is read
		session := openDrop(t, s, alice)
		if got := body(t, session, session.Messages()[0]); got != text {
			t.Fatalf("%d octets came back of %d", len(got), len(text))
		}
		spoil(t, root, "needle")
		session.Rest()
		r, err := session.Body(context.Background(), session.Messages()[0])
		if err == nil {
			var got []byte
			got, err = io.ReadAll(r)
			if len(got) == len(text) {
				t.Error("all of a damaged message was given")
			}
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%d octets: error is %v, want ErrDamaged", size, err)
		}
	}
}

// spoil changes an octet of a text, in whatever file of the store it is.
func spoil(t *testing.T, root, text string) {
	t.Helper()
	spoiled := false
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		i := strings.Index(string(data), text)
		if err != nil || i < 0 {
			return err
		}
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		spoiled = true
		_, err = file.WriteAt([]byte{text[0] ^ 1}, int64(i))
		return errors.Join(err, file.Close())
	})
	if err != nil || !spoiled {
		t.Fatalf("spoiled %t (%v)", spoiled, err)
	}
}

func TestStaleSpoolsAreSwept(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	stale, fresh := filepath.Join(s.tmp, "spool-stale"), filepath.Join(s.tmp, "spool-fresh")
	long := time.Now().Add(-staleSpool - time.Minute)
	err := errors.Join(os.WriteFile(stale, nil, fileMode), os.WriteFile(fresh, nil, fileMode), os.Chtimes(stale, long, long))
	if err != nil {
		t.Fatal(err)
	}
	// An old one that a server is still at work on stays.
	slow, err := s.newSpool(strings.NewReader(strings.Repeat("x", 2*inlineOctets)))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.discard()
	if err := os.Chtimes(slow.file.Name(), long, long); err != nil {
		t.Fatal(err)
	}
	want := []string{fresh, slow.file.Name()}
	slices.Sort(want)
	if diff := cmp.Diff(want, drafts(t, openStore(t, root))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheck(t *testing.T) {
	s := openStore(t, t.TempDir())
	if err := s.Check(context.Background()); err != nil || len(drafts(t, s)) != 0 {
		t.Errorf("%v, left: %v", err, drafts(t, s))
	}
	if err := os.RemoveAll(s.root); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(context.Background()); err == nil {
		t.Error("a volume that is gone passed")
	}
}

func TestTwoStoresOnOneFolder(t *testing.T) {
	root := t.TempDir()
	var group sync.WaitGroup
	const writers, each = 4, 8
	for i := range writers {
		s := openStore(t, root)
		group.Go(func() {
			for j := range each {
				text := fmt.Sprintf("Subject: %d.%d\r\n\r\n", i, j)
				results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(text))
				if err != nil || results[0] != nil {
					t.Error(err, results)
				}
			}
		})
	}
	group.Wait()
	session, seen := openDrop(t, openStore(t, root), alice), map[string]bool{}
	for i, m := range session.Messages() {
		if m.UID() != fmt.Sprint(i+1) {
			t.Errorf("message %d has the unique-id %s", i+1, m.UID())
		}
		seen[body(t, session, m)] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d different messages, want %d", len(seen), writers*each)
	}
}

// One warning a crossing, for which the quota does not hold; none before, and none twice.
func TestQuotaWarning(t *testing.T) {
	s, box := openStore(t, t.TempDir()), alice
	deliver(t, s, box, hello)
	one := openDrop(t, s, box).Messages()[0].StorageOctets
	box.IssueWarning, box.ProhibitReceive = 2*one, 2*one // the message that reaches both is taken
	warnings := func() (count int) {
		session := openDrop(t, s, box)
		for _, m := range session.Messages() {
			if strings.HasPrefix(body(t, session, m), "Subject: warning at ") {
				count++
			}
		}
		return count
	}
	deliver(t, s, box, hello)
	if got := warnings(); got != 1 {
		t.Errorf("%d warnings when the size is reached, want 1", got)
	}
	box.ProhibitReceive = 0
	deliver(t, s, box, hello)
	if got := warnings(); got != 1 {
		t.Errorf("%d warnings while it stays above, want 1", got)
	}
	session := openDrop(t, s, box)
	remove(t, session, session.Messages()...)
	deliver(t, s, box, hello)
	if got := warnings(); got != 0 {
		t.Errorf("%d warnings below", got)
	}
	deliver(t, s, box, hello)
	if got := warnings(); got != 1 {
		t.Errorf("%d warnings after the second crossing, want 1", got)
	}
}
