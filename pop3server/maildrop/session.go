package maildrop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// fileSession is a Session of a FileStore.
type fileSession struct {
	drop     drop
	messages []Message
}

var _ Session = (*fileSession)(nil)

// Messages implements Session.
func (s *fileSession) Messages() []Message { return s.messages }

// Body implements Session.
func (s *fileSession) Body(_ context.Context, m Message) (io.ReadCloser, error) {
	file, err := os.Open(s.path(m))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: unique-id %s", ErrVanished, m.UID)
	}
	if err != nil {
		return nil, fmt.Errorf("open message: %w", err)
	}
	info, err := file.Stat()
	if err == nil && info.Size() != m.Octets {
		err = fmt.Errorf("message %s is damaged: it has %d octets instead of %d", file.Name(), info.Size(), m.Octets)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// Delete implements Session. It goes on after an error, so that as much as possible is removed.
func (s *fileSession) Delete(_ context.Context, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	var errs []error
	for _, m := range messages {
		if err := os.Remove(s.path(m)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove message: %w", err))
		}
	}
	if err := syncFolder(s.drop.messages); err != nil {
		errs = append(errs, fmt.Errorf("remove messages: %w", err))
	}
	return errors.Join(errs...)
}

func (s *fileSession) path(m Message) string { return filepath.Join(s.drop.messages, fileName(m)) }

// Close implements Session.
func (s *fileSession) Close() error { return nil }
