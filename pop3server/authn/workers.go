package authn

import (
	"context"
	"slices"
	"sync"
	"time"
)

// workers bounds how many passwords are hashed at the same time: each hash takes a core and some 20 MiB. Who comes when
// all are busy waits in a short queue, in order; who finds that full, or waits too long, is told so.
type workers struct {
	limit      func() int
	maxWaiting int
	patience   time.Duration

	mu      sync.Mutex
	active  int
	waiting []chan struct{} // closed when the waiter's turn has come
}

func newWorkers(limit func() int, maxWaiting int, patience time.Duration) *workers {
	return &workers{limit: limit, maxWaiting: maxWaiting, patience: patience}
}

// acquire takes a worker; the caller gives it back with release. It fails with ErrBusy, or the context's error.
func (w *workers) acquire(ctx context.Context) error {
	turn, err := w.enter()
	if turn == nil || err != nil {
		return err
	}
	timer := time.NewTimer(w.patience)
	defer timer.Stop()
	select {
	case <-turn:
		return nil
	case <-timer.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.leave(turn)
	return err
}

// enter takes a worker at once, or else a place in the queue.
func (w *workers) enter() (turn chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.active < w.limit():
		w.active++
		return nil, nil
	case len(w.waiting) >= w.maxWaiting:
		return nil, ErrBusy
	}
	turn = make(chan struct{})
	w.waiting = append(w.waiting, turn)
	return turn, nil
}

// leave gives up the place in the queue, or the worker, if the turn has come meanwhile.
func (w *workers) leave(turn chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.waiting, turn); i >= 0 {
		w.waiting = slices.Delete(w.waiting, i, i+1)
		return
	}
	w.free()
}

// release gives a worker back.
func (w *workers) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free()
}

// free hands a worker, and any that a higher limit has added, to those who wait.
func (w *workers) free() {
	w.active--
	for len(w.waiting) > 0 && w.active < w.limit() {
		w.active++
		close(w.waiting[0])
		w.waiting = w.waiting[1:]
	}
}
