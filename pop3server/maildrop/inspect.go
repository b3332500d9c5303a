package maildrop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What follows is for those who look after the store. It works beside servers that run on the same folder.

// Maildrops gives the ids of all maildrops, in ascending order.
func (s *JournalStore) Maildrops() ([]string, error) {
	folders, err := filepath.Glob(filepath.Join(s.root, "[a-z2-7][a-z2-7]", "*", "journal"))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, folder := range folders {
		if id := filepath.Base(filepath.Dir(folder)); mailboxID.MatchString(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Contents is all that a maildrop has.
type Contents struct {
	ID            string
	Owner         string
	Made          time.Time
	Generation    uint64 // of the journal
	NextUID       uint64
	JournalOctets int64
	Usage         Usage // of the messages that are not removed
	Messages      []Entry
	Damage        []Damage // of the journal
}

// Entry is a message, be it in the maildrop or removed.
type Entry struct {
	Message
	Seen bool
	// Removed is when it was removed, and why: "quit", "retention" or "administration"; zero and empty if it is not.
	Removed time.Time
	Reason  string
	// Gone says that it was removed and its room was given back: it cannot be restored.
	Gone bool
}

var reasonNames = map[uint8]string{reasonQuit: "quit", reasonRetention: "retention", reasonAdministration: "administration"}

// Inspect gives what a maildrop has, whoever owns it.
func (s *JournalStore) Inspect(ctx context.Context, id string) (Contents, error) {
	var c Contents
	err := s.with(ctx, id, func(b *box) error {
		c = Contents{ID: id, Owner: b.st.owner, Made: time.Unix(b.st.made, 0).UTC(), Generation: b.st.generation,
			NextUID: b.st.nextUID, JournalOctets: b.st.end, Usage: b.st.usage(), Damage: slices.Clone(b.st.damage)}
		for _, m := range b.st.live {
			c.Messages = append(c.Messages, Entry{Message: m, Seen: b.st.seen.contains(m.uid)})
		}
		for _, r := range b.st.removed {
			c.Messages = append(c.Messages, Entry{r.Message, b.st.seen.contains(r.uid), time.Unix(r.at, 0).UTC(),
				reasonNames[r.reason], b.isPunched(r.Message)})
		}
		return nil
	})
	slices.SortStableFunc(c.Messages, func(a, b Entry) int { return byUID(a.Message, b.Message) })
	return c, err
}

// ErrNoMaildrop says that there is no maildrop with this id.
var ErrNoMaildrop = errors.New("no such maildrop")

// with runs f on a maildrop that exists, as it is now.
func (s *JournalStore) with(ctx context.Context, id string, f func(*box) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, done, err := s.use(id)
	if err != nil {
		return err
	}
	defer done()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(); err != nil {
		return fmt.Errorf("maildrop %s: %w", id, err)
	}
	if b.st == nil {
		return fmt.Errorf("%w: %s", ErrNoMaildrop, id)
	}
	return f(b)
}

// OpenEntry opens a message for reading, also one that was removed, as long as it is kept.
func (s *JournalStore) OpenEntry(ctx context.Context, id string, e Entry) (body io.ReadCloser, err error) {
	var j *journal
	var b *box
	err = s.with(ctx, id, func(opened *box) error {
		b, j = opened, opened.journal.acquire()
		for _, m := range append(slices.Clone(opened.st.live), messagesOf(opened.st.removed)...) {
			if m.uid == e.uid {
				e.Message = m
				return nil
			}
		}
		return fmt.Errorf("%w: unique-id %d", ErrVanished, e.uid)
	})
	defer j.release()
	if err != nil {
		return nil, err
	}
	if body, err = b.body(j, e.Message); err == nil {
		return body, nil
	}
	if gone := s.with(ctx, id, func(opened *box) error { return opened.has(e.uid) }); gone != nil {
		err = gone // its room was given back meanwhile
	}
	return nil, err
}

// has tells whether there is a message, be it removed, with a number.
func (b *box) has(uid uint64) error {
	if _, live := b.st.find(uid); live || slices.ContainsFunc(b.st.removed, func(r removed) bool { return r.uid == uid }) {
		return nil
	}
	return fmt.Errorf("%w: unique-id %d", ErrVanished, uid)
}

func messagesOf(all []removed) []Message {
	messages := make([]Message, len(all))
	for i, r := range all {
		messages[i] = r.Message
	}
	return messages
}

// Change is what a maildrop is to become by the hand of an administrator.
type Change struct {
	// Restore and Remove name messages by their numbers (see Message.Number). Of Restore, what is not in Remove too must be
	// readable to its end, or nothing is changed.
	Restore, Remove []uint64
	// NextUID raises the next unique-id, where it is higher. ForImport says that the numbers in between are for messages that
	// are about to be imported; otherwise none may have them.
	NextUID   uint64
	ForImport bool
	// Owner makes the maildrop somebody else's; empty leaves it.
	Owner string
}

// Change changes a maildrop, durably and all at once.
func (s *JournalStore) Change(ctx context.Context, id string, c Change) error {
	if c.NextUID > maxNextUID {
		return fmt.Errorf("next unique-id %d: a number this high would leave too few for later messages", c.NextUID)
	}
	coming := c.comingBack()
	if err := s.checkRestorable(ctx, id, coming); err != nil {
		return err
	}
	return s.with(ctx, id, func(b *box) error {
		box := Mailbox{ID: id, Owner: c.Owner, Adopt: true, anyone: c.Owner == ""}
		return b.writeLocked(box, true, func(st *state, w *batch) error {
			if err := errors.Join(c.checkKnown(st), b.checkStill(coming)); err != nil {
				return err
			}
			c.addTo(st, w)
			return nil
		})
	})
}

// checkKnown refuses numbers that no message can have had.
func (c Change) checkKnown(st *state) error {
	for _, uid := range slices.Concat(c.Restore, c.Remove) {
		if uid == 0 || uid >= st.nextUID {
			return fmt.Errorf("%w: number %d", ErrVanished, uid)
		}
	}
	return nil
}

func (c Change) addTo(st *state, w *batch) {
	if len(c.Restore) > 0 {
		w.add(&restoreRecord{setOf(sorted(c.Restore))})
	}
	if len(c.Remove) > 0 {
		w.add(&removeRecord{reasonAdministration, time.Now().Unix(), setOf(sorted(c.Remove))})
	}
	if c.NextUID > st.nextUID && c.ForImport {
		w.add(&reserveRecord{uidSet{{st.nextUID, c.NextUID - st.nextUID}}})
	}
	if c.NextUID > st.nextUID {
		w.add(&nextUIDRecord{c.NextUID})
	}
}

// comingBack gives the numbers of messages that are in the maildrop after the change, and may not have been before.
func (c Change) comingBack() []uint64 {
	again := sorted(c.Remove)
	return slices.DeleteFunc(sorted(c.Restore), func(uid uint64) bool {
		_, found := slices.BinarySearch(again, uid)
		return found
	})
}

func sorted(uids []uint64) []uint64 {
	uids = slices.Clone(uids)
	slices.Sort(uids)
	return slices.Compact(uids)
}

// Number is the store's own number of the message, which is the unique-id unless it was imported with another one.
func (m Message) Number() uint64 { return m.uid }

// Compact writes a maildrop's journal anew, without what is of no use any more. Damaged parts are left behind, in a file
// beside it.
func (s *JournalStore) Compact(ctx context.Context, id string) error {
	if err := s.with(ctx, id, func(*box) error { return nil }); err != nil {
		return err
	}
	b, done, err := s.use(id)
	if err != nil {
		return err
	}
	defer done()
	return s.compact(b, true)
}

// Tidy removes what is too old from a maildrop, and gives room back, if it is worth it.
func (s *JournalStore) Tidy(ctx context.Context, id string) error {
	err := s.with(ctx, id, func(b *box) error { return b.settle(Mailbox{ID: id, anyone: true}) })
	if err == nil {
		s.compactSoon(id)
	}
	return err
}

// Purge removes all mail of a maildrop, also what is kept of removed messages, if this owner has it, and gives it up:
// whoever comes next owns it. Unique-ids go on from where they were.
func (s *JournalStore) Purge(ctx context.Context, id, owner string) error {
	err := s.with(ctx, id, func(b *box) error {
		return s.withReserve(func() error {
			return locked(b.folder, syscall.LOCK_EX, func(sure func() error) error { return b.purge(owner, sure) })
		})
	})
	if errors.Is(err, ErrNoMaildrop) {
		return s.purgeNew(id)
	}
	return err
}

// purgeNew removes what other delivery agents have put into a maildrop that nobody has opened yet.
func (s *JournalStore) purgeNew(id string) error {
	folder := filepath.Join(s.root, id[:2], id)
	if _, err := os.Stat(folder); err != nil {
		return ignoreMissing(err)
	}
	return locked(folder, syscall.LOCK_EX, func(func() error) error { return removeAll(filepath.Join(folder, "new")) })
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (b *box) purge(owner string, sure func() error) error {
	if err := b.read(); err != nil {
		return err
	}
	if b.st == nil || b.st.owner != owner && b.st.owner != "" {
		return nil // it is not his mail
	}
	if err := b.cut(); err != nil {
		return err
	}
	// What could be taken for the next owner's goes first.
	if err := errors.Join(removeAll(b.path("new")), b.removeDamaged()); err != nil {
		return err
	}
	b.st.removed = append(b.st.removed, asRemoved(b.st.live)...)
	b.st.live, b.st.owner, b.st.warned = nil, "", false
	c := &compaction{box: b, st: b.st}
	if err := c.run(sure); err != nil {
		b.forget() // the state says what the journal does not
		return err
	}
	b.begin()
	return nil
}

// removeDamaged removes what compaction has kept of journals that were damaged.
func (b *box) removeDamaged() error {
	entries, err := os.ReadDir(b.folder)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "journal.damaged-") {
			err = errors.Join(err, os.Remove(b.path(entry.Name())))
		}
	}
	return err
}

func asRemoved(messages []Message) []removed {
	all := make([]removed, len(messages))
	for i, m := range messages {
		all[i] = removed{m, reasonAdministration, 0}
	}
	return all
}

// removeAll removes the files in a folder, if there is one.
func removeAll(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(folder, entry.Name())))
	}
	if err != nil {
		return err
	}
	return syncFolder(folder)
}
