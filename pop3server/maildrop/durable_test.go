package maildrop

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMakeFolders(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b", "c")
	for range 2 { // the second time they are there
		if err := makeFolders(path); err != nil {
			t.Fatal(err)
		}
	}
	for folder := path; folder != root; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		if err != nil || !info.IsDir() || info.Mode().Perm() != folderMode {
			t.Errorf("%s: %v, %v", folder, info, err)
		}
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, fileMode); err != nil {
		t.Fatal(err)
	}
	if err := makeFolders(filepath.Join(file, "a")); err == nil {
		t.Error("a folder was made in a file")
	}
}
