package maildrop

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// Removed messages whose room was given back, or whose text is damaged, are not restored; the error names them, and nothing is
// changed. They are not listed as what can be restored either.
func TestRestoreAfterPunching(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	names := []string{"small", "inline", "large", "later", "needle", "rotten"}
	for i, size := range []int{1, 100_000, inlineOctets + 1, 1, 100_000, inlineOctets + 1} {
		deliver(t, s, alice, sampleText(names[i], size))
	}
	session := openDrop(t, s, alice)
	b := s.boxes[alice.ID]
	b.compacting = true // by another one, which the volume is too full for
	remove(t, session, session.Messages()[:3]...)
	if err := b.punch(); err != nil {
		t.Fatal(err)
	}
	remove(t, session, session.Messages()[3:]...)
	spoil(t, root, "needle")
	spoil(t, root, "rotten")
	checkGone(t, s, false, true, true, false, false, false)
	for _, change := range []Change{{Restore: []uint64{1, 2, 3, 4, 5, 6}}, {Restore: []uint64{2, 3, 5, 6}, Remove: []uint64{1}}} {
		err := s.Change(context.Background(), alice.ID, change)
		if !errors.Is(err, ErrNotRestorable) || !strings.Contains(err.Error(), "unique-ids 2, 3, 5, 6") {
			t.Errorf("%v: %v", change, err)
		}
	}
	if err := s.Change(context.Background(), alice.ID, Change{Restore: []uint64{1, 99}}); !errors.Is(err, ErrNotRestorable) {
		t.Errorf("a message that never was: %v", err)
	}
	checkNames(t, s, nil)
	// What is damaged may be removed for another reason; what is there already need not be restored.
	aside := Change{Restore: []uint64{2, 5}, Remove: []uint64{2, 5}}
	for _, change := range []Change{aside, {Restore: []uint64{1, 4}}, {Restore: []uint64{1}}} {
		if err := s.Change(context.Background(), alice.ID, change); err != nil {
			t.Errorf("%v: %v", change, err)
		}
	}
	checkNames(t, s, map[string]bool{"small": true, "later": true})
}

// A body that goes between being read and the change is not restored.
func TestRestoreMeanwhilePunched(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, sampleText("a", inlineOctets+1))
	session := openDrop(t, s, alice)
	b := s.boxes[alice.ID]
	b.compacting = true
	remove(t, session, session.Messages()...)
	s.hooks.reached = func(step string) {
		if step == "locked" {
			for name := range b.namesOf(b.st.removed) {
				removeBody(b.path("b"), name)
			}
		}
	}
	if err := s.Change(context.Background(), alice.ID, Change{Restore: []uint64{1}}); !errors.Is(err, ErrNotRestorable) {
		t.Errorf("a body that went meanwhile: %v", err)
	}
	checkNames(t, s, nil)
}

// checkGone checks what is told of each message.
func checkGone(t *testing.T, s *JournalStore, want ...bool) {
	t.Helper()
	for i, e := range openContents(t, s).Messages {
		if e.Gone != want[i] {
			t.Errorf("message %s: gone %t", e.UID(), e.Gone)
		}
	}
}
