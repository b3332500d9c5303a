package maildrop

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// CheckLocks tells whether several servers can work on the store's folder: whether a lock that one has keeps another one
// out. On a network file system that is mounted such that locks count on one machine alone, it does not.
func (s *JournalStore) CheckLocks() error {
	if err := checkMount(s.root); err != nil {
		return err
	}
	first, err := os.CreateTemp(s.tmp, "locks-*") // of this server's own: others may be at it too
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(first.Name()) }()
	defer func() { _ = first.Close() }()
	second, err := os.OpenFile(first.Name(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = second.Close() }()
	if err := flock(first, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("the volume at %s takes no locks (%w): use a volume that does, or layout Single", s.root, err)
	}
	err = syscall.Flock(int(second.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("locks on the volume at %s keep nobody out: use a volume on which they do, or layout Single", s.root)
	}
	return nil
}

// checkMount refuses network file systems on which locks do not reach other machines.
func checkMount(root string) error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	path, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	var best mount
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if m, ok := parseMount(lines.Text()); ok && m.holds(path) && len(m.point) >= len(best.point) {
			best = m
		}
	}
	if option := best.localLocks(); option != "" {
		return fmt.Errorf("the volume at %s is mounted with %q, so that locks count on one machine alone: mount it without, "+
			"or use layout Single", root, option)
	}
	return nil
}

// mount is a line of mountinfo (proc(5)).
type mount struct {
	point, kind string
	options     []string
}

func parseMount(line string) (mount, bool) {
	front, back, ok := strings.Cut(line, " - ")
	fields, rest := strings.Fields(front), strings.Fields(back)
	if !ok || len(fields) < 6 || len(rest) < 3 {
		return mount{}, false
	}
	point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
	return mount{point: point, kind: rest[0], options: append(strings.Split(fields[5], ","), strings.Split(rest[2], ",")...)}, true
}

func (m mount) holds(path string) bool {
	return path == m.point || m.point == "/" || strings.HasPrefix(path, m.point+"/")
}

// localLocks gives the option by which locks are local; empty if there is none.
func (m mount) localLocks() string {
	if !strings.HasPrefix(m.kind, "nfs") {
		return ""
	}
	for _, option := range m.options {
		switch option {
		case "nolock", "local_lock=all", "local_lock=flock":
			return option
		}
	}
	return ""
}
