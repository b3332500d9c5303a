package maildrop

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who owns a maildrop is told alike by a store that knows it and by one that has to look, whatever has become of the index.
func TestOwner(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	expect := func(what, want string) {
		t.Helper()
		for name, store := range map[string]*JournalStore{"the store": s, "a new store": openStore(t, root)} {
			if got, err := store.Owner(context.Background(), alice.ID); err != nil || got != want {
				t.Errorf("%s: %s says %q, %v, want %q", what, name, got, err, want)
			}
		}
	}
	heir := Mailbox{ID: alice.ID, Owner: "mail/heir", Adopt: true}
	expect("no maildrop", "")
	deliver(t, s, alice, hello)
	expect("a message", alice.Owner)
	if err := s.boxes[alice.ID].writeIndex(); err != nil {
		t.Fatal(err)
	}
	expect("an index", alice.Owner)
	deliver(t, s, heir, hello)
	expect("adopted behind the index", heir.Owner)
	if err := s.Compact(context.Background(), alice.ID); err != nil {
		t.Fatal(err)
	}
	expect("the index is an older journal's", heir.Owner)
	index := filepath.Join(root, alice.ID[:2], alice.ID, "index")
	if err := os.WriteFile(index, []byte(strings.Repeat("x", indexPeekOctets)), fileMode); err != nil {
		t.Fatal(err)
	}
	expect("the index is damaged", heir.Owner)
	if err := s.Purge(context.Background(), alice.ID, heir.Owner); err != nil {
		t.Fatal(err)
	}
	expect("purged", "")
}
