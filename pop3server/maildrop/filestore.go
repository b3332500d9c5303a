package maildrop

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

// FileStore is a Store with one file a message.
type FileStore struct{}

var _ Store = (*FileStore)(nil)

// NewFileStore opens the store in a folder, which it makes if need be.
func NewFileStore(root string, log *slog.Logger) (*FileStore, error) {
	return nil, errors.ErrUnsupported
}

// Open implements Store.
func (s *FileStore) Open(ctx context.Context, box Mailbox) (Session, error) {
	return nil, errors.ErrUnsupported
}

// Deliver implements Store.
func (s *FileStore) Deliver(ctx context.Context, recipients []Recipient, body io.Reader) ([]error, error) {
	return nil, errors.ErrUnsupported
}

// Usage implements Store.
func (s *FileStore) Usage(ctx context.Context, box Mailbox) (Usage, error) {
	return Usage{}, errors.ErrUnsupported
}

// Check implements Store.
func (s *FileStore) Check(ctx context.Context) error { return errors.ErrUnsupported }
