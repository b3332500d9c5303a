package maildrop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrNotRestorable says that removed messages cannot be brought back, as not all of their text is left.
var ErrNotRestorable = errors.New("not all is left of removed messages: they cannot be restored")

// checkRestorable reads messages that are to be restored, to their ends.
func (s *JournalStore) checkRestorable(ctx context.Context, id string, uids []uint64) error {
	if len(uids) == 0 {
		return nil
	}
	var r restoring
	err := s.with(ctx, id, func(b *box) error {
		r = b.restoring(uids)
		return nil
	})
	if err != nil {
		return err
	}
	defer r.journal.release()
	return r.check(func(body io.Reader) error {
		_, err := io.Copy(io.Discard, body)
		return errors.Join(err, ctx.Err())
	})
}

// checkStill looks, under the lock, whether those that could be read have been dropped since: otherwise they do not change.
func (b *box) checkStill(uids []uint64) error {
	if len(uids) == 0 {
		return nil
	}
	r := b.restoring(uids)
	defer r.journal.release()
	lost := r.unknown
	for _, m := range r.messages {
		if b.isPunched(m) {
			lost = append(lost, m.UID())
		}
	}
	return notRestorable(lost, nil)
}

// restoring are removed messages that are to be restored.
type restoring struct {
	box      *box
	journal  *journal
	messages []Message
	unknown  []string
}

func (b *box) restoring(uids []uint64) restoring {
	r := restoring{box: b, journal: b.journal.acquire()}
	gone := make(map[uint64]Message, len(b.st.removed))
	for _, m := range b.st.removed {
		gone[m.uid] = m.Message
	}
	for _, uid := range uids {
		if m, ok := gone[uid]; ok {
			r.messages = append(r.messages, m)
		} else if _, live := b.st.find(uid); !live {
			r.unknown = append(r.unknown, strconv.FormatUint(uid, 10))
		}
	}
	return r
}

// check opens each message, and reads it.
func (r *restoring) check(read func(io.Reader) error) error {
	lost := r.unknown
	var cause error
	for _, m := range r.messages {
		body, err := r.box.body(r.journal, m)
		if err == nil {
			err = errors.Join(read(body), body.Close())
		}
		if err != nil {
			lost, cause = append(lost, m.UID()), err
		}
	}
	return notRestorable(lost, cause)
}

// notRestorable is the error for messages that are lost; none if there are none.
func notRestorable(lost []string, cause error) error {
	if len(lost) == 0 {
		return nil
	}
	names := strings.Join(lost[:min(len(lost), 20)], ", ")
	if more := len(lost) - 20; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return errors.Join(fmt.Errorf("%w: unique-ids %s", ErrNotRestorable, names), cause)
}
