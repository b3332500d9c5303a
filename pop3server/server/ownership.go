package server

import (
	"context"
	"errors"
	"io"
	"maps"
	"sync"

	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// ownership is a store that remembers which maildrops belong to another owner than the directory says: their users get
// neither mail nor login, and only the operator's user can put that right.
type ownership struct {
	maildrop.Store

	mu      sync.Mutex
	foreign map[string]string // the owner, by the maildrop's id
}

func newOwnership(store maildrop.Store) *ownership {
	return &ownership{Store: store, foreign: make(map[string]string)}
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

// check looks who owns the maildrops of mailboxes that have just been declared, or changed.
func (o *ownership) check(records []directory.Record) {
	for _, r := range records {
		if r.State != directory.Purged {
			_, _ = o.Usage(context.Background(), maildrop.Mailbox{ID: r.ID, Owner: r.Owner, Adopt: r.Adopt})
		}
	}
}

// all gives the maildrops that belong to others.
func (o *ownership) all() map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.foreign)
}
