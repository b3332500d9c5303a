package maildrop

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// leaseLimit is how long a writer who has the lock may be held up between two steps. On a network file system the lock is a
// lease, of 90 seconds as a rule, which a process that was stopped meanwhile does not have any more.
const leaseLimit = 30 * time.Second

// errLease says that a writer was held up for so long that somebody else may have the lock.
var errLease = errors.New("the lock was held for too long to be sure of it: try again")

// journal is an open journal file. Sessions go on reading it when a newer generation has taken its place.
type journal struct {
	file *os.File
	// noted is what the file's metadata said when it was last read or written; the box's mutex guards it.
	noted stamp
	name  [nameOctets]byte
	salt  [16]byte
	users atomic.Int32
}

// nameOctets is how much of a journal's beginning no other journal has: its first record up to the salt.
const nameOctets = prefixOctets + 4 + 8 + 16

// openJournal opens a maildrop's journal, for its first user.
func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file}
	if j.noted, err = stampOf(int(file.Fd())); err == nil {
		_, err = file.ReadAt(j.name[:], 0)
	}
	if err != nil && !errors.Is(err, io.EOF) { // one that is shorter is no journal, which load tells
		_ = file.Close()
		return nil, err
	}
	j.users.Store(1)
	return j, nil
}

// look tells what file a maildrop's journal is now, and how it begins. A network file system remembers names and sizes for a
// while; it asks its server for the names in a folder, and for the size of a file, when that is opened. So only what was opened
// under the lock is certain to be what the last writer has left.
func look(folder string) (is stamp, name [nameOctets]byte, err error) {
	if err := askFor(folder); err != nil {
		return is, name, err
	}
	path := filepath.Join(folder, "journal")
	fd, err := openRaw(path, unix.O_RDONLY)
	if err != nil {
		return is, name, err
	}
	defer func() { _ = unix.Close(fd) }()
	if is, err = stampOf(fd); err == nil {
		err = retried(func() error {
			_, err := unix.Pread(fd, name[:], 0)
			return err
		})
	}
	if err != nil {
		err = &os.PathError{Op: "read", Path: path, Err: err}
	}
	return is, name, err
}

func (j *journal) acquire() *journal {
	j.users.Add(1)
	return j
}

// release closes the file with its last user.
func (j *journal) release() {
	if j != nil && j.users.Add(-1) == 0 {
		_ = j.file.Close()
	}
}

func (j *journal) size() (int64, error) {
	info, err := j.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// is tells whether the journal that is looked at is this one, as it was when it was read or written last: another generation
// has another salt. Where it says no, the journal is to be read anew.
func (j *journal) is(latest stamp, name [nameOctets]byte) bool {
	now, err := stampOf(int(j.file.Fd()))
	return err == nil && now == latest && name == j.name
}

// note takes down what the file's metadata say after it was read or written. Where they cannot be had, it is read again.
func (j *journal) note() {
	if now, err := stampOf(int(j.file.Fd())); err == nil {
		j.noted = now
	}
}

// isReplaced tells whether the file has no name any more.
func (j *journal) isReplaced() bool {
	info, err := j.file.Stat()
	if err != nil {
		return true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}

// datasync makes what was written survive a power loss.
func (j *journal) datasync() error {
	return retried(func() error { return unix.Fdatasync(int(j.file.Fd())) })
}

// load reads a journal from its beginning, or from where an index ends.
func (j *journal) load(indexed *state) (*state, error) {
	st := indexed
	if st == nil {
		st = &state{}
	}
	if err := j.catchUp(st); err != nil {
		return nil, err
	}
	if st.end == 0 {
		return nil, errors.New("journal has no header")
	}
	j.salt = st.salt
	return st, nil
}

// catchUp brings what was written since into the state.
func (j *journal) catchUp(st *state) error {
	size, err := j.size()
	if err != nil {
		return err
	}
	return st.catchUp(j.file, size)
}

// catchUp reads records up to a size.
func (st *state) catchUp(r io.ReaderAt, size int64) error {
	s := &scanner{r: r, size: size, salt: st.salt}
	end, damage, err := s.scan(st.end, func(p placed) error {
		err := st.apply(p)
		s.salt = st.salt // which the first record tells
		return err
	})
	st.damage = append(st.damage, damage...)
	st.skipLost(damage)
	if err != nil {
		return fmt.Errorf("read journal at %d: %w", end, err)
	}
	return nil
}

// skipLost raises the next unique-id above all that damaged records may have had: none is used twice.
func (st *state) skipLost(damage []Damage) {
	for _, d := range damage {
		st.nextUID += lostUIDs(d.To - d.From)
	}
}

// lostUIDs gives how many messages there may have been in so many octets, at most.
func lostUIDs(octets int64) uint64 { return uint64(octets)/prefixOctets + 1 } //nolint:gosec // not negative

// locked runs f while it holds the lock of a maildrop: how is LOCK_EX or LOCK_SH. f gets a function that tells whether the
// lock can still be relied on.
func locked(folder string, how int, f func(sure func() error) error) error {
	file, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := flock(file, how); err != nil {
		return err
	}
	last := time.Now().Round(0) // by the clock on the wall: a machine that has slept counts
	return f(func() error {
		now := time.Now().Round(0)
		if held := now.Sub(last); held < 0 || held > leaseLimit {
			return errLease
		}
		last = now
		return nil
	})
}

// flock takes a lock on an open file and waits for whoever has it.
func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		}
	}
}
