package authn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWorkersQueueInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(func() int { return 1 }, 2, time.Minute)
		mustAcquire(t, w)
		order := make(chan int, 2)
		for i := range 2 {
			go func() {
				mustAcquire(t, w)
				order <- i
			}()
			synctest.Wait()
		}
		if err := w.acquire(t.Context()); !errors.Is(err, ErrBusy) {
			t.Errorf("a full queue gives %v, want ErrBusy", err)
		}
		for want := range 2 {
			w.release()
			if got := <-order; got != want {
				t.Errorf("waiter %d came before waiter %d", got, want)
			}
		}
	})
}

func TestWorkersWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(func() int { return 1 }, 2, time.Minute)
		mustAcquire(t, w)
		start := time.Now()
		if err := w.acquire(t.Context()); !errors.Is(err, ErrBusy) || time.Since(start) != time.Minute {
			t.Errorf("gave %v after %v, want ErrBusy after a minute", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) || len(w.waiting) != 0 {
			t.Errorf("gave %v with %d left in the queue, want the context's error and none", err, len(w.waiting))
		}
	})
}

func TestWorkersLimitIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := 1
		w := newWorkers(func() int { return limit }, 8, time.Minute)
		mustAcquire(t, w)
		for range 2 {
			go mustAcquire(t, w)
		}
		synctest.Wait()
		limit = 2
		w.release()
		synctest.Wait()
		if w.active != 2 || len(w.waiting) != 0 {
			t.Errorf("%d active, %d waiting; want 2 and 0", w.active, len(w.waiting))
		}
	})
}

func TestWorkersTurnThatNobodyTakesGoesOn(t *testing.T) {
	w := newWorkers(func() int { return 1 }, 2, time.Minute)
	mustAcquire(t, w)
	turn, _ := w.enter()
	w.release() // the turn has come just as the waiter gives up
	w.leave(turn)
	if w.active != 0 {
		t.Errorf("%d workers are lost", w.active)
	}
}

func mustAcquire(t *testing.T, w *workers) {
	t.Helper()
	if err := w.acquire(t.Context()); err != nil {
		t.Error(err)
	}
}
