package maildrop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// twin makes a maildrop of alice's in a folder of its own, with messages as large as those that a prefix stands for elsewhere,
// and gives its journal: of the same size as that one, and of another salt.
func twin(t *testing.T, prefix string, names map[string]bool) []byte {
	t.Helper()
	s := openStore(t, memoryFolder(t))
	for i := range 3 {
		name := fmt.Sprintf("%s.%d", prefix, i)
		names[name] = true
		deliver(t, s, alice, sampleText(name, 100))
	}
	return readFile(t, journalPath(s.root))
}

// Another generation's journal that has the same inode number, as a network file system may give it, is not taken for the one
// that is open: neither by a reader nor by a writer, be it as large or larger.
func TestReusedInode(t *testing.T) {
	for _, larger := range []bool{false, true} {
		for _, first := range []string{"read", "write"} {
			t.Run(fmt.Sprintf("larger %t, %s", larger, first), func(t *testing.T) {
				root, names := t.TempDir(), map[string]bool{}
				before := twin(t, "a", map[string]bool{})
				s, _ := plant(t, root, before)
				checkNames(t, s, map[string]bool{"a.0": true, "a.1": true, "a.2": true})
				journal := twin(t, "b", names)
				if len(journal) != len(before) {
					t.Fatalf("%d octets, want %d", len(journal), len(before))
				}
				time.Sleep(20 * time.Millisecond) // the clock of a file system is coarse
				if err := os.WriteFile(journalPath(root), journal, fileMode); err != nil {
					t.Fatal(err)
				}
				if larger {
					names["c"] = true
					deliver(t, openStore(t, root), alice, sampleText("c", 1))
				}
				if first == "write" {
					names["d"] = true
					deliver(t, s, alice, sampleText("d", 1))
				}
				checkNames(t, s, names)
				checkNames(t, openStore(t, root), names)
			})
		}
	}
}

// A journal that is gone from a network file system while it is open is opened again: once, since what is at the path is there.
func TestStaleJournal(t *testing.T) {
	root := t.TempDir()
	s, other := openStore(t, root), openStore(t, root)
	deliver(t, s, alice, sampleText("a", 1))
	left := 0
	s.hooks.reading = func() error {
		if left--; left >= 0 {
			return &os.PathError{Op: "read", Path: journalPath(root), Err: syscall.ESTALE}
		}
		return nil
	}
	left = 1
	deliver(t, other, alice, sampleText("b", 1))
	checkNames(t, s, map[string]bool{"a": true, "b": true})
	left = 1
	deliver(t, s, alice, sampleText("c", 1))
	for _, store := range []*JournalStore{s, other} {
		checkNames(t, store, map[string]bool{"a": true, "b": true, "c": true})
	}
}

// A journal of which the open file says nothing any more is opened anew.
func TestClosedJournal(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, sampleText("a", 1))
	b := s.boxes[alice.ID]
	if err := b.journal.file.Close(); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, alice, sampleText("b", 1))
	checkNames(t, s, map[string]bool{"a": true, "b": true})
}

// A body that a server with another clock has taken for left over, before its record was written, is put back.
func TestBodyLostBeforeItsRecord(t *testing.T) {
	large := sampleText("large", inlineOctets+1)
	for what, put := range map[string]func(*testing.T, *JournalStore){
		"delivery": func(t *testing.T, s *JournalStore) { deliver(t, s, alice, large) },
		"import": func(t *testing.T, s *JournalStore) {
			im, err := s.NewImport(context.Background(), alice)
			if err == nil {
				err = errors.Join(im.Add(Imported{Body: strings.NewReader(large)}), im.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"new": func(t *testing.T, s *JournalStore) {
			putNew(t, s.root, "1.large", large)
			_ = openDrop(t, s, alice).Close()
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, removed := openStore(t, t.TempDir()), 0
			deliver(t, s, alice, sampleText("before", 1))
			s.hooks.reached = func(step string) {
				if step == "locked" {
					removed += removeStrays(t, s)
				}
			}
			put(t, s)
			if removed != 1 {
				t.Errorf("%d bodies were removed before they had a record", removed)
			}
			names := map[string]bool{"before": true, "large": true}
			checkNames(t, s, names)
			checkNames(t, openStore(t, s.root), names)
			checkNothingHalf(t, s, 1)
		})
	}
}

// removeStrays does what a compaction does, by a clock that is two hours fast.
func removeStrays(t *testing.T, s *JournalStore) int {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(s.root, "aa", alice.ID, "b", "*"))
	long := time.Now().Add(-2 * strayAge)
	for _, file := range files {
		if err := os.Chtimes(file, long, long); err != nil {
			t.Error(err)
		}
	}
	b := s.boxes[alice.ID]
	c := &compaction{box: b, st: b.st, sure: func() error { return nil }}
	c.removeBodies()
	left, _ := filepath.Glob(filepath.Join(s.root, "aa", alice.ID, "b", "*"))
	return len(files) - len(left)
}

// Where a body is lost and cannot be put back, the message is not acknowledged.
func TestBodyThatCannotBePutBack(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, sampleText("before", 1))
	s.hooks.reached = func(step string) {
		if step != "locked" {
			return
		}
		removeStrays(t, s)
		for _, draft := range drafts(t, s) {
			_ = os.Remove(draft)
		}
	}
	large := strings.NewReader(sampleText("large", inlineOctets+1))
	results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, large)
	if err != nil || results[0] == nil {
		t.Errorf("%v, %v", err, results)
	}
	checkNames(t, s, map[string]bool{"before": true})
}
