package watch

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// deadline is how long a test waits for what must come; it never passes when the package works.
const deadline = 5 * time.Second

// start watches paths until the test ends. Each call of onChange sends to the channel; the first one is taken already.
func start(t *testing.T, w *watcher, paths ...string) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changes, done := make(chan struct{}, 100), make(chan struct{})
	onChange := func() { changes <- struct{}{} }
	go func() {
		defer close(done)
		if w == nil {
			Paths(ctx, slog.New(slog.DiscardHandler), paths, onChange)
			return
		}
		w.paths = paths
		w.run(ctx, onChange)
	}()
	t.Cleanup(func() { cancel(); <-done })
	await(t, changes, "the start")
	return changes
}

func await(t *testing.T, changes <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(deadline):
		t.Fatalf("nothing was told of %s", what)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileWrittenInPlaceAndRenamedIntoPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	changes := start(t, nil, path)
	write(t, path, "1")
	await(t, changes, "a new file")
	write(t, path, "2")
	await(t, changes, "a file written in place")
	write(t, path+".new", "3")
	must(t, os.Rename(path+".new", path))
	await(t, changes, "a file renamed into place")
	must(t, os.Remove(path))
	await(t, changes, "a file that was removed")
}

func TestFileInFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "directory")
	changes := start(t, nil, dir)
	must(t, os.Mkdir(dir, 0o700))
	await(t, changes, "a new folder")
	write(t, filepath.Join(dir, "2a.jsonl"), "1")
	await(t, changes, "a new file in the folder")
	must(t, os.Remove(filepath.Join(dir, "2a.jsonl")))
	await(t, changes, "a file that was removed")
}

// volume lays out a folder as the kubelet does it, and gives a function that replaces its file.
func volume(t *testing.T, dir string) (replace func(version, text string)) {
	t.Helper()
	replace = func(version, text string) {
		must(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "tls.crt"), text)
		old, _ := os.Readlink(filepath.Join(dir, volumeLink))
		must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")),
			os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, volumeLink)))
		if old != "" {
			must(t, os.RemoveAll(filepath.Join(dir, old)))
		}
	}
	replace("..1", "1")
	must(t, os.Symlink(filepath.Join(volumeLink, "tls.crt"), filepath.Join(dir, "tls.crt")))
	return replace
}

func TestKubeletReplacesVolume(t *testing.T) {
	for _, watched := range []string{"", "tls.crt"} {
		t.Run("watching "+watched, func(t *testing.T) {
			dir := t.TempDir()
			replace := volume(t, dir)
			changes := start(t, nil, filepath.Join(dir, watched))
			for _, version := range []string{"..2", "..3"} {
				replace(version, version)
				await(t, changes, "version "+version)
				drain(changes)
			}
		})
	}
}

// drain lets what belongs to the last change pass.
func drain(changes <-chan struct{}) {
	for {
		select {
		case <-changes:
		case <-time.After(4 * settle):
			return
		}
	}
}

func TestPollFindsWhatNoEventTells(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "1")
	changes := start(t, &watcher{log: slog.New(slog.DiscardHandler), poll: 10 * time.Millisecond}, dir)
	write(t, filepath.Join(dir, "file"), "longer")
	await(t, changes, "a file written in place")
	write(t, filepath.Join(dir, "other"), "")
	await(t, changes, "a new file in the folder")
}

func TestNothingIsToldOfOtherFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	changes := start(t, nil, path)
	write(t, filepath.Join(dir, "other"), "1")
	must(t, os.Rename(filepath.Join(dir, "other"), path)) // one event, told after everything before it
	await(t, changes, "the file")
	select {
	case <-changes:
		t.Error("a change of another file was told")
	case <-time.After(4 * settle):
	}
}
