package maildrop

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// parallel is how many maildrops one message is written into at the same time.
const parallel = 8

// Deliver implements Store.
func (s *JournalStore) Deliver(ctx context.Context, recipients []Recipient, body io.Reader) ([]error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(recipients) == 0 {
		return nil, nil
	}
	reader := &bodyReader{Reader: body}
	sp, err := s.newSpool(reader)
	if reader.err != nil {
		return nil, fmt.Errorf("read message: %w", reader.err)
	}
	if err != nil {
		return slices.Repeat([]error{err}, len(recipients)), nil
	}
	defer sp.discard()
	s.hooks.reached("spooled")
	results := make([]error, len(recipients))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, recipient := range recipients {
		group.Go(func() error {
			results[i] = s.deliver(recipient, sp)
			return nil
		})
	}
	return results, group.Wait()
}

func (s *JournalStore) deliver(to Recipient, sp *spool) error {
	b, done, err := s.use(to.ID)
	if err != nil {
		return err
	}
	defer done()
	m := &incoming{spool: sp, trace: to.Trace, check: to.Check, received: time.Now()}
	if err := b.deliver(to.Mailbox, m); err != nil {
		return fmt.Errorf("maildrop %s: %w", to.ID, classify(err))
	}
	return nil
}

// incoming is a message for one maildrop.
type incoming struct {
	*spool
	trace    []byte
	check    func() error // see Recipient
	received time.Time
	source   *[16]byte
	former   string
	seen     bool
	warning  bool
}

// deliver puts a message into the maildrop. A large body gets its place before the lock is taken; should nothing come of
// it, it is removed again, or, after a crash, by the next compaction.
func (b *box) deliver(box Mailbox, m *incoming) error {
	records, err := b.placeAll([]*incoming{m})
	if err == nil {
		err = b.write(box, func(st *state, w *batch) error { return b.add(st, w, box, m, records[0]) })
	}
	if err != nil {
		b.unplace(records)
	}
	return err
}

// placeAll makes the records of messages, and gives those that are large their places. Where it fails, the records that it
// gives are to be unplaced.
func (b *box) placeAll(messages []*incoming) (records []*messageRecord, err error) {
	for _, m := range messages {
		r := m.record()
		records = append(records, r)
		if m.file == nil {
			continue
		}
		if r.file, err = m.place(b.path("b")); err != nil {
			return records, err
		}
	}
	return records, nil
}

// unplace removes the files of messages that nothing came of.
func (b *box) unplace(records []*messageRecord) {
	for _, r := range records {
		if r.flags&flagFile != 0 {
			removeBody(b.path("b"), r.file)
		}
	}
}

// record makes the message's record, but for the unique-id.
func (m *incoming) record() *messageRecord {
	r := &messageRecord{received: m.received.Unix(), octets: int64(len(m.trace)) + m.octets, former: m.former}
	r.inline = uint32(len(m.trace) + len(m.memory)) //nolint:gosec // bounded by inlineOctets and the command's length
	r.inlineCRC = crc32.Update(crc32.Checksum(m.trace, castagnoli), castagnoli, m.memory)
	for flag, is := range map[uint32]bool{flagFile: m.file != nil, flagSource: m.source != nil, flagDots: m.dots, flagSeen: m.seen,
		flagWarning: m.warning} {
		if is {
			r.flags |= flag
		}
	}
	if m.file != nil {
		r.fileCRC = m.crc
	}
	if m.source != nil {
		r.source = *m.source
	}
	return r
}

// add adds a message to a batch, if the quota allows it, and a warning where it comes near it.
func (b *box) add(st *state, w *batch, box Mailbox, m *incoming, r *messageRecord) error {
	if m.check != nil {
		if err := m.check(); err != nil {
			return err
		}
	}
	r.uid = st.nextUID
	before := len(w.data)
	w.addMessage(m, r)
	storage := int64(len(w.data)-before) + r.octets - int64(r.inline)
	if err := admit(st.octets, storage, box.ProhibitReceive); err != nil {
		return err
	}
	if b.store.options.Warning != nil && st.isToWarn(box.IssueWarning, storage) {
		b.warn(w, box, r.uid+1, st.octets+storage)
	}
	return nil
}

// isToWarn tells whether a message brings the maildrop to the size at which its user is warned, or it is there and nobody
// has told.
func (st *state) isToWarn(issueWarning, storage int64) bool {
	return issueWarning > 0 && st.octets+storage >= issueWarning && (!st.warned || st.octets < issueWarning)
}

// admit checks the quota: it is over when it is reached, or would be exceeded.
func admit(used, storage, prohibitReceive int64) error {
	if prohibitReceive > 0 && (used >= prohibitReceive || used+storage > prohibitReceive) {
		return fmt.Errorf("%w: %d of %d octets are used", ErrOverQuota, used, prohibitReceive)
	}
	return nil
}
