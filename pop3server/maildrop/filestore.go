package maildrop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// FileStore is a Store with one file a message:
//
//	<root>/tmp/draft-…              messages on their way in
//	<root>/<first 2 of id>/<id>/    a maildrop
//	    lock                        locked by a delivery while it commits, for a few milliseconds; readers take no lock
//	    owner                       what declared the mailbox
//	    next-uid                    the least unique-id that was never used
//	    msg/<uid>.<octets>.<unix time of delivery>
//
// A delivery writes and syncs its draft without any lock. Then, under the lock, it raises next-uid durably, renames the draft
// into msg and syncs that folder. So a crash at any point loses at most a number, and never uses one twice. A message's
// file never changes; its name has all that a snapshot needs, so that opening a maildrop is reading one folder.
type FileStore struct {
	root string
	tmp  string
	// reached is called with the name of each step of a delivery; tests end the process there.
	reached func(step string)
}

var _ Store = (*FileStore)(nil)

// NewFileStore opens the store in a folder, which it makes if need be, and removes the drafts that killed servers
// have left there.
func NewFileStore(root string, log *slog.Logger) (*FileStore, error) {
	s := &FileStore{root: root, tmp: filepath.Join(root, "tmp"), reached: func(string) {}}
	if err := makeFolders(s.tmp); err != nil {
		return nil, fmt.Errorf("open maildrop store: %w", err)
	}
	if err := sweepDrafts(s.tmp, log); err != nil {
		return nil, fmt.Errorf("open maildrop store: %w", err)
	}
	return s, nil
}

// Open implements Store.
func (s *FileStore) Open(ctx context.Context, box Mailbox) (Session, error) {
	d, messages, err := s.read(ctx, box)
	if err != nil {
		return nil, err
	}
	return &fileSession{drop: d, messages: messages}, nil
}

// Usage implements Store.
func (s *FileStore) Usage(ctx context.Context, box Mailbox) (Usage, error) {
	_, messages, err := s.read(ctx, box)
	return usage(messages), err
}

func (s *FileStore) read(ctx context.Context, box Mailbox) (drop, []Message, error) {
	if err := ctx.Err(); err != nil {
		return drop{}, nil, err
	}
	d, err := s.drop(box.ID)
	if err != nil {
		return drop{}, nil, err
	}
	if _, err := d.checkOwner(box.Owner); err != nil {
		return drop{}, nil, err
	}
	messages, err := d.list()
	return d, messages, err
}

// Deliver implements Store.
func (s *FileStore) Deliver(ctx context.Context, recipients []Recipient, body io.Reader) ([]error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results := make([]error, len(recipients))
	if len(recipients) == 0 {
		return results, nil
	}
	reader := &bodyReader{Reader: body}
	first, err := s.receive(recipients[0].Trace, reader)
	if reader.err != nil {
		return nil, fmt.Errorf("read message: %w", reader.err)
	}
	if err != nil {
		for i := range results {
			results[i] = err
		}
		return results, nil
	}
	defer first.discard()
	s.reached("draft written")
	results[0] = s.commit(recipients[0].Mailbox, first)
	for i := 1; i < len(recipients); i++ {
		results[i] = s.deliverCopy(recipients[i], first)
	}
	return results, nil
}

// receive writes the first recipient's draft from what the client sends.
func (s *FileStore) receive(trace []byte, body io.Reader) (*draft, error) {
	return writeDraft(s.tmp, trace, func(w *bufio.Writer) error {
		canonical := newCanonicalWriter(w)
		if _, err := io.Copy(canonical, body); err != nil {
			return err
		}
		return canonical.Close()
	})
}

func (s *FileStore) deliverCopy(recipient Recipient, first *draft) error {
	d, err := first.copy(s.tmp, recipient.Trace)
	if err != nil {
		return fmt.Errorf("maildrop %s: %w", recipient.ID, err)
	}
	defer d.discard()
	return s.commit(recipient.Mailbox, d)
}

// commit makes a draft a message.
func (s *FileStore) commit(box Mailbox, message *draft) error {
	d, err := s.drop(box.ID)
	if err != nil {
		return err
	}
	if err := d.add(box, message, time.Now(), s.reached); err != nil {
		return fmt.Errorf("maildrop %s: %w", box.ID, classify(err))
	}
	return nil
}

// Check implements Store.
func (s *FileStore) Check(context.Context) error {
	probe, err := os.CreateTemp(s.tmp, "probe-*")
	if err == nil {
		_, err = probe.WriteString("probe")
		err = errors.Join(err, probe.Sync(), probe.Close(), os.Remove(probe.Name()))
	}
	if err = classify(err); err != nil && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("maildrop store does not work: %w", err)
	}
	_, err = os.ReadDir(s.root)
	return err
}
