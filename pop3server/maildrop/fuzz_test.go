package maildrop

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var fuzzSalt = [16]byte{1, 2, 3}

// journalOf makes a journal of a program: records whose checksums are right, whatever they say. So fuzzing comes to what is
// behind the checksums.
func journalOf(program []byte) []byte {
	f := &fields{data: program}
	h := &headerRecord{version: formatVersion, generation: 1, salt: fuzzSalt, nextUID: uint64(f.u8()), owner: alice.Owner}
	journal := appendRecord(nil, fuzzSalt, 0, h)
	for len(f.data) > 0 && len(journal) < 1<<20 {
		r, body := nextRecord(f)
		journal = appendRecord(journal, fuzzSalt, 0, r, body)
	}
	return journal
}

func nextRecord(f *fields) (r record, body []byte) {
	switch f.u8() % 8 {
	case 0:
		return &removeRecord{f.u8(), int64(f.u8()), nextSpans(f)}, nil
	case 1:
		return &restoreRecord{nextSpans(f)}, nil
	case 2:
		return &seenRecord{nextSpans(f)}, nil
	case 3:
		return &ownerRecord{alice.Owner}, nil
	case 4:
		return &nextUIDRecord{nextNumber(f)}, nil
	}
	body = slices.Clone(f.take(int(min(f.u8(), 15))))
	m := &messageRecord{uid: nextNumber(f), received: int64(nextNumber(f)), octets: int64(nextNumber(f)), flags: uint32(f.u8()),
		inline: uint32(len(body)), inlineCRC: crc32.Checksum(body, castagnoli), source: [16]byte{f.u8()}}
	if f.u8()%4 > 0 {
		m.octets, m.flags = int64(len(body)), m.flags&^flagFile
	}
	return m, body
}

// nextNumber gives small numbers, and some that are at a limit.
func nextNumber(f *fields) uint64 {
	switch n := f.u8(); {
	case n < 250:
		return uint64(n)
	case n < 253:
		return math.MaxInt64 - 252 + uint64(n)
	default:
		return math.MaxUint64 - 255 + uint64(n)
	}
}

func nextSpans(f *fields) (spans uidSet) {
	for range f.u8() % 4 {
		spans = append(spans, span{nextNumber(f), nextNumber(f)})
	}
	return spans
}

// fuzzJournals adds what fuzzing a journal begins with.
func fuzzJournals(f *testing.F) {
	f.Helper()
	for _, text := range []string{hello, sampleText("a", inlineOctets+1)} {
		root := memoryFolder(f)
		s := openStore(f, root)
		for range 3 {
			deliver(f, s, alice, text)
		}
		session := openDrop(f, s, alice)
		session.MarkRead(session.Messages()[0])
		remove(f, session, session.Messages()[1])
		journal := readFile(f, journalPath(root))
		f.Add(journal, false)
		f.Add(journal[:len(journal)-5], false)
	}
	f.Add([]byte{}, false)
	f.Add([]byte{1, 5, 3, 'a', 'b', 'c', 1, 0, 3, 0, 0, 1, 5, 3, 'a', 'b', 'c', 2, 0, 3, 0, 0, 1, 0, 1, 9, 1, 1, 1}, true)
	f.Add([]byte{1, 5, 2, 'a', 'b', 1, 0, 2, 5, 7, 1, 0, 1, 9, 1, 1, 200, 1, 1, 1, 2, 2, 1, 1, 5, 9}, true)
}

// FuzzJournal opens what is no journal, or a journal that no store has written: it is read, or refused, and what can be read
// can be written to and written anew.
func FuzzJournal(f *testing.F) {
	fuzzJournals(f)
	root := memoryFolder(f)
	f.Fuzz(func(t *testing.T, data []byte, program bool) {
		if program {
			data = journalOf(data)
		}
		folder, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(folder) }()
		s, _ := plant(t, folder, data)
		defer s.Close()
		if session, err := s.Open(context.Background(), alice); err == nil {
			useFuzzed(t, s, session, !program)
		}
	})
}

// useFuzzed works on a maildrop. If it is not a program's, whose unique-ids need not rise, nothing may be lost.
func useFuzzed(t *testing.T, s *JournalStore, session Session, exact bool) {
	before := readEach(t, session)
	session.MarkRead(Message{uid: 1})
	results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(hello))
	if err != nil || results[0] != nil {
		t.Fatalf("what can be read cannot be written to: %v, %v", err, results)
	}
	if err := errors.Join(session.Close(), s.Compact(context.Background(), alice.ID)); err != nil {
		t.Fatal(err)
	}
	after := openDrop(t, s, alice)
	defer func() { _ = after.Close() }()
	if got, want := readEach(t, after), before+1; exact && got != want {
		t.Fatalf("%d messages can be read, want %d", got, want)
	}
	remove(t, after, after.Messages()...)
	if u, err := s.Usage(context.Background(), alice); err != nil || exact && u != (Usage{}) {
		t.Fatalf("usage %+v, %v", u, err)
	}
}

// readEach gives how many messages can be read.
func readEach(t *testing.T, session Session) (readable int) {
	for _, m := range session.Messages() {
		r, err := session.Body(context.Background(), m)
		if err != nil {
			continue
		}
		n, err := io.Copy(io.Discard, r)
		if err == nil && n != m.Octets {
			t.Fatalf("message %d has %d octets, its row says %d", m.uid, n, m.Octets)
		}
		if err = errors.Join(err, r.Close()); err == nil {
			readable++
		}
	}
	return readable
}

// FuzzIndex puts an index beside a good journal that is not its own. What the store says is what the journal says.
func FuzzIndex(f *testing.F) {
	root := memoryFolder(f)
	s := openStore(f, root)
	for i := range 3 {
		deliver(f, s, alice, sampleText(fmt.Sprint(i), 1))
	}
	session := openDrop(f, s, alice)
	session.MarkRead(session.Messages()[0])
	remove(f, session, session.Messages()[1])
	own := encodeIndex(s.boxes[alice.ID].st)
	if err := s.Compact(context.Background(), alice.ID); err != nil { // now it is an old one
		f.Fatal(err)
	}
	want, err := s.Inspect(context.Background(), alice.ID)
	if err != nil {
		f.Fatal(err)
	}
	for _, index := range [][]byte{own, own[:len(own)-1], {}, make([]byte, 12), make([]byte, 100)} {
		f.Add(index, true)
		f.Add(index, false)
	}
	index := filepath.Join(root, "aa", alice.ID, "index")
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed && len(data) >= 4 { // with a checksum that is right
			data = slices.Clone(data)
			binary.LittleEndian.PutUint32(data[len(data)-4:], crc32.Checksum(data[:len(data)-4], castagnoli))
		}
		if err := os.WriteFile(index, data, fileMode); err != nil {
			t.Fatal(err)
		}
		got, err := openStore(t, root).Inspect(context.Background(), alice.ID)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Message{})); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}
