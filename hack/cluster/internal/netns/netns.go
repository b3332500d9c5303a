//go:build linux

// Package netns enters network namespaces that have a name in /run/netns, as ip-netns(8) makes them.
package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Path is the file that stands for a namespace.
func Path(name string) string { return filepath.Join("/run/netns", name) }

// Exists tells whether a namespace is mounted at a path. A machine that was cut off may leave a plain file there.
func Exists(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

// Do calls f in a namespace. Unlike `ip netns exec` it leaves the mounts alone, among them those of the cgroups.
// Processes that f starts stay in the namespace.
func Do(path string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		// Not unlocked: the thread has changed its namespace and ends with this goroutine.
		runtime.LockOSThread()
		result <- enterAnd(path, f)
	}()
	return <-result
}

// Exec replaces the program by another one inside a namespace. It returns only when it fails.
func Exec(path, program string, args, env []string) error {
	runtime.LockOSThread() // execve(2) keeps the namespaces of the thread that calls it
	return enterAnd(path, func() error { return syscall.Exec(program, args, env) })
}

func enterAnd(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening the network namespace: %w", err)
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering the network namespace %s: %w", path, err)
	}
	return f()
}

// Members are the ids of the processes in a namespace. A process whose namespace this program may not read has more
// rights than the program, so it did not come from it.
func Members(path string) ([]int, error) {
	want, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the network namespace: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		got, err := os.Stat(filepath.Join("/proc", entry.Name(), "ns/net"))
		if err == nil && os.SameFile(want, got) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
