package maildrop

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// takeOverAtOnce is how many messages from new/ are written at one time.
const takeOverAtOnce = 64

// found is a file in new/.
type found struct {
	path   string
	source [16]byte
	info   os.FileInfo
}

// takeOver takes what other delivery agents have put into new/ into the journal. Each message is taken once: the journal has
// where it is from, and a file whose removal a crash has prevented is known by that.
func (b *box) takeOver(box Mailbox) error {
	info, err := os.Stat(b.path("new"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// The time of a folder's change is coarse: what came within the same tick is not to be missed.
	if info.ModTime().Equal(b.newChanged) && time.Since(info.ModTime()) > 2*time.Second {
		return nil
	}
	files, err := b.listNew()
	if err != nil {
		return err
	}
	for some := range slices.Chunk(files, takeOverAtOnce) {
		err = errors.Join(err, b.takeOverSome(box, some))
	}
	if err == nil {
		b.newChanged = info.ModTime()
	}
	return err
}

func (b *box) listNew() ([]found, error) {
	entries, err := os.ReadDir(b.path("new"))
	if err != nil {
		return nil, err
	}
	var files []found
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		files = append(files, found{filepath.Join(b.path("new"), entry.Name()), sourceOf(entry.Name()), info})
	}
	return files, nil
}

// sourceOf gives what the journal knows a file by. Maildir names are used once only.
func sourceOf(name string) [16]byte {
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:])
}

// takeOverSome reads some files before it takes the lock, and removes them before it gives it back.
func (b *box) takeOverSome(box Mailbox, files []found) error {
	readable, messages, unread := b.readAllNew(files)
	defer func() {
		for _, m := range messages {
			m.discard()
		}
	}()
	if len(messages) == 0 {
		return unread
	}
	records, err := b.placeAll(messages)
	if err == nil {
		err = b.writeLocked(box, true, func(st *state, w *batch) error {
			addNew(st, w, readable, messages, records)
			w.then = append(w.then, func() { b.store.hooks.reached("taken over"); removeFiles(readable) })
			if len(w.data) == 0 {
				removeFiles(readable)
			}
			return nil
		})
	}
	if err != nil {
		b.unplace(records)
		return errors.Join(err, unread)
	}
	b.unplace(slices.DeleteFunc(records, func(r *messageRecord) bool { return r.uid != 0 })) // those that had been taken
	return unread
}

// addNew adds those that nobody has taken yet.
func addNew(st *state, w *batch, files []found, messages []*incoming, records []*messageRecord) {
	next := st.nextUID
	for i, r := range records {
		if _, taken := st.sources[r.source]; taken || !exists(files, r.source) {
			continue
		}
		r.uid = next
		next++
		w.addMessage(messages[i], r)
	}
}

// readAllNew reads files. One that cannot be read does not keep the others out.
func (b *box) readAllNew(files []found) (readable []found, messages []*incoming, err error) {
	for _, f := range files {
		m, failed := b.readNew(&f)
		if errors.Is(failed, fs.ErrNotExist) {
			continue // somebody else has taken it
		}
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		readable, messages = append(readable, f), append(messages, m)
	}
	return readable, messages, err
}

// exists tells whether a file is there still: another process may have taken it while the lock was waited for, and have
// compacted the journal since.
func exists(files []found, source [16]byte) bool {
	for _, f := range files {
		if f.source == source {
			info, err := os.Stat(f.path)
			return err == nil && os.SameFile(info, f.info)
		}
	}
	return false
}

func removeFiles(files []found) {
	for _, f := range files {
		_ = os.Remove(f.path)
	}
}

func (b *box) readNew(f *found) (*incoming, error) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	sp, err := b.store.newSpool(file)
	if err != nil {
		return nil, err
	}
	return &incoming{spool: sp, received: f.info.ModTime(), source: &f.source}, nil
}

// finishTakingOver removes the files of messages that were taken over, durably, before the journal forgets where they are from.
func (b *box) finishTakingOver() error {
	if len(b.st.sources) == 0 {
		return nil
	}
	files, err := b.listNew()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if _, taken := b.st.sources[f.source]; taken {
			err = errors.Join(err, os.Remove(f.path))
		}
	}
	return errors.Join(err, syncFolder(b.path("new")))
}
