package maildrop

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// indexEvery is how much may be added to a journal before its index is worth being written.
const indexEvery = 256 << 10

// readIndex gives what an index says of a journal; nil where it is of no use.
func readIndex(path string, j *journal) *state {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	size, err2 := j.size()
	if err != nil || err2 != nil || info.Size() > 2*size+indexEvery { // a row is smaller than a record
		return nil
	}
	st, err := decodeIndex(file, info.Size())
	if err != nil || !j.hasIndex(st) {
		return nil
	}
	return st
}

// hasIndex tells whether a state was made from this journal, as it is up to there. It may not be so any more: a journal that
// was copied back can be older than its index, and go on otherwise.
func (j *journal) hasIndex(st *state) bool {
	size, err := j.size()
	if err != nil || st.end > size || st.last < 0 {
		return false
	}
	s := &scanner{r: j.file, size: size, salt: st.salt}
	p, err := s.record(0)
	h, ok := p.record.(*headerRecord)
	if err != nil || !ok || h.salt != st.salt || h.generation != st.generation {
		return false
	}
	p, err = s.record(st.last)
	return err == nil && p.end() == st.end && p.sum == st.lastSum
}

// saveIndex writes the index, where there is much that it does not have. It need not survive a power loss.
func (b *box) saveIndex() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saveIndexLocked()
}

func (b *box) saveIndexLocked() {
	if b.st == nil || b.st.end-b.indexed < indexEvery || len(b.st.damage) > 0 {
		return
	}
	if err := b.writeIndex(); err != nil {
		b.store.log.Warn("index cannot be written: the maildrop will open slowly", "mailbox", b.id, "error", err)
		return
	}
	b.indexed = b.st.end
}

// writeIndex replaces the index. It must not know of more than what a power loss leaves of the journal: other records would
// come to stand there.
func (b *box) writeIndex() error {
	if err := b.journal.datasync(); err != nil {
		return err
	}
	next, err := os.CreateTemp(b.folder, "index.*")
	if err != nil {
		return err
	}
	_, err = next.Write(encodeIndex(b.st))
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), b.path("index"))
	}
	if err != nil {
		_ = os.Remove(next.Name())
	}
	return err
}

// sweepIndexes removes what killed servers have left of an index. Where a live one loses it, it writes none this time.
func (b *box) sweepIndexes() {
	left, _ := filepath.Glob(b.path("index.*")) // the pattern is good
	for _, path := range left {
		if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > strayAge {
			_ = os.Remove(path)
		}
	}
}
