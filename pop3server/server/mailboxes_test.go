package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/popservice/popservice/pop3server/directory"
)

// Whether an address that is not found is one that does not exist.
func TestCompleteness(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	m := newMailboxes(path, slog.New(slog.DiscardHandler), func(_, _ *directory.Directory) {})
	step := func(what string, want bool) {
		t.Helper()
		m.load()
		if got := m.complete(); got != want {
			t.Errorf("%s: complete %t, want %t", what, got, want)
		}
	}
	file := filepath.Join(path, directory.BucketFile(0))
	good, err := directory.Encode(directory.Header{Version: directory.Version, Bucket: "00", Revision: 1}, nil)
	must(t, err)
	step("no folder", false)
	must(t, os.Mkdir(path, 0o700))
	step("an empty folder", true)
	must(t, os.WriteFile(file, []byte("bad"), 0o600))
	step("a bucket that could never be read", false)
	must(t, os.WriteFile(file, good, 0o600))
	step("a good bucket", true)
	must(t, os.WriteFile(file, []byte("bad"), 0o600))
	step("a bad one over a good one", true)
	must(t, os.Rename(path, path+".away"))
	step("the folder is gone", true)
}
