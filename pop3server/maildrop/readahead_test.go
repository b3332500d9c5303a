package maildrop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// In whatever order messages are fetched, with rests in between or without, each is what was delivered.
func TestReadAhead(t *testing.T) {
	s := openStore(t, t.TempDir())
	random := rand.New(rand.NewPCG(1, 2))
	var texts []string
	for i := range 300 {
		size := random.IntN(6000)
		if i%50 == 0 {
			size = readAheadOctets - 200 + random.IntN(200) // a record that just fits, or does not
		}
		texts = append(texts, fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", size)))
		deliver(t, s, alice, texts[i])
	}
	session := openDrop(t, s, alice)
	orders := map[string]func(i int) int{
		"forwards":  func(i int) int { return i },
		"backwards": func(i int) int { return len(texts) - 1 - i },
		"in leaps":  func(i int) int { return i * 7 % len(texts) },
		"one alone": func(int) int { return 17 },
		"at random": func(int) int { return random.IntN(len(texts)) },
	}
	for name, order := range orders {
		for i := range texts {
			n := order(i)
			if got := body(t, session, session.Messages()[n]); got != texts[n] {
				t.Fatalf("%s: message %d is %q, want %q", name, n, clip(got), clip(texts[n]))
			}
			if random.IntN(40) == 0 {
				session.Rest()
			}
		}
	}
}

// What another process removes is seen after a rest.
func TestRestLooksAnew(t *testing.T) {
	root := t.TempDir()
	s, other := openStore(t, root), openStore(t, root)
	deliver(t, s, alice, hello)
	deliver(t, s, alice, hello)
	session := openDrop(t, s, alice)
	body(t, session, session.Messages()[0])
	remove(t, openDrop(t, other, alice), session.Messages()...)
	session.Rest()
	for _, m := range session.Messages() {
		if _, err := session.Body(context.Background(), m); !errors.Is(err, ErrVanished) {
			t.Errorf("message %s: %v, want ErrVanished", m.UID(), err)
		}
	}
}

// A session at rest holds no memory for reading.
func TestRestHoldsNothing(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, alice, hello)
	drop := openDrop(t, s, alice)
	body(t, drop, drop.Messages()[0])
	drop.Rest()
	if ahead := drop.(*session).ahead; ahead != (readAhead{}) {
		t.Errorf("at rest: %+v", ahead)
	}
}
