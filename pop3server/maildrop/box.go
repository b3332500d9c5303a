package maildrop

import (
	"container/list"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// box is a maildrop that is open: what this process knows of it. Sessions share it.
type box struct {
	store  *JournalStore
	id     string
	folder string

	// Guarded by the store's mutex.
	users   int
	element *list.Element // among those that nobody uses
	weight  int64         // in octets of memory, as of the last time that it was put down

	mu      sync.Mutex
	journal *journal // nil where there is none yet
	st      *state   // nil where there is no journal
	indexed int64    // up to where the index goes
	synced  int64    // up to where the journal is known to survive a power loss

	compacting bool
	newChanged time.Time // when new/ had last changed when it was last read
}

func (b *box) path(name string) string { return filepath.Join(b.folder, name) }

// refresh brings the state up to what the journal says now. Nothing is read where nothing was written since.
func (b *box) refresh() error {
	there, err := stampAt(b.path("journal"))
	if errors.Is(err, fs.ErrNotExist) {
		b.forget()
		return nil
	}
	if err != nil {
		return err
	}
	if b.st != nil && there.size == b.st.end && b.synced == b.st.end && there == b.journal.noted {
		return nil
	}
	return locked(b.folder, syscall.LOCK_SH, func(func() error) error {
		if err := b.read(); err != nil || b.st == nil {
			return err
		}
		return b.settleDisk()
	})
}

// settleDisk syncs what others have written. Their writer may have been killed before it could, and what a client has seen,
// or what something is decided upon, is not to be lost again.
func (b *box) settleDisk() error {
	if b.synced == b.st.end {
		return nil
	}
	if err := b.journal.datasync(); err != nil {
		return err
	}
	b.synced = b.st.end
	return nil
}

// read reads what is new in the journal. Whoever calls it has the lock, and knows then which file is the journal, and where
// it ends.
func (b *box) read() error {
	err := b.readOnce()
	if errors.Is(err, syscall.ESTALE) { // the file that was open is gone from a network file system
		b.forget()
		err = b.readOnce()
	}
	return err
}

func (b *box) readOnce() error {
	latest, name, err := look(b.folder)
	if errors.Is(err, fs.ErrNotExist) {
		b.forget()
		return nil
	}
	if err != nil {
		return err
	}
	if b.st == nil || latest.size < b.st.end || !b.journal.is(latest, name) {
		return b.load()
	}
	if err := b.store.hooks.reading(); err != nil {
		return err
	}
	known := len(b.st.damage)
	b.journal.noted = latest // which is what catchUp reads, as nobody else writes now
	err = b.journal.catchUp(b.st)
	b.tellDamage(known)
	return err
}

// load reads the journal from the index on, or anew.
func (b *box) load() error {
	b.forget()
	j, err := openJournal(b.path("journal"))
	if err != nil {
		return err
	}
	indexed := readIndex(b.path("index"), j)
	from := int64(0)
	if indexed != nil {
		from = indexed.end
	}
	st, err := j.load(indexed)
	if err != nil {
		j.release()
		return err
	}
	b.journal, b.st, b.indexed = j, st, from
	b.tellDamage(0)
	b.saveIndexLocked()
	return nil
}

// tellDamage logs what could not be read, beyond what was told before.
func (b *box) tellDamage(known int) {
	for _, d := range b.st.damage[known:] {
		b.store.log.Error("a part of a journal is damaged: the messages in it are lost", "mailbox", b.id, "from", d.From, "to", d.To)
	}
}

func (b *box) forget() {
	b.journal.release()
	b.journal, b.st, b.indexed, b.synced = nil, nil, 0, 0
}

// checkOwner fails when another owner has made the maildrop, and is not to give it up.
func (st *state) checkOwner(box Mailbox) error {
	if box.anyone {
		return nil
	}
	if box.Owner == "" || len(box.Owner) > math.MaxUint16 {
		return errors.New("a maildrop cannot be used without an owner, or with one whose name is longer than 65535 octets")
	}
	if st != nil && st.owner != "" && st.owner != box.Owner && !box.Adopt {
		return &ForeignOwnerError{st.owner}
	}
	return nil
}

// batch is what is to be written at one time, all of it or nothing.
type batch struct {
	st   *state
	data []byte
	// records are where they begin, of which messages are messages.
	records  []int
	messages int
	placed   []placing
	then     []func() // done when it is written, and before anybody else can write
	divided  bool     // a removal, or what takes one back, is in several records, of which a crash could leave some
	err      error    // a record is longer than a reader would believe
}

func (w *batch) add(r record, body ...[]byte) {
	parts := inParts(r)
	w.divided = w.divided || len(parts) > 1
	for _, part := range parts {
		w.addOne(part, body...)
	}
}

func (w *batch) addOne(r record, body ...[]byte) {
	start := len(w.data)
	w.records = append(w.records, start)
	if r.kind() == kindMessage {
		w.messages++
	}
	w.data = appendRecord(w.data, w.st.salt, w.st.end, r, body...)
	if _, err := parsePrefix(w.data[start:]); err != nil {
		w.err = errTooLarge
	}
}

// inParts gives the records that say together what one would have too many spans for; otherwise that one alone.
func inParts(r record) []record {
	switch r := r.(type) {
	case *removeRecord:
		return chunked(r.uids, func(uids uidSet) record { return &removeRecord{r.reason, r.at, uids} })
	case *restoreRecord:
		return chunked(r.uids, func(uids uidSet) record { return &restoreRecord{uids} })
	}
	return []record{r}
}

func chunked(uids uidSet, recordOf func(uidSet) record) (parts []record) {
	for spans := range slices.Chunk(uids, maxSpans) {
		parts = append(parts, recordOf(spans))
	}
	return parts
}

// addMessage adds a message that has a unique-id. A large body is in its place already.
func (w *batch) addMessage(m *incoming, r *messageRecord) {
	w.add(r, m.trace, m.memory)
	if r.flags&flagFile != 0 {
		w.placed = append(w.placed, placing{m.spool, r.file})
	}
}

// errTooLarge is of a message: all other records are bounded, or written in parts.
var errTooLarge = errors.New("the header fields in front of a message are too long for the journal")

// write adds records to the journal. f says which, given the state as it is then; where it adds none, nothing is written.
// The records are durable when write is back, unless it fails, and then none of them is there.
func (b *box) write(box Mailbox, f func(*state, *batch) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writeLocked(box, true, f)
}

func (b *box) writeLocked(box Mailbox, durable bool, f func(*state, *batch) error) error {
	if err := b.makeFolder(); err != nil {
		return err
	}
	return locked(b.folder, syscall.LOCK_EX, func(sure func() error) error {
		b.store.hooks.reached("locked")
		if err := b.claim(box); err != nil {
			return err
		}
		w := &batch{st: b.st}
		if b.st.owner != box.Owner && !box.anyone {
			w.add(&ownerRecord{box.Owner})
		}
		if err := errors.Join(f(b.st, w), w.err); err != nil || len(w.data) == 0 {
			return err
		}
		if err := w.putBack(b.path("b")); err != nil {
			return err
		}
		if err := sure(); err != nil {
			return err
		}
		if err := b.commit(w, durable, sure); err != nil {
			return err
		}
		for _, then := range w.then {
			then()
		}
		return nil
	})
}

// commit writes a batch behind the end of the journal, or, where a crash could tear it apart, as a part of a new journal.
func (b *box) commit(w *batch, durable bool, sure func() error) error {
	if w.divided {
		return b.compactWith(w, sure)
	}
	return b.append(w, durable)
}

// makeFolder makes the maildrop's folder. Where there is a journal, the folder has been made and synced before.
func (b *box) makeFolder() error {
	if _, err := os.Lstat(b.path("journal")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return makeFolders(b.folder)
}

// claim reads the journal, or makes it, and sees to it that nothing is behind its end.
func (b *box) claim(box Mailbox) error {
	if err := b.read(); err != nil {
		return err
	}
	if err := b.st.checkOwner(box); err != nil {
		return err
	}
	if b.st == nil {
		return b.create(box.Owner)
	}
	return errors.Join(b.cut(), b.settleDisk())
}

// create makes the journal.
func (b *box) create(owner string) error {
	h := &headerRecord{version: formatVersion, generation: 1, nextUID: 1, made: time.Now().Unix(), owner: owner}
	_, _ = rand.Read(h.salt[:])
	both := appendRecord(appendRecord(nil, h.salt, 0, h), h.salt, 0, h)
	if err := replaceFile(b.path("journal"), string(both)); err != nil {
		return err
	}
	return b.load()
}

// cut takes away what a writer left that was killed. Unique-ids that it may have given are not given again: that is written
// down in the place of what is cut off, first.
func (b *box) cut() error {
	size, err := b.journal.size()
	if err != nil || size == b.st.end {
		return err
	}
	b.store.log.Warn("the end of a journal was not written to its end and is cut off", "mailbox", b.id, "octets", size-b.st.end)
	w := &batch{st: b.st}
	w.add(&nextUIDRecord{b.st.nextUID + lostUIDs(size-b.st.end)})
	if err := b.append(w, true); err != nil {
		return err
	}
	return b.truncate()
}

func (b *box) truncate() error {
	return errors.Join(b.journal.file.Truncate(b.st.end), b.journal.datasync())
}

// bring brings a batch into the state, as if it had been read. It fails where a reader would not believe all of it.
func (w *batch) bring() error {
	end := w.st.end + int64(len(w.data))
	if err := w.st.catchUp(&tail{w.data, w.st.end}, end); err != nil {
		return err
	}
	if w.st.end != end {
		return fmt.Errorf("%w: what was to be written cannot be read", errRecord)
	}
	return nil
}

// append writes a batch behind the end. Where that fails, it takes it back: whoever asked for it is told that it is not there.
func (b *box) append(w *batch, durable bool) error {
	level := durable || b.synced == w.st.end // read marks, which alone are not synced, are no loss
	err := b.put(w, durable)
	if err == nil {
		err = w.bring()
	}
	if err != nil {
		if undo := b.truncate(); undo != nil {
			b.forget() // to be read anew
			err = errors.Join(err, undo)
		}
		return classify(err)
	}
	b.journal.note()
	if level {
		b.synced = w.st.end
	}
	return nil
}

func (b *box) put(w *batch, durable bool) error {
	hooks := b.store.hooks
	if err := hooks.failing("write"); err != nil {
		return err
	}
	if w.messages > 1 {
		if err := b.putBodies(w); err != nil {
			return err
		}
	}
	if _, err := b.journal.file.WriteAt(w.data, w.st.end); err != nil {
		return err
	}
	hooks.reached("written")
	if !durable {
		return nil
	}
	if err := hooks.failing("sync"); err != nil {
		return err
	}
	err := b.journal.datasync()
	hooks.reached("durable")
	return err
}

// putBodies writes a batch such that it is no records yet, and syncs it. A reader looks at the body of the last record only;
// so those of several messages are on disk before there are any heads, in whatever order a disk writes.
func (b *box) putBodies(w *batch) error {
	blank := slices.Clone(w.data)
	for _, at := range w.records {
		clear(blank[at : at+4])
	}
	if _, err := b.journal.file.WriteAt(blank, w.st.end); err != nil {
		return err
	}
	return b.journal.datasync()
}

// tail is the end of a journal, in memory.
type tail struct {
	data []byte
	at   int64
}

// ReadAt implements io.ReaderAt.
func (t *tail) ReadAt(p []byte, at int64) (int, error) { return copy(p, t.data[at-t.at:]), nil }
