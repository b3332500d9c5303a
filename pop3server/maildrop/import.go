package maildrop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Imported is a message that another server has kept.
type Imported struct {
	// UID is the unique-id under which clients know it; empty gives it a new one.
	UID      string
	Received time.Time
	Seen     bool
	Body     io.Reader
}

// Limits of what an import writes at one time.
const (
	importMessages = 256
	importOctets   = 8 << 20
)

// Import takes over messages of another server, in their order. It is used by one goroutine.
type Import struct {
	store   *JournalStore
	box     *box
	mailbox Mailbox
	done    func()

	pending []*incoming
	octets  int64
	known   map[string]bool // unique-ids of the maildrop and of what is pending
	next    uint64          // above all former unique-ids that are numbers
	before  *state          // what the maildrop was when the import began
}

// NewImport begins an import into a maildrop. The quota does not hold for it.
func (s *JournalStore) NewImport(ctx context.Context, box Mailbox) (*Import, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, done, err := s.use(box.ID)
	if err != nil {
		return nil, err
	}
	im := &Import{store: s, box: b, mailbox: box, done: done, known: make(map[string]bool)}
	if err := im.begin(); err != nil {
		done()
		return nil, fmt.Errorf("maildrop %s: %w", box.ID, err)
	}
	return im, nil
}

// begin finds out which unique-ids the maildrop has.
func (im *Import) begin() error {
	b := im.box
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(); err != nil {
		return err
	}
	if err := b.st.checkOwner(im.mailbox); err != nil || b.st == nil {
		return err
	}
	for _, m := range append(messagesOf(b.st.removed), b.st.live...) {
		im.known[m.UID()] = true
	}
	im.before = &state{nextUID: b.st.nextUID, reserved: b.st.reserved}
	return nil
}

// ErrKnownUID says that the maildrop has, or had, another message with this unique-id.
var ErrKnownUID = errors.New("the maildrop knows this unique-id already")

// Add takes a message. It is written by a later Add, or by Close.
func (im *Import) Add(m Imported) error {
	if err := im.checkUID(m.UID); err != nil {
		return err
	}
	sp, err := im.store.newSpool(m.Body)
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	in := &incoming{spool: sp, received: m.Received, former: m.UID, seen: m.Seen}
	im.pending = append(im.pending, in)
	if m.UID != "" {
		im.known[m.UID] = true
	}
	if im.octets += in.octets; im.octets >= importOctets || len(im.pending) >= importMessages {
		return im.flush()
	}
	return nil
}

// checkUID refuses a unique-id that no POP3 server may give (RFC 1939 §7), or that is taken. One that is a number, or may be
// taken for one, is never given to another message later.
func (im *Import) checkUID(uid string) error {
	switch {
	case uid == "":
		return nil
	case len(uid) > maxFormer || strings.ContainsFunc(uid, func(r rune) bool { return r < 0x21 || r > 0x7e }):
		return fmt.Errorf("unique-id %q: must be 1 to %d characters from ! to ~ (RFC 1939 section 7)", uid, maxFormer)
	case im.known[uid]:
		return fmt.Errorf("%w: %s", ErrKnownUID, uid)
	}
	if number, err := strconv.ParseUint(uid, 10, 64); err == nil && isDecimal(uid) {
		if !im.before.mayHave(number) {
			return fmt.Errorf("%w, or has given it to a message that is gone: %s", ErrKnownUID, uid)
		}
		if number >= 1<<63 {
			return fmt.Errorf("unique-id %s: a number this high would leave none for later messages", uid)
		}
		im.next = max(im.next, number+1)
	}
	return nil
}

func (im *Import) flush() error {
	defer im.discard()
	if len(im.pending) == 0 {
		return nil
	}
	records, err := im.box.placeAll(im.pending)
	if err == nil {
		err = im.box.write(im.mailbox, func(st *state, w *batch) error {
			if err := im.recheck(st); err != nil {
				return err
			}
			im.addAll(st, w, records)
			return nil
		})
	}
	if err != nil {
		im.box.unplace(records)
		return fmt.Errorf("maildrop %s: %w", im.mailbox.ID, classify(err))
	}
	return nil
}

// recheck looks once more whether a unique-id is taken: by a message that has come since, or by one that this store has given
// its number to, and that may be gone.
func (im *Import) recheck(st *state) error {
	taken := make(map[string]bool)
	for _, m := range append(messagesOf(st.removed), st.live...) {
		taken[m.UID()] = true
	}
	for _, m := range im.pending {
		number, err := strconv.ParseUint(m.former, 10, 64)
		if m.former != "" && taken[m.former] || err == nil && isDecimal(m.former) && !st.mayHave(number) {
			return fmt.Errorf("%w, or may have given it to another one that is gone: %s", ErrKnownUID, m.former)
		}
	}
	return nil
}

// isDecimal tells whether a unique-id is as this store would write a number.
func isDecimal(uid string) bool {
	number, err := strconv.ParseUint(uid, 10, 64)
	return err == nil && strconv.FormatUint(number, 10) == uid
}

func (im *Import) addAll(st *state, w *batch, records []*messageRecord) {
	next := max(st.nextUID, im.next)
	if next > st.nextUID {
		w.add(&reserveRecord{uidSet{{st.nextUID, next - st.nextUID}}})
		w.add(&nextUIDRecord{next})
	}
	for i, r := range records {
		r.uid = next
		next++
		w.addMessage(im.pending[i], r)
	}
}

func (im *Import) discard() {
	for _, m := range im.pending {
		m.discard()
	}
	im.pending, im.octets = nil, 0
}

// Close writes what is left. Without an error, all messages that were added will survive a power loss.
func (im *Import) Close() error {
	defer im.done()
	return im.flush()
}
