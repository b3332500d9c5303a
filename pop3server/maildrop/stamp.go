package maildrop

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// stamp tells, without looking into a file, whether another one has taken its place, or it was written to. On a network file
// system another file may come to have the inode's number as soon as this one has no name; but it was changed at another time.
type stamp struct {
	device, inode uint64
	size          int64
	changed       unix.Timespec // which nobody can set
}

func newStamp(stat *unix.Stat_t) stamp {
	return stamp{stat.Dev, stat.Ino, stat.Size, stat.Ctim}
}

func stampOf(fd int) (stamp, error) {
	var stat unix.Stat_t
	err := retried(func() error { return unix.Fstat(fd, &stat) })
	return newStamp(&stat), err
}

func stampAt(path string) (stamp, error) {
	var stat unix.Stat_t
	if err := retried(func() error { return unix.Stat(path, &stat) }); err != nil {
		return stamp{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return newStamp(&stat), nil
}

// openRaw opens a file for a look that is over at once: what an os.File costs more is much for each delivery.
func openRaw(path string, mode int) (fd int, err error) {
	err = retried(func() error {
		fd, err = unix.Open(path, mode|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// askFor makes a network file system ask its server which names a folder has now.
func askFor(path string) error {
	fd, err := openRaw(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// retried makes a system call until no signal has interrupted it.
func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
