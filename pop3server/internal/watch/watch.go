// Package watch tells of changes of files and folders.
package watch

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	settle = 50 * time.Millisecond // a writer's further steps are told together with the first
	poll   = 10 * time.Second      // finds what no event tells of, such as changes that another host makes on NFS
)

// The kubelet replaces the files of a volume by moving this symbolic link to a new folder; the files' own links stay.
const volumeLink = "..data"

// Paths calls onChange after any of the files or folders has changed, until the context ends, and once at the start, as
// soon as no further change can be missed. It calls it from one goroutine, the caller's. A path need not exist.
//
// It sees files that are written in place, files that are renamed into place, and volumes that the kubelet replaces. Of a
// folder it watches the files in it, not folders below.
func Paths(ctx context.Context, logger *slog.Logger, paths []string, onChange func()) {
	w := watcher{log: logger, poll: poll}
	for _, path := range paths {
		w.paths = append(w.paths, filepath.Clean(path))
	}
	if events, err := fsnotify.NewWatcher(); err != nil {
		logger.Warn("files are only looked at from time to time", "every", poll, "error", err)
	} else {
		defer func() { _ = events.Close() }()
		w.events, w.errors, w.add = events.Events, events.Errors, events.Add
	}
	w.run(ctx, onChange)
}

type watcher struct {
	log   *slog.Logger
	paths []string
	poll  time.Duration
	seen  snapshot

	// From fsnotify; nil when it cannot be had.
	events <-chan fsnotify.Event
	errors <-chan error
	add    func(folder string) error
}

func (w *watcher) run(ctx context.Context, onChange func()) {
	ticker := time.NewTicker(w.poll)
	defer ticker.Stop()
	settled := time.After(0)
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-w.events:
			if settled == nil && w.concerns(event.Name) {
				settled = time.After(settle)
			}
		case err := <-w.errors: // events may have been lost
			w.log.Warn("watching files", "error", err)
			settled = time.After(settle)
		case <-ticker.C:
			if settled == nil && !w.seen.equal(take(w.paths)) {
				settled = time.After(0)
			}
		case <-settled:
			settled = nil
			w.watchFolders()
			w.seen = take(w.paths)
			onChange()
		}
	}
}

// concerns tells whether an event about this file is about one of the paths.
func (w *watcher) concerns(name string) bool {
	folder := filepath.Dir(name)
	for _, path := range w.paths {
		if name == path || folder == path || filepath.Base(name) == volumeLink && folder == filepath.Dir(path) {
			return true
		}
	}
	return false
}

// watchFolders asks for events about the paths that are folders and about the folders that paths stand in. A folder that
// does not exist is tried again after each change.
func (w *watcher) watchFolders() {
	if w.add == nil {
		return
	}
	for _, path := range w.paths {
		_ = w.add(filepath.Dir(path))
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			_ = w.add(path)
		}
	}
}
