package maildrop

import (
	"context"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// manyMessages makes a journal of so many small messages that every other one makes more spans than a record has.
func manyMessages() (journal []byte, count int) {
	const many = 2*maxSpans + 4
	h := &headerRecord{version: formatVersion, generation: 1, salt: fuzzSalt, nextUID: 1, owner: alice.Owner}
	journal = appendRecord(make([]byte, 0, many*112), fuzzSalt, 0, h)
	text := []byte("A: b\r\n")
	r := &messageRecord{octets: int64(len(text)), inline: uint32(len(text)), inlineCRC: crc32.Checksum(text, castagnoli)}
	for range many {
		r.uid++
		journal = appendRecord(journal, fuzzSalt, 0, r, text)
	}
	return journal, many
}

// odd gives every other one of a session's messages.
func odd(messages []Message) (some []Message) {
	for i := 0; i < len(messages); i += 2 {
		some = append(some, messages[i])
	}
	return some
}

// countAt gives how many messages are in a copy of alice's maildrop as it is now, which is what a crash leaves of it.
func countAt(t *testing.T, root string) int {
	t.Helper()
	copied, folder := memoryFolder(t), filepath.Join("aa", alice.ID)
	if err := os.CopyFS(filepath.Join(copied, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, copied)
	defer s.Close()
	session := openDrop(t, s, alice)
	defer func() { _ = session.Close() }()
	return len(session.Messages())
}

// A removal that is too large for one record is all or nothing too, and so is what takes it back; with and without retention.
func TestRemovalOfManySpans(t *testing.T) {
	t.Parallel()
	journal, many := manyMessages()
	for _, kept := range []time.Duration{0, time.Hour} {
		root := memoryFolder(t)
		s, _ := plant(t, root, journal)
		s.options.Policy = func() Policy { return Policy{DeletedItemRetention: kept} }
		session := openDrop(t, s, alice)
		going := odd(session.Messages())
		if kept == 0 {
			checkFailedRemoval(t, s, session, going)
			checkRemovalAtOnce(t, s, session, going)
			continue
		}
		remove(t, session, going...)
		s.background.Wait()
		if err := s.Change(context.Background(), alice.ID, Change{Restore: sorted(numbersOf(going))}); err != nil {
			t.Fatal(err)
		}
		if left := countAt(t, s.root); left != many {
			t.Errorf("%d messages of %d are there after they were restored", left, many)
		}
	}
}

func numbersOf(messages []Message) (numbers []uint64) {
	for _, m := range messages {
		numbers = append(numbers, m.Number())
	}
	return numbers
}

// checkFailedRemoval checks that nothing is removed where the new journal cannot be written.
func checkFailedRemoval(t *testing.T, s *JournalStore, session Session, going []Message) {
	t.Helper()
	s.hooks.failing = func(string) error { return errors.New("injected") }
	if err := session.Delete(context.Background(), going); err == nil {
		t.Error("no error was told")
	}
	s.hooks.failing = func(string) error { return nil }
	u, err := s.Usage(context.Background(), alice)
	if want := int64(len(session.Messages())); err != nil || u.Messages != want || countAt(t, s.root) != int(want) {
		t.Errorf("usage %+v, want %d messages, %v", u, want, err)
	}
}

// checkRemovalAtOnce checks that a crash leaves all messages or all that stay.
func checkRemovalAtOnce(t *testing.T, s *JournalStore, session Session, going []Message) {
	t.Helper()
	many, steps := len(session.Messages()), map[string]int{}
	s.hooks.reached = func(step string) {
		if step == "compacted" || step == "replaced" {
			steps[step] = countAt(t, s.root)
		}
	}
	remove(t, session, going...)
	if stay := many - len(going); steps["compacted"] != many || steps["replaced"] != stay {
		t.Errorf("%d messages of %d are to stay; there are %v", stay, many, steps)
	}
}
