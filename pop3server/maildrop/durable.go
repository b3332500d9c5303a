package maildrop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// What mail is kept in is nobody else's to read.
const (
	folderMode = 0o700
	fileMode   = 0o600
)

// makeFolders makes a folder and those above it, where they are missing, such that they survive a power loss.
func makeFolders(path string) error {
	err := os.Mkdir(path, folderMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeFolders(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, folderMode)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(path)) // also if it is there: who made it may have been killed before this
}

// syncFolder makes what was created, renamed and removed in a folder survive a power loss.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// replaceFile gives a small file new contents, durably: after a crash it has the old or the new ones. Two calls for one
// path must not overlap.
func replaceFile(path, contents string) error {
	next := path + ".new"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = file.WriteString(contents)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// classify marks errors that mean a full volume.
func classify(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// allocate gives a file room on the volume, without changing what is in it.
func allocate(file *os.File, octets int64) error {
	for {
		err := unix.Fallocate(int(file.Fd()), 0, 0, octets)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
