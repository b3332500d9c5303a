package watch

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// snapshot is what files looked like at one time, by path. A file that does not exist is not in it.
type snapshot map[string]fs.FileInfo

// take looks at files, and at the files in folders.
func take(paths []string) snapshot {
	s := make(snapshot)
	for _, path := range paths {
		s.add(path)
		entries, _ := os.ReadDir(path) // none when it is a file, or missing
		for _, entry := range entries {
			s.add(filepath.Join(path, entry.Name()))
		}
	}
	return s
}

func (s snapshot) add(path string) {
	if info, err := os.Stat(path); err == nil {
		s[path] = info
	}
}

func (s snapshot) equal(other snapshot) bool {
	return maps.EqualFunc(s, other, func(a, b fs.FileInfo) bool {
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}
