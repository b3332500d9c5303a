package binaries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/popservice/popservice/hack/cluster/internal/filelock"
)

// CacheVariable names the environment variable that moves the cache.
const CacheVariable = "POPSERVICE_CACHE"

// Set says which programs are wanted.
type Set int

const (
	// ControlPlane is etcd, kube-apiserver, kube-controller-manager and kubectl: what envtest needs.
	ControlPlane Set = iota
	// Everything is all that a node needs, and helm.
	Everything
)

// Cache holds built programs. Its layout is built/MODULE-VERSION-HASH/PROGRAM, and bin-HASH with links to all of
// the programs that belong together.
type Cache struct {
	folder  string
	modules []pinned
	out     io.Writer // progress
}

// Open reads the pinned versions under the repository's root and finds the cache's folder.
func Open(root string, out io.Writer) (*Cache, error) {
	folder, err := cacheFolder()
	if err != nil {
		return nil, err
	}
	c := &Cache{folder: folder, out: out}
	for _, m := range catalog {
		p, err := pin(root, m)
		if err != nil {
			return nil, err
		}
		c.modules = append(c.modules, p)
	}
	return c, nil
}

func cacheFolder() (string, error) {
	if folder := os.Getenv(CacheVariable); folder != "" {
		return filepath.Abs(folder)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache folder (set %s to choose one): %w", CacheVariable, err)
	}
	return filepath.Join(user, "popservice"), nil
}

// Bin is the folder with links to all programs. Its name changes with the versions of any of them.
func (c *Cache) Bin() string {
	keys := make([]string, 0, len(c.modules))
	for _, m := range c.modules {
		keys = append(keys, m.key)
	}
	return filepath.Join(c.folder, "bin-"+digest(keys...))
}

// Logs is the folder with the output of the builds.
func (c *Cache) Logs() string { return filepath.Join(c.folder, "logs") }

// Versions are the versions of the programs by module, such as "kubernetes" → "v1.37.2".
func (c *Cache) Versions() map[string]string {
	versions := make(map[string]string, len(c.modules))
	for _, m := range c.modules {
		versions[m.name] = m.version
	}
	return versions
}

// Ensure builds what is missing of a set of programs and links it into Bin.
func (c *Cache) Ensure(ctx context.Context, set Set) error {
	if len(c.missing(set)) == 0 {
		return nil
	}
	for _, folder := range []string{c.Bin(), c.Logs()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("making the cache: %w", err)
		}
	}
	unlock, err := filelock.Lock(ctx, filepath.Join(c.folder, "lock"), c.out)
	if err != nil {
		return err
	}
	defer unlock()
	missing := c.missing(set) // another run may have built some while this one waited
	for i, t := range missing {
		if err := c.build(ctx, t, i+1, len(missing)); err != nil {
			return err
		}
	}
	return nil
}

// A target is one program with the module that it is built from.
type target struct {
	pinned
	program program
}

func (c *Cache) path(t target) string {
	return filepath.Join(c.folder, "built", t.key, t.program.name)
}

func (c *Cache) missing(set Set) []target {
	var missing []target
	for _, m := range c.modules {
		for _, p := range m.programs {
			t := target{m, p}
			if (p.controlPlane || set == Everything) && !c.ready(t) {
				missing = append(missing, t)
			}
		}
	}
	return missing
}

// ready tells whether the link of a program leads to it.
func (c *Cache) ready(t target) bool {
	to, err := os.Readlink(filepath.Join(c.Bin(), t.program.name))
	if err != nil || to != c.path(t) {
		return false
	}
	_, err = os.Stat(to)
	return err == nil
}

func (c *Cache) link(t target) error {
	name := filepath.Join(c.Bin(), t.program.name)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("linking %s: %w", t.program.name, err)
	}
	if err := os.Symlink(c.path(t), name); err != nil {
		return fmt.Errorf("linking %s: %w", t.program.name, err)
	}
	return nil
}

// Path is a value for the PATH variable that finds the programs of the cache first.
func (c *Cache) Path() string {
	return strings.Join([]string{c.Bin(), os.Getenv("PATH")}, string(os.PathListSeparator))
}
