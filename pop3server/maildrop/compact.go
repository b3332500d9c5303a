package maildrop

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxCompactors = 2
	// A journal is written anew when this much of it and of its files, and as much as half of it, is of no use; or files alone
	// that are larger than it is; and a small one when nothing is left in it.
	garbageOctets = 1 << 20
	emptyOctets   = 4 << 10
	// strayAge is the age from which on a body's file that no record names was left behind by a crash.
	strayAge = time.Hour
)

// garbage gives how many octets of the journal a new one would not have.
func (st *state) garbage(kept []removed) int64 {
	octets := st.end - st.records
	for _, r := range kept {
		octets -= int64(r.length)
	}
	return octets
}

func (st *state) isWorthCompacting(p Policy, now time.Time) bool {
	kept := st.kept(p, now)
	garbage, files := st.garbage(kept), filesOf(st.removed)-filesOf(kept)
	if len(st.live) == 0 && len(kept) == 0 {
		return st.end > emptyOctets || files > 0
	}
	room := garbage + files
	return room > garbageOctets && room > st.end/2 || files > st.end
}

// filesOf gives how many octets are in files of removed messages.
func filesOf(messages []removed) (octets int64) {
	for _, m := range messages {
		octets += m.StorageOctets - int64(m.length)
	}
	return octets
}

// compactSoon compacts a maildrop in the background, if it is worth it.
func (s *JournalStore) compactSoon(id string) {
	b, done, err := s.use(id)
	if err != nil {
		return
	}
	b.mu.Lock()
	due := b.st != nil && !b.compacting && b.st.isWorthCompacting(s.options.Policy(), time.Now())
	b.compacting = b.compacting || due
	b.mu.Unlock()
	if !due {
		done()
		return
	}
	s.background.Go(func() {
		defer done()
		s.compactors <- struct{}{}
		defer func() { <-s.compactors }()
		if err := s.compact(b, false); err != nil {
			s.log.Error("maildrop cannot be compacted", "mailbox", b.id, "error", err)
		}
	})
}

// compact writes the journal anew, without what is of no use any more, if it is worth it or must be.
func (s *JournalStore) compact(b *box, must bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.compacting = false
	err := s.withReserve(func() error {
		return locked(b.folder, syscall.LOCK_EX, func(sure func() error) error { return b.compact(must, sure) })
	})
	if errors.Is(err, ErrNoSpace) {
		return b.punch()
	}
	return err
}

func (b *box) compact(must bool, sure func() error) error {
	now, policy := time.Now(), b.store.options.Policy()
	if err := b.read(); err != nil || b.st == nil || !must && !b.st.isWorthCompacting(policy, now) {
		return err
	}
	if err := errors.Join(b.cut(), b.settleDisk()); err != nil {
		return err
	}
	return b.renew(sure)
}

// renew gives the journal's place to a new one, which says what the state does.
func (b *box) renew(sure func() error) error {
	if err := b.finishTakingOver(); err != nil {
		return err
	}
	kept := b.st.kept(b.store.options.Policy(), time.Now())
	c := &compaction{box: b, st: b.st, kept: kept, damaged: len(b.st.damage) > 0}
	if err := c.run(sure); err != nil {
		return err
	}
	b.begin()
	return nil
}

// begin reads the journal that has just taken its place. That it cannot is no reason to say that nothing was done.
func (b *box) begin() {
	if err := b.load(); err != nil {
		b.forget()
		b.store.log.Error("a journal that was written anew cannot be read yet", "mailbox", b.id, "error", err)
	}
}

// compactWith writes the journal anew as it is after a batch without messages. That is all or nothing, however large the batch
// is; but it needs as much room as is left in the maildrop.
func (b *box) compactWith(w *batch, sure func() error) error {
	err := w.bring()
	if err == nil {
		err = b.renew(sure)
	}
	if err != nil {
		b.forget() // the state says what the journal does not
	}
	return err
}

// compaction is a journal that is being written anew.
type compaction struct {
	box    *box
	st     *state
	kept   []removed
	names  map[[16]byte]bool // of the bodies' files that it has
	salt   [16]byte
	out    *bufio.Writer
	offset int64
	sure   func() error // see locked
	// damaged says that the old journal has something that could not be read.
	damaged bool
}

