package maildrop

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func purge(t *testing.T, s *JournalStore, box Mailbox) {
	t.Helper()
	if err := s.Purge(context.Background(), box.ID, box.Owner); err != nil {
		t.Fatal(err)
	}
}

var heir = Mailbox{ID: alice.ID, Owner: "mail/heir"}

// A session that was open when the maildrop was given up does not take it back.
func TestSessionAcrossPurge(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	first, second := openDrop(t, s, alice), openDrop(t, s, alice)
	second.MarkRead(second.Messages()[0])
	purge(t, s, alice)
	remove(t, first, first.Messages()...)
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, heir, hello)
	if got := uids(openDrop(t, s, heir).Messages()); len(got) != 1 || got[0] != "2" {
		t.Errorf("the next owner has %v", got)
	}
}

// What another delivery agent has left for one owner is not the next one's, also where nobody has ever logged in.
func TestPurgeOfWhatNobodyHasTaken(t *testing.T) {
	s := openStore(t, t.TempDir())
	folder := filepath.Join(s.root, alice.ID[:2], alice.ID, "new")
	if err := errors.Join(os.MkdirAll(filepath.Join(folder, "sub", "folder"), folderMode),
		os.WriteFile(filepath.Join(folder, "1.secret"), []byte(hello), fileMode)); err != nil {
		t.Fatal(err)
	}
	purge(t, s, alice)
	if got := openDrop(t, s, heir).Messages(); len(got) != 0 {
		t.Errorf("the next owner sees %d messages", len(got))
	}
}

// The last message counts as torn where its body is damaged; its unique-id is not given again all the same.
func TestPurgeOfADamagedEnd(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	deliver(t, s, alice, hello)
	deliver(t, s, alice, "A: b\r\n\r\nneedle\r\n")
	s.Close()
	spoil(t, root, "needle")
	s = openStore(t, root)
	purge(t, s, alice)
	deliver(t, s, heir, hello)
	if got := openDrop(t, s, heir).Messages(); len(got) != 1 || got[0].uid <= 2 {
		t.Errorf("the next owner has %v", uids(got))
	}
}

// What another process has written, and may have been killed before it could sync, is synced before anything is decided upon
// it.
func TestForeignRecordsAreSynced(t *testing.T) {
	root := t.TempDir()
	s, other := openStore(t, root), openStore(t, root)
	deliver(t, s, alice, hello)
	deliver(t, other, alice, hello)
	full := alice
	full.ProhibitReceive = 1
	if results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: full}}, strings.NewReader(hello)); err != nil ||
		!errors.Is(results[0], ErrOverQuota) {
		t.Fatal(results, err)
	}
	b, done, err := s.use(alice.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if b.synced != b.st.end || len(b.st.live) != 2 {
		t.Errorf("%d messages up to %d are known, synced up to %d", len(b.st.live), b.st.end, b.synced)
	}
}

// Of a batch of several messages no head is on disk before all bodies are: until then there are no records.
func TestBatchBeginsAsNoRecords(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	b, done, err := s.use(alice.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	w := &batch{st: b.st}
	for i := range 3 {
		m := &incoming{spool: &spool{memory: []byte(hello), octets: int64(len(hello))}}
		r := m.record()
		r.uid = uint64(i + 2)
		w.add(r, m.memory)
	}
	if err := b.putBodies(w); err != nil {
		t.Fatal(err)
	}
	if got := openDrop(t, openStore(t, s.root), alice).Messages(); len(got) != 1 {
		t.Errorf("%d messages are there before the heads are", len(got))
	}
	if err := b.append(w, true); err != nil {
		t.Fatal(err)
	}
	if got := openDrop(t, openStore(t, s.root), alice).Messages(); len(got) != 4 {
		t.Errorf("%d messages are there, want 4", len(got))
	}
}

// imports imports messages with these unique-ids, and gives the first error.
func imports(t *testing.T, s *JournalStore, uids ...string) error {
	t.Helper()
	im, err := s.NewImport(context.Background(), alice)
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range uids {
		if err := im.Add(Imported{UID: uid, Body: strings.NewReader("A: " + uid + "\n\n")}); err != nil {
			return errors.Join(err, im.Close())
		}
	}
	return im.Close()
}

// Numbers that are kept for an import stay its own, whatever is delivered meanwhile and also after a compaction; numbers
// that this store has given never become another message's, also when theirs are gone.
func TestNumbersOfImportedMessages(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	deliver(t, s, alice, hello)
	session := openDrop(t, s, alice)
	remove(t, session, session.Messages()...)
	change := Change{NextUID: 301, ForImport: true}
	if err := errors.Join(session.Close(), s.Change(context.Background(), alice.ID, change)); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, alice, hello)
	for _, restart := range []func(){func() {}, func() {
		if err := s.Compact(context.Background(), alice.ID); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = openStore(t, root)
	}} {
		restart()
		for _, uid := range []string{"1", "301"} {
			if err := imports(t, s, uid); !errors.Is(err, ErrKnownUID) {
				t.Errorf("unique-id %s, which was given here: %v", uid, err)
			}
		}
	}
	if err := imports(t, s, "2", "300", "1000", "0301"); err != nil {
		t.Error(err)
	}
	deliver(t, s, alice, hello)
	got := uids(openDrop(t, s, alice).Messages())
	if strings.Join(got[:5], " ") != "301 2 300 1000 0301" || len(got) != 6 || len(got[5]) != 4 {
		t.Errorf("%v", got)
	}
}

// The store's own number of an imported message is no unique-id, so that another imported message may have it.
func TestNumbersInARow(t *testing.T) {
	s := openStore(t, t.TempDir())
	if err := imports(t, s, "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Change(context.Background(), alice.ID, Change{NextUID: 50, ForImport: true}); err != nil {
		t.Fatal(err)
	}
	if err := imports(t, s, "2", "3", "49"); err != nil {
		t.Error(err)
	}
}

// On a volume on which nothing can be written, mail that is too old does not keep its user out; an adoption that fails does.
func TestLoginWhereNothingCanBeWritten(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	deliver(t, s, alice, hello)
	s.options.Policy = func() Policy { return Policy{UnreadMaxAge: time.Nanosecond} }
	time.Sleep(time.Until(openContents(t, s).Messages[0].Received().Add(time.Second))) // ages are told in whole seconds
	s.hooks.failing = func(string) error { return errors.New("injected") }
	if got := openDrop(t, s, alice).Messages(); len(got) != 1 {
		t.Errorf("%d messages are listed", len(got))
	}
	adopting := heir
	adopting.Adopt = true
	if _, err := s.Open(context.Background(), adopting); err == nil {
		t.Error("a maildrop was adopted without a word of it on disk")
	}
	s.hooks.failing = func(string) error { return nil }
	if got := openDrop(t, s, alice).Messages(); len(got) != 0 {
		t.Errorf("%d messages are listed that are too old", len(got))
	}
}

func openContents(t *testing.T, s *JournalStore) Contents {
	t.Helper()
	c, err := s.Inspect(context.Background(), alice.ID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
