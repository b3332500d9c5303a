package server

import (
	"context"
	"errors"
	"io"
	"maps"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// ownership is a store that remembers which maildrops belong to another owner than the directory says: their users get
// neither mail nor login, and only the operator's user can put that right.
type ownership struct {
	maildrop.Store
	ownerOf func(ctx context.Context, id string) (string, error)

	mu      sync.Mutex
	foreign map[string]string // the owner, by the maildrop's id
}

func newOwnership(store *maildrop.JournalStore) *ownership {
	return &ownership{Store: store, ownerOf: store.Owner, foreign: make(map[string]string)}
}

// Open implements maildrop.Store.
func (o *ownership) Open(ctx context.Context, box maildrop.Mailbox) (maildrop.Session, error) {
	session, err := o.Store.Open(ctx, box)
	o.note(box.ID, err)
	return session, err
}

// Usage implements maildrop.Store.
func (o *ownership) Usage(ctx context.Context, box maildrop.Mailbox) (maildrop.Usage, error) {
	usage, err := o.Store.Usage(ctx, box)
	o.note(box.ID, err)
	return usage, err
}

// Deliver implements maildrop.Store.
func (o *ownership) Deliver(ctx context.Context, recipients []maildrop.Recipient, body io.Reader) ([]error, error) {
	results, err := o.Store.Deliver(ctx, recipients, body)
	for i, recipient := range recipients {
		if i < len(results) {
			o.note(recipient.ID, results[i])
		}
	}
	return results, err
}

func (o *ownership) note(id string, err error) {
	var foreign *maildrop.ForeignOwnerError
	isForeign := errors.As(err, &foreign)
	if err != nil && !isForeign {
		return // it says nothing about the owner
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch _, known := o.foreign[id]; {
	case !isForeign:
		delete(o.foreign, id)
	case known || len(o.foreign) < control.MaxForeign:
		o.foreign[id] = foreign.Owner
	}
}

// checksAtOnce is how many maildrops are looked into at the same time: a network file system takes its time for each.
const checksAtOnce = 8

// check looks who owns the maildrops of mailboxes that have just been declared, or changed: of all of them when the server
// starts, so that none is opened for it.
func (o *ownership) check(records []directory.Record) {
	var group errgroup.Group
	group.SetLimit(checksAtOnce)
	for _, r := range records {
		if r.State == directory.Purged {
			continue
		}
		group.Go(func() error {
			owner, err := o.ownerOf(context.Background(), r.ID)
			if err == nil && owner != "" && owner != r.Owner && !r.Adopt {
				err = &maildrop.ForeignOwnerError{Owner: owner}
			}
			o.note(r.ID, err)
			return nil
		})
	}
	_ = group.Wait() // none gives an error
}

// all gives the maildrops that belong to others.
func (o *ownership) all() map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.foreign)
}
