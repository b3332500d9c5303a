package maildrop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
)

// indexed makes a maildrop of six messages, the first of which is removed, with an index, and gives what that says.
func indexed(t *testing.T) (s *JournalStore, path string, st *state) {
	t.Helper()
	s = openStore(t, t.TempDir())
	for i := range 6 {
		deliver(t, s, alice, sampleText(fmt.Sprint(i), 800))
	}
	session := openDrop(t, s, alice)
	b := s.boxes[alice.ID]
	b.compacting = true // so that the removed one stays
	remove(t, session, session.Messages()[0])
	if err := b.writeIndex(); err != nil {
		t.Fatal(err)
	}
	path = b.path("index")
	return s, path, readIndex(path, b.journal)
}

// An index whose checksums are right and that says what cannot be is not believed.
func TestSenselessIndex(t *testing.T) {
	for what, change := range map[string]func(*state){
		"no length":       func(st *state) { st.live[0].offset, st.live[0].length = 0, 0 },
		"negative offset": func(st *state) { st.live[1].offset = math.MinInt64 },
		"large offset":    func(st *state) { st.live[1].offset = math.MaxInt64 - 3 },
		"large length":    func(st *state) { st.live[1].length = math.MaxUint32 },
		"not ascending":   func(st *state) { st.live[0], st.live[4] = st.live[4], st.live[0] },
		"number too high": func(st *state) { st.live[4].uid = st.nextUID },
		"removed outside": func(st *state) { st.removed[0].offset = -900 },
		"removed and not": func(st *state) { st.removed[0].uid = st.live[2].uid },
		"negative octets": func(st *state) { st.live[1].Octets = -5 },
		"last behind end": func(st *state) { st.last = st.end },
		"last very large": func(st *state) { st.last, st.end = math.MaxInt64-10, math.MaxInt64 },
		"last negative":   func(st *state) { st.last = -8 },
	} {
		s, path, st := indexed(t)
		change(st)
		if err := os.WriteFile(path, encodeIndex(st), fileMode); err != nil {
			t.Fatal(err)
		}
		fresh := openStore(t, s.root)
		if owner, err := fresh.Owner(context.Background(), alice.ID); owner != alice.Owner || err != nil {
			t.Errorf("%s: the owner is %q, %v", what, owner, err)
		}
		if n := readEach(t, openDrop(t, fresh, alice)); n != 5 {
			t.Errorf("%s: %d of 5 messages can be read", what, n)
		}
	}
}

// Whatever octet of an index has changed, it is not believed, nor is the owner that it names.
func TestDamagedIndex(t *testing.T) {
	s, path, _ := indexed(t)
	index := readFile(t, path)
	for i := range index {
		index[i] ^= 1
		if err := os.WriteFile(path, index, fileMode); err != nil {
			t.Fatal(err)
		}
		index[i] ^= 1
		if readIndex(path, s.boxes[alice.ID].journal) != nil {
			t.Fatalf("octet %d has changed, and the index is believed", i)
		}
		if owner, err := openStore(t, s.root).Owner(context.Background(), alice.ID); owner != alice.Owner || err != nil {
			t.Fatalf("octet %d has changed: the owner is %q, %v", i, owner, err)
		}
	}
}

// Several servers may write the index at the same time: processes in containers have the same number.
func TestIndexWrittenByTwo(t *testing.T) {
	s, path, _ := indexed(t)
	other := openStore(t, s.root)
	openDrop(t, other, alice)
	var group sync.WaitGroup
	for _, b := range []*box{s.boxes[alice.ID], other.boxes[alice.ID]} {
		group.Go(func() {
			for range 100 {
				if err := b.writeIndex(); err != nil {
					t.Error(err)
				}
				if readIndex(path, b.journal) == nil {
					t.Error("the index is of no use")
				}
			}
		})
	}
	group.Wait()
}

// A body that is closed gives nothing of what others read.
func TestClosedBody(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, sampleText("first", 300))
	session := openDrop(t, s, alice)
	r, err := session.Body(context.Background(), session.Messages()[0])
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(r); len(text) > 0 {
		t.Errorf("a closed body gives %q", text)
	}
}

// What no message can have as its number is refused, and nothing is changed.
func TestChangeOfWhatCannotBe(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	for _, number := range []uint64{0, 2, math.MaxUint64} {
		if err := s.Change(context.Background(), alice.ID, Change{Remove: []uint64{1, number}}); !errors.Is(err, ErrVanished) {
			t.Errorf("%d: %v", number, err)
		}
	}
	if n := len(openDrop(t, s, alice).Messages()); n != 1 {
		t.Errorf("%d messages are left, want 1", n)
	}
}

// Room is given back by whole blocks: a message is gone, and told as such, or it is as it was.
func TestPunchedOrWhole(t *testing.T) {
	s := openStore(t, t.TempDir())
	for size := 400; size < 9000; size += 13 {
		deliver(t, s, alice, "A: b\r\n\r\n"+strings.Repeat("x", size)+"\r\n")
	}
	session := openDrop(t, s, alice)
	b := s.boxes[alice.ID]
	b.compacting = true
	remove(t, session, session.Messages()...)
	if err := b.punch(); err != nil {
		t.Fatal(err)
	}
	for _, e := range openContents(t, s).Messages {
		r, err := s.OpenEntry(context.Background(), alice.ID, e)
		if err == nil {
			err = r.Close()
		}
		if (err != nil) != e.Gone {
			t.Errorf("message %s, a record of %d octets: gone is told %t, and it is %v", e.UID(), e.length, e.Gone, err)
		}
	}
}
