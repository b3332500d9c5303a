package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// purgeAgain is when a maildrop that could not be emptied is tried again.
const purgeAgain = 30 * time.Second

// purger empties the maildrops of mailboxes that the directory says are no more.
type purger struct {
	store *maildrop.JournalStore
	log   *slog.Logger

	mu    sync.Mutex
	queue []directory.Record
	done  map[string]int64 // revision of the records that are done with, by mailbox
	wake  chan struct{}
}

func newPurger(store *maildrop.JournalStore, log *slog.Logger) *purger {
	return &purger{store: store, log: log, done: make(map[string]int64), wake: make(chan struct{}, 1)}
}

// add takes the directory before it is served: what it asks for counts as pending from the moment on that it is told to be
// loaded.
func (p *purger) add(d *directory.Directory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = nil
	for _, r := range d.Purged() {
		if p.done[r.ID] != r.Since {
			p.queue = append(p.queue, r)
		}
	}
}

// begin has what add took done. The directory must be served by then: mail that is on its way to a mailbox looks once more
// whether there is one, and what comes before that is removed here.
func (p *purger) begin() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// pending gives the maildrops that are to be emptied still.
func (p *purger) pending() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for _, r := range p.queue[:min(len(p.queue), control.MaxPurging)] {
		ids = append(ids, r.ID)
	}
	return ids
}

// run empties maildrops until the context ends.
func (p *purger) run(ctx context.Context) {
	timer := time.NewTimer(purgeAgain)
	defer timer.Stop()
	p.begin() // with what the first directory asks for
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		p.purgeAll(ctx)
		timer.Reset(purgeAgain)
	}
}

func (p *purger) purgeAll(ctx context.Context) {
	p.mu.Lock()
	queue := p.queue
	p.mu.Unlock()
	for _, r := range queue {
		if err := p.store.Purge(ctx, r.ID, r.Owner); err != nil {
			p.log.Error("maildrop cannot be emptied, trying again", "mailbox", r.ID, "error", err)
			continue
		}
		p.log.Info("maildrop emptied, since its mailbox is no more", "mailbox", r.ID, "owner", r.Owner)
		p.finish(r)
	}
}

// finish notes that a record is done with, unless the directory has another one by now.
func (p *purger) finish(done directory.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[done.ID] = done.Since
	left := p.queue[:0:0]
	for _, r := range p.queue {
		if r.ID != done.ID || r.Since != done.Since {
			left = append(left, r)
		}
	}
	p.queue = left
}