// run writes the journal and gives it its place.
func (c *compaction) run(sure func() error) error {
	c.names, c.sure = make(map[[16]byte]bool), sure
	if err := c.write(); err != nil {
		_ = os.Remove(c.box.path("journal.new"))
		return classify(err)
	}
	c.box.store.hooks.reached("compacted")
	if err := c.replace(sure); err != nil {
		_ = os.Remove(c.box.path("journal.new"))
		return classify(err)
	}
	c.box.store.hooks.reached("replaced")
	c.removeBodies()
	return nil
}

func (c *compaction) write() error {
	file, err := os.OpenFile(c.box.path("journal.new"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	c.out = bufio.NewWriterSize(file, spoolBufferOctets)
	err = c.writeRecords()
	return errors.Join(err, c.out.Flush(), c.box.store.hooks.failing("sync"), file.Sync(), file.Close())
}

func (c *compaction) writeRecords() error {
	_, _ = rand.Read(c.salt[:])
	h := &headerRecord{version: formatVersion, generation: c.st.generation + 1, salt: c.salt, nextUID: c.st.nextUID,
		warned: c.st.warned, made: c.st.made, owner: c.st.owner}
	if err := errors.Join(c.put(h), c.put(h)); err != nil {
		return err
	}
	for spans := range slices.Chunk(c.st.reserved, maxSpans) {
		if err := c.put(&reserveRecord{spans}); err != nil {
			return err
		}
	}
	messages := slices.Clone(c.st.live)
	for _, r := range c.kept {
		messages = append(messages, r.Message)
	}
	slices.SortFunc(messages, byUID)
	for _, m := range messages {
		if err := c.copy(m); err != nil {
			return err
		}
	}
	return c.putRemoved()
}

func (c *compaction) put(r record, body ...[]byte) error {
	data := appendRecord(nil, c.salt, c.offset, r, body...)
	c.offset += int64(len(data))
	_, err := c.out.Write(data)
	return err
}

// copy takes a message over as it is. Where its record cannot be read any more, there is nothing to be taken over.
func (c *compaction) copy(m Message) error {
	if err := c.sure(); err != nil {
		return err
	}
	data := make([]byte, m.length)
	if _, err := c.box.journal.file.ReadAt(data, m.offset); err != nil {
		return err
	}
	r, err := parseHead(data, seal{c.st.salt, m.offset})
	p, _ := parsePrefix(data)
	mr, ok := r.(*messageRecord)
	if err != nil || !ok || p.length != m.length {
		c.box.store.log.Error("a damaged message is lost", "mailbox", c.box.id, "uid", m.uid, "error", err)
		c.damaged = true
		return nil
	}
	if c.st.seen.contains(m.uid) {
		mr.flags |= flagSeen
	}
	if mr.flags&flagFile != 0 {
		c.names[mr.file] = true
	}
	return c.put(mr, data[p.head:p.head+mr.inline])
}

// putRemoved writes down again which messages are removed, and when.
func (c *compaction) putRemoved() error {
	slices.SortFunc(c.kept, func(a, b removed) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.reason, b.reason), byUID(a.Message, b.Message))
	})
	for len(c.kept) > 0 {
		first := c.kept[0]
		n := slices.IndexFunc(c.kept, func(r removed) bool { return r.at != first.at || r.reason != first.reason })
		if n < 0 {
			n = len(c.kept)
		}
		var uids []uint64
		for _, r := range c.kept[:n] {
			uids = append(uids, r.uid)
		}
		for _, part := range inParts(&removeRecord{first.reason, first.at, setOf(uids)}) {
			if err := c.put(part); err != nil {
				return err
			}
		}
		c.kept = c.kept[n:]
	}
	return nil
}

// keepDamaged gives the journal a second name, under which it stays when another one has its place.
func (b *box) keepDamaged() error {
	journal, err := os.Stat(b.path("journal"))
	for i := 0; err == nil; i++ {
		path := b.path(fmt.Sprintf("journal.damaged-%d", b.st.generation))
		if i > 0 {
			path = fmt.Sprintf("%s-%d", path, i+1)
		}
		if err = os.Link(b.path("journal"), path); !errors.Is(err, fs.ErrExist) {
			return err
		}
		var there os.FileInfo
		if there, err = os.Stat(path); err == nil && os.SameFile(there, journal) {
			return nil // a crash kept the new one from its place
		}
	}
	return err
}

