//go:build unix

package filelock

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"
)

func TestLockIsExclusiveUntilUnlocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Lock(short, path, io.Discard); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second Lock: %v, want a time-out", err)
	}
	unlock()
	again, err := Lock(t.Context(), path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	again()
}
