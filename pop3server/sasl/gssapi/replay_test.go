package gssapi

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/sasl"
)

func TestReplayCache(t *testing.T) {
	const window = 10 * time.Minute
	c := NewReplayCache(2)
	for _, test := range []struct {
		id    byte
		after time.Duration
		ok    bool
	}{
		{1, 0, true},
		{1, 0, false},      // there
		{1, window, false}, // still there
		{2, time.Second, true},
		{3, window, false},     // full
		{3, window + 1, true},  // 1 is over
		{1, window + 1, false}, // full
		{2, window + 2, false}, // there
		{1, 5 * window, true},  // all are over
		{2, 5 * window, true},
		{4, 5 * window, false}, // full
		{2, 4 * window, false}, // the clock was put back
		{5, 10 * window, true},
		{5, 10 * window, false},
	} {
		err := c.add(replayID{test.id}, now.Add(test.after), now.Add(test.after+window))
		if (err == nil) != test.ok || (err != nil && !errors.Is(err, sasl.ErrFailed)) {
			t.Errorf("%d after %v: %v", test.id, test.after, err)
		}
		if len(c.seen) != len(c.queue) || len(c.queue) > 2 {
			t.Errorf("%d after %v: the cache has %d and %d entries", test.id, test.after, len(c.seen), len(c.queue))
		}
	}
}

// Memory is bounded by what is remembered at once, not by what was.
func TestReplayCacheForgets(t *testing.T) {
	c := NewReplayCache(10)
	for n := range 100_000 {
		moment := now.Add(time.Duration(n) * time.Second)
		if err := c.add(replayID{byte(n), byte(n >> 8), byte(n >> 16)}, moment, moment.Add(5*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.seen) > 6 || cap(c.queue) > 100 {
		t.Errorf("the cache has %d entries, and room for %d", len(c.seen), cap(c.queue))
	}
}

// Of many that come with one authenticator at once, one is first.
func TestReplayCacheAtOnce(t *testing.T) {
	c := NewReplayCache(1000)
	var wait sync.WaitGroup
	var accepted atomic.Int32
	for range 8 {
		wait.Go(func() {
			for n := range 100 {
				if c.add(replayID{byte(n)}, now, now.Add(time.Minute)) == nil {
					accepted.Add(1)
				}
			}
		})
	}
	wait.Wait()
	if accepted.Load() != 100 {
		t.Errorf("%d are accepted, want 100", accepted.Load())
	}
}
