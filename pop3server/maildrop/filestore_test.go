package maildrop

import (
	"bufio"
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

func openStore(t fatal, root string) *FileStore {
	t.Helper()
	s, err := NewFileStore(root, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func deliver(t fatal, s *FileStore, box Mailbox, body string) {
	t.Helper()
	results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: box}}, strings.NewReader(body))
	if err != nil || results[0] != nil {
		t.Fatal(err, results)
	}
}

func openDrop(t fatal, s *FileStore, box Mailbox) Session {
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
		all = append(all, m.UID)
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
func drafts(t *testing.T, s *FileStore) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.tmp, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDeliverAndRead(t *testing.T) {
	s := openStore(t, t.TempDir())
	before := time.Now().Add(-time.Second)
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
	if m.UID != "1" || m.Octets != int64(len(want)) || m.StorageOctets != 4096 {
		t.Errorf("%+v", m)
	}
	if m.Received.Before(before) || m.Received.After(time.Now()) {
		t.Errorf("received %v", m.Received)
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
	if len(entries) != 1 || entries[0].Name() != "tmp" {
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
	base := t.TempDir()
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
			if _, err := fmt.Sscan(newest.UID, &uid); err != nil || uid <= last {
				t.Fatalf("unique-id %s after %d", newest.UID, last)
			}
			last = uid
			remove(t, session, rapid.SliceOf(rapid.SampledFrom(session.Messages())).Draw(t, "removed")...)
			if rapid.Bool().Draw(t, "restart") {
				s = openStore(t, root)
			}
		}
	})
}

// Without next-uid no number is safe: a message with a higher one may have been removed.
func TestNextUIDMissingOrDamaged(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	d, _ := s.drop(alice.ID)
	for _, test := range []struct{ name, text string }{
		{"missing", "-"}, {"empty", ""}, {"torn", "1x"}, {"at its end", "18446744073709551615\n"},
	} {
		err := os.WriteFile(d.nextUIDFile(), []byte(test.text), fileMode)
		if test.name == "missing" {
			err = os.Remove(d.nextUIDFile())
		}
		if err != nil {
			t.Fatal(err)
		}
		results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(hello))
		if err != nil || results[0] == nil || !strings.Contains(results[0].Error(), "next-uid") {
			t.Errorf("%s: result %v (%v), want an error that names next-uid", test.name, results, err)
		}
	}
}

// A server that is killed while it makes a maildrop leaves one that the next delivery completes.
func TestMaildropThatWasBegun(t *testing.T) {
	s := openStore(t, t.TempDir())
	d, _ := s.drop(alice.ID)
	if err := errors.Join(os.MkdirAll(d.messages, folderMode), d.firstUID()); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, alice, hello)
	if diff := cmp.Diff([]string{"1"}, uids(openDrop(t, s, alice).Messages())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A quota is over when it is reached or would be exceeded.
func TestQuota(t *testing.T) {
	for _, test := range []struct {
		quota int64
		taken int
	}{{1, 0}, {4095, 0}, {4096, 1}, {8191, 1}, {8192, 2}, {0, 3}} {
		t.Run(fmt.Sprint(test.quota), func(t *testing.T) {
			s, box := openStore(t, t.TempDir()), alice
			box.ProhibitReceive = test.quota
			for i := range 3 {
				results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: box}}, strings.NewReader(hello))
				if err != nil || errors.Is(results[0], ErrOverQuota) != (i >= test.taken) {
					t.Errorf("message %d: %v %v", i+1, err, results[0])
				}
			}
			u, err := s.Usage(context.Background(), box)
			if want := (Usage{int64(test.taken), int64(test.taken) * 4096}); err != nil || u != want {
				t.Errorf("usage %+v, %v; want %+v", u, err, want)
			}
		})
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

// [MS-STANXPOP3] V0006: the other messages are removed, those that were not named stay.
func TestDeleteGoesOnAfterAnError(t *testing.T) {
	s := openStore(t, t.TempDir())
	for range 3 {
		deliver(t, s, alice, hello)
	}
	session := openDrop(t, s, alice)
	stuck := session.(*fileSession).path(session.Messages()[0])
	if err := errors.Join(os.Remove(stuck), os.MkdirAll(filepath.Join(stuck, "x"), folderMode)); err != nil {
		t.Fatal(err)
	}
	if err := session.Delete(context.Background(), session.Messages()[:2]); err == nil {
		t.Error("no error was told")
	}
	if diff := cmp.Diff([]string{"1", "3"}, uids(openDrop(t, s, alice).Messages())); diff != "" {
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

func TestFullVolume(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0) // the kernel answers each write with ENOSPC
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	d := &draft{file: full}
	if err := classify(d.write([]byte(hello), func(*bufio.Writer) error { return nil })); !errors.Is(err, ErrNoSpace) {
		t.Errorf("%v, want ErrNoSpace", err)
	}
}

func TestDamagedMessageIsNotServed(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	session := openDrop(t, s, alice)
	m := session.Messages()[0]
	if err := os.Truncate(session.(*fileSession).path(m), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Body(context.Background(), m); err == nil || errors.Is(err, ErrVanished) {
		t.Errorf("a message that was cut off: %v", err)
	}
}

func TestOtherFilesAreNoMessages(t *testing.T) {
	for _, name := range []string{"1", "1.2", "01.2.3", "1.2.3.4", "-1.2.3", "1.x.3", ".nfs0001", "18446744073709551616.2.3", ""} {
		if m, ok := parseName(name); ok {
			t.Errorf("%q was taken for %+v", name, m)
		}
	}
	if m, ok := parseName("17.4097.1764000000"); !ok || m.UID != "17" || m.Octets != 4097 || m.StorageOctets != 8192 {
		t.Errorf("%+v, %v", m, ok)
	}
}

func TestStaleDraftsAreSwept(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	stale, fresh := filepath.Join(s.tmp, "draft-stale"), filepath.Join(s.tmp, "draft-fresh")
	long := time.Now().Add(-staleDraft - time.Minute)
	err := errors.Join(os.WriteFile(stale, nil, fileMode), os.WriteFile(fresh, nil, fileMode), os.Chtimes(stale, long, long))
	if err != nil {
		t.Fatal(err)
	}
	// An old one that a server is still at work on stays.
	slow, err := writeDraft(s.tmp, nil, func(*bufio.Writer) error { return nil })
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
		if m.UID != fmt.Sprint(i+1) {
			t.Errorf("message %d has the unique-id %s", i+1, m.UID)
		}
		seen[body(t, session, m)] = true
	}
	if len(seen) != writers*each {
		t.Errorf("%d different messages, want %d", len(seen), writers*each)
	}
}
