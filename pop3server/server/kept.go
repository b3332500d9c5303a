package server

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/popservice/popservice/pop3server/control"
)

// kept is something that is read from a file. A file that cannot be used leaves what was read before in place.
type kept[T any] struct {
	name        string // in the log and on the control port
	path        string // empty where there is to be none
	value       T      // the zero value while no file could ever be used
	fingerprint string // of the file that the value is of
	err         error  // why the file cannot be used now
}

// read gives what the file holds now; a file that is as it was is not parsed again.
func (k kept[T]) read(path string, parse func([]byte) (T, error), log *slog.Logger) kept[T] {
	next := kept[T]{name: k.name, path: path}
	if path == "" {
		return next
	}
	text, err := os.ReadFile(path)
	if err == nil && k.fingerprint != "" && k.fingerprint == control.Fingerprint(text) {
		next.value, next.fingerprint = k.value, k.fingerprint
		return next
	}
	if err == nil {
		next.value, err = parse(text)
		next.fingerprint = control.Fingerprint(text)
	}
	if err != nil {
		next.err = fmt.Errorf("%s %s cannot be used: %w", k.name, path, err)
		next.value, next.fingerprint = k.value, k.fingerprint
	}
	next.tell(k, log)
	return next
}

// of forgets what was read from a file that is no longer the one: whoever is named by authorities may log in, so that those of
// another file must not stay in place of one that cannot be used.
func (k kept[T]) of(path string) kept[T] {
	if k.path == path {
		return k
	}
	return kept[T]{name: k.name}
}

// tell logs what is new.
func (k kept[T]) tell(before kept[T], log *slog.Logger) {
	switch {
	case k.err != nil && textOf(k.err) != textOf(before.err):
		log.Error("file refused", "file", k.name, "kept", k.fingerprint != "", "error", k.err)
	case k.err == nil:
		log.Info("file loaded", "file", k.name, "fingerprint", k.fingerprint)
	}
}

// status tells of the file; ok is false where there is to be none.
func (k kept[T]) status() (told control.File, ok bool) {
	return control.File{Name: k.name, Fingerprint: k.fingerprint, Error: textOf(k.err)}, k.path != ""
}
