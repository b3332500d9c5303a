// Package testkit has what tests of several packages share. Nothing but tests imports it.
package testkit

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// Log keeps what is written to it. It may be read while others write.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String gives all that has been written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lookEvery is the time between two looks at what tells nobody that it has changed, such as another process's log.
const lookEvery = 2 * time.Millisecond

// Eventually waits for what must come within a time; explain tells what there is instead, and may be nil.
func Eventually(t testing.TB, within time.Duration, what string, done func() bool, explain func() string) {
	t.Helper()
	for start := time.Now(); !done(); time.Sleep(lookEvery) {
		if time.Since(start) <= within {
			continue
		}
		if explain == nil {
			t.Fatalf("no %s within %v", what, within)
		}
		t.Fatalf("no %s within %v:\n%s", what, within, explain())
	}
}