// replace gives the new journal its place. One that was damaged stays, under another name.
func (c *compaction) replace(sure func() error) error {
	b := c.box
	if c.damaged {
		if err := b.keepDamaged(); err != nil {
			return err
		}
	}
	if err := sure(); err != nil {
		return err
	}
	if err := os.Rename(b.path("journal.new"), b.path("journal")); err != nil {
		return err
	}
	return syncFolder(b.folder)
}

// removeBodies removes the files that no record names any more. One that does not have a name yet may be on its way in.
func (c *compaction) removeBodies() {
	c.box.sweepIndexes()
	dropped := c.box.namesOf(c.st.removed)
	entries, err := os.ReadDir(c.box.path("b"))
	if err != nil {
		return // there are none
	}
	for _, entry := range entries {
		if c.sure() != nil { // somebody else may be writing a record that names it
			return
		}
		data, err := hex.DecodeString(entry.Name())
		info, err2 := entry.Info()
		if err != nil || err2 != nil || len(data) != 16 || c.names[[16]byte(data)] {
			continue
		}
		if dropped[[16]byte(data)] || time.Since(info.ModTime()) > strayAge {
			removeBody(c.box.path("b"), [16]byte(data))
		}
	}
}

func removeBody(folder string, name [16]byte) { _ = os.Remove(bodyPath(folder, name)) }

// namesOf gives the names of the files that removed messages have.
func (b *box) namesOf(messages []removed) map[[16]byte]bool {
	names := make(map[[16]byte]bool)
	data := make([]byte, prefixOctets+512+maxFormer)
	for _, m := range messages {
		if m.flags&flagFile == 0 {
			continue
		}
		n, _ := b.journal.file.ReadAt(data, m.offset)
		p, err := parsePrefix(data[:n])
		if err != nil || int(p.head) > n {
			continue
		}
		if r, err := parseHead(data[:n], seal{b.st.salt, m.offset}); err == nil {
			if mr, ok := r.(*messageRecord); ok {
				names[mr.file] = true
			}
		}
	}
	return names
}

// punch gives the room of removed messages back without writing anything: on a full volume there is no room for a new journal.
func (b *box) punch() error {
	return locked(b.folder, syscall.LOCK_EX, func(func() error) error {
		if err := b.read(); err != nil || b.st == nil {
			return err
		}
		kept := make(map[uint64]bool)
		for _, r := range b.st.kept(b.store.options.Policy(), time.Now()) {
			kept[r.uid] = true
		}
		dropped := slices.DeleteFunc(slices.Clone(b.st.removed), func(r removed) bool { return kept[r.uid] })
		for name := range b.namesOf(dropped) {
			removeBody(b.path("b"), name)
		}
		for _, r := range dropped {
			if err := b.punchOne(r.Message); err != nil {
				return fmt.Errorf("give back the room of removed messages: %w", err)
			}
		}
		return nil
	})
}

const (
	// punchedFrom is where in a record the room that is given back begins: behind the head, which a reader needs.
	punchedFrom = 512 + maxFormer
	// punchLeast is how long a record is at least of which there is a block to be given back.
	punchLeast = punchedFrom + 4<<10
)

func (b *box) punchOne(m Message) error {
	if m.length < punchLeast {
		return nil
	}
	mode := uint32(unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE)
	err := unix.Fallocate(int(b.journal.file.Fd()), mode, m.offset+punchedFrom, int64(m.length)-punchedFrom)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return nil
	}
	return err
}

// isPunched tells whether the room of a removed message was given back. Only a text ends in zeros where that was done: others
// end in CRLF.
func (b *box) isPunched(m Message) bool {
	if m.flags&flagFile == 0 {
		return b.endsInZeros(m)
	}
	for name := range b.namesOf([]removed{{Message: m}}) {
		if _, err := os.Lstat(bodyPath(b.path("b"), name)); errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return b.endsInZeros(m)
}

func (b *box) endsInZeros(m Message) bool {
	if m.length < punchLeast {
		return false
	}
	var end [recordAlign]byte
	_, err := b.journal.file.ReadAt(end[:], m.offset+int64(m.length)-recordAlign)
	return err == nil && end == [recordAlign]byte{}
}
