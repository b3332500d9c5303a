package maildrop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A message that was read is kept as long as readMaxAge says, be that longer or shorter than unreadMaxAge
// ([MS-STANXPOP3] E0005).
func TestRetention(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		unread, read time.Duration
		want         string
	}{
		{0, 0, "unread.1 read.1 unread.3 read.3 unread.5 read.5"},
		{4 * day, 0, "unread.1 read.1 unread.3 read.3 read.5"},
		{0, 4 * day, "unread.1 read.1 unread.3 read.3 unread.5"},
		{2 * day, 4 * day, "unread.1 read.1 read.3"},
		{4 * day, 2 * day, "unread.1 read.1 unread.3"},
		{2 * day, 2 * day, "unread.1 read.1"},
	} {
		s := openStore(t, t.TempDir())
		im, err := s.NewImport(context.Background(), alice)
		if err != nil {
			t.Fatal(err)
		}
		for _, age := range []int{1, 3, 5} {
			for _, what := range []string{"unread", "read"} {
				m := Imported{UID: fmt.Sprintf("%s.%d", what, age), Received: time.Now().Add(-time.Duration(age) * day),
					Seen: what == "read", Body: strings.NewReader(hello)}
				if err := im.Add(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := im.Close(); err != nil {
			t.Fatal(err)
		}
		s.options.Policy = func() Policy { return Policy{UnreadMaxAge: test.unread, ReadMaxAge: test.read} }
		if got := strings.Join(uids(openDrop(t, s, alice).Messages()), " "); got != test.want {
			t.Errorf("unread %v, read %v: %s are left, want %s", test.unread, test.read, got, test.want)
		}
	}
}

// Whoever is shut out gets an error, and not others a maildrop that answers no more.
func TestImportIntoForeignMaildrop(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	if _, err := s.NewImport(context.Background(), Mailbox{ID: alice.ID, Owner: "evil/alice"}); !errors.Is(err, ErrForeignOwner) {
		t.Errorf("NewImport: %v", err)
	}
	openDrop(t, s, alice)
}

// Messages that come after one that cannot be taken are not mixed up with it.
func TestImportGoesOnAfterAnError(t *testing.T) {
	s, names := openStore(t, t.TempDir()), map[string]bool{}
	im, err := s.NewImport(context.Background(), alice)
	if err != nil {
		t.Fatal(err)
	}
	bodies := filepath.Join(s.root, "aa", alice.ID, "b")
	if err := errors.Join(os.MkdirAll(filepath.Dir(bodies), folderMode), os.WriteFile(bodies, nil, fileMode)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"large", "small", "smaller", "larger"} { // the first one cannot be put there
		size := 1
		if strings.HasPrefix(name, "large") {
			size = inlineOctets + 1
		}
		names[name] = im.Add(Imported{UID: name, Body: strings.NewReader(sampleText(name, size))}) == nil
		_ = os.Remove(bodies)
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(names, func(_ string, taken bool) bool { return !taken })
	checkNames(t, s, names)
	checkUIDNames(t, s)
}

// checkUIDNames checks that each message has its name as its unique-id.
func checkUIDNames(t *testing.T, s *JournalStore) {
	t.Helper()
	session := openDrop(t, s, alice)
	for _, m := range session.Messages() {
		if name, err := checkSample(body(t, session, m)); name != m.UID() {
			t.Errorf("message %s has the unique-id %s, %v", name, m.UID(), err)
		}
	}
}

// A body whose record is not written yet is not taken for left over, however long the import takes.
func TestSlowImport(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, sampleText("before", 1))
	im, err := s.NewImport(context.Background(), alice)
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Add(Imported{Body: strings.NewReader(sampleText("slow", inlineOctets+1))}); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * strayAge)
	for _, pattern := range []string{filepath.Join(s.tmp, "*"), filepath.Join(s.root, "aa", alice.ID, "b", "*")} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if err := os.Chtimes(file, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Compact(context.Background(), alice.ID); err != nil {
		t.Fatal(err)
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	checkNames(t, s, map[string]bool{"before": true, "slow": true})
}

// One file in new/ that cannot be taken keeps no other out, and nothing is left of what was read in vain.
func TestTakingOverInPart(t *testing.T) {
	s := openStore(t, t.TempDir())
	putNew(t, s.root, "1.large", sampleText("large", inlineOctets+1))
	putNew(t, s.root, "2.small", sampleText("small", 1))
	s.hooks.failing = func(at string) error { // what is to be in a file of its own
		if at == "sync" {
			s.hooks.failing = func(string) error { return nil }
			return syscall.EIO
		}
		return nil
	}
	names := map[string]bool{"small": true}
	checkNames(t, s, names)
	names["large"] = true
	checkNames(t, s, names)
	checkNothingHalf(t, s, 1)
}

func TestTakingOverForAForeignOwner(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	putNew(t, s.root, "1.large", sampleText("large", inlineOctets+1))
	for range 3 {
		if _, err := s.Open(context.Background(), Mailbox{ID: alice.ID, Owner: "evil/alice"}); !errors.Is(err, ErrForeignOwner) {
			t.Errorf("Open: %v", err)
		}
	}
	checkNothingHalf(t, s, 0)
	if n := len(openDrop(t, s, alice).Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// After Purge, nothing of a maildrop is left that the next owner could come by, neither in the maildrop nor in its folder.
func TestPurge(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	secret := func(name string) string { return "Subject: " + name + "\r\n\r\nsecret\r\n" }
	deliver(t, s, alice, secret("first"))
	deliver(t, s, alice, secret("second"))
	deliver(t, s, alice, secret("large")+strings.Repeat("secret\r\n", inlineOctets/8))
	spoil(t, root, "second")
	s = openStore(t, root)
	journal := readFile(t, journalPath(root))
	journal[recordsOf(t, journal)[2].offset+prefixOctets] ^= 1
	if err := os.WriteFile(journalPath(root), journal, fileMode); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(context.Background(), alice.ID); err != nil { // keeps the damaged one
		t.Fatal(err)
	}
	putNew(t, root, "1.new", secret("new"))
	if err := s.Purge(context.Background(), alice.ID, bob.Owner); err != nil || !holds(t, root, "secret") {
		t.Errorf("not his mail: %v", err)
	}
	if err := s.Purge(context.Background(), alice.ID, alice.Owner); err != nil || holds(t, root, "secret") {
		t.Errorf("Purge: %v, or something is left", err)
	}
	next := Mailbox{ID: alice.ID, Owner: "mail/next"}
	deliver(t, s, next, hello)
	messages := openDrop(t, s, next).Messages()
	if len(messages) != 1 || messages[0].uid <= 3 {
		t.Errorf("the next owner has %v", uids(messages))
	}
}

// holds tells whether a text is in any file.
func holds(t *testing.T, root, text string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			found = found || strings.Contains(string(readFile(t, path)), text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A purge that has died in the midst leaves nothing in new/ for the next owner either.
func TestPurgeThatFails(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	putNew(t, s.root, "1.new", hello)
	s.hooks.failing = func(string) error { return errors.New("injected") }
	if err := s.Purge(context.Background(), alice.ID, alice.Owner); err == nil {
		t.Error("no error was told")
	}
	if files, _ := filepath.Glob(filepath.Join(s.root, "aa", alice.ID, "new", "*")); len(files) != 0 {
		t.Errorf("left in new/: %v", files)
	}
	s.hooks.failing = func(string) error { return nil }
	if got := uids(openDrop(t, s, alice).Messages()); !slices.Equal(got, []string{"1"}) {
		t.Errorf("messages %v", got)
	}
}

// What does not fit into one record that a reader would believe is refused, not acknowledged and lost.
func TestTooLargeForARecord(t *testing.T) {
	s := openStore(t, memoryFolder(t))
	long := Recipient{Mailbox: alice, Trace: []byte("X: " + strings.Repeat("x", maxInlineOctets) + "\r\n")}
	results, err := s.Deliver(context.Background(), []Recipient{long}, strings.NewReader(hello))
	if err != nil || results[0] == nil {
		t.Errorf("%v, %v", err, results)
	}
	deliver(t, s, alice, hello)
	if n := len(openDrop(t, s, alice).Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// Removals whose messages are kept are written down again by a compaction, however many there are.
func TestManyRemovalsAreKept(t *testing.T) {
	s := openStore(t, memoryFolder(t))
	s.options.Policy = func() Policy { return Policy{DeletedItemRetention: time.Hour} }
	deliver(t, s, alice, hello)
	b := s.boxes[alice.ID]
	c := &compaction{box: b, st: b.st}
	for uid := range uint64(maxHeadOctets/16 + 10) {
		c.kept = append(c.kept, removed{Message{uid: 2*uid + 1}, reasonQuit, 1})
	}
	var written bytes.Buffer
	c.out = bufio.NewWriter(&written)
	if err := errors.Join(c.putRemoved(), c.out.Flush()); err != nil {
		t.Fatal(err)
	}
	spans, size := 0, int64(written.Len())
	end, damage, err := (&scanner{r: bytes.NewReader(written.Bytes()), size: size}).scan(0, func(p placed) error {
		spans += len(p.record.(*removeRecord).uids)
		return nil
	})
	if err != nil || end != size || len(damage) != 0 || spans != maxHeadOctets/16+10 {
		t.Errorf("%d spans, %v, damage %v", spans, err, damage)
	}
}

// An index that is newer than the journal, which was copied back from where it was saved, is not believed; not even when the
// journal has become longer.
func TestIndexOfALostJournal(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	deliver(t, s, alice, sampleText("a", 1))
	saved := readFile(t, journalPath(root))
	deliver(t, s, alice, sampleText("lost", 300))
	if err := s.boxes[alice.ID].writeIndex(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(journalPath(root), saved, fileMode); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{"a": true}
	for i := range 8 {
		name := fmt.Sprint(i, strings.Repeat("b", 2+i))
		names[name] = true
		deliver(t, openStore(t, root), alice, sampleText(name, 1))
		checkNames(t, openStore(t, root), names)
	}
}

// Closing a session twice does not take the journal from those who still use it.
func TestCloseTwice(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	first, second := openDrop(t, s, alice), openDrop(t, s, alice)
	for range 3 {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := body(t, second, second.Messages()[0]); got != hello {
		t.Errorf("body %q", got)
	}
}

// A message that is removed while it is being opened has vanished, and is not damaged.
func TestRemovedWhileOpening(t *testing.T) {
	t.Parallel()
	root := memoryFolder(t)
	s, text := openStore(t, root), sampleText("large", inlineOctets+1)
	for range 400 {
		deliver(t, s, alice, text)
		session := openDrop(t, s, alice)
		m := session.Messages()[0]
		var group sync.WaitGroup
		for range 4 {
			reader := openDrop(t, s, alice)
			group.Go(func() {
				openUntilVanished(t, reader, m)
				_ = reader.Close()
			})
		}
		other := openDrop(t, s, alice)
		remove(t, other, m)
		group.Wait()
		s.background.Wait()
		if err := errors.Join(other.Close(), session.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func openUntilVanished(t *testing.T, session Session, m Message) {
	for {
		session.Rest()
		r, err := session.Body(context.Background(), m)
		if err != nil {
			if !errors.Is(err, ErrVanished) {
				t.Error(err)
			}
			return
		}
		_ = r.Close()
	}
}

// No file stays open that nobody uses.
func TestFilesAreClosed(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	before := openFiles(t)
	for i := range 50 {
		deliver(t, s, alice, sampleText("a", i%2*inlineOctets))
		session := openDrop(t, s, alice)
		session.MarkRead(session.Messages()[0])
		_ = body(t, session, session.Messages()[0])
		if i%5 == 0 {
			remove(t, session, session.Messages()...)
			if err := s.Compact(context.Background(), alice.ID); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := session.Body(context.Background(), session.Messages()[0]); err == nil {
			_ = r.Close()
		}
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.background.Wait()
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open after %d", after, before)
	}
	s.Close()
	if after := openFiles(t); after >= before {
		t.Errorf("%d files are open after the store was closed, %d before", after, before)
	}
}

// openFiles counts this process's open files, of which none must come or go meanwhile by a test beside this one.
func openFiles(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, _ := os.Readlink(filepath.Join("/proc/self/fd", entry.Name())); strings.Contains(target, t.Name()) {
			n++
		}
	}
	return n
}

// The header stands there twice: damage to either of them loses nothing.
func TestDamagedHeader(t *testing.T) {
	journal, texts := smallJournal(t)
	records := recordsOf(t, journal)
	for _, at := range []int64{0, records[0].offset + 30, records[1].offset + 30} {
		bad := slices.Clone(journal)
		bad[at] ^= 1
		root := memoryFolder(t)
		s, _ := plant(t, root, bad)
		session := openDrop(t, s, alice)
		if got := session.Messages(); len(got) != len(texts)-1 || body(t, session, got[0]) != texts["1"] {
			t.Errorf("octet %d: %d messages, want %d", at, len(got), len(texts)-1)
		}
		deliver(t, s, alice, hello)
	}
}
