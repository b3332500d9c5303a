//go:build linux

// Package cgroup keeps all processes of a cluster below one cgroup of its own, in every hierarchy of the host: what is
// in there is the cluster's, whoever started it.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mountPoint = "/sys/fs/cgroup"
	components = "components" // the leaf for the node's own processes; the kubelet adds kubepods beside it
)

// emptyLimit bounds how long the kernel may take to let go of killed processes.
const emptyLimit = 5 * time.Second

// needed are the controllers that the kubelet asks for.
var needed = []string{"cpu", "cpuset", "memory", "pids"}

// Group is a cgroup of one name at the top of every hierarchy.
type Group struct {
	name        string
	hierarchies []string // mount points
	unified     bool     // cgroup v2 alone
}

// Find lists the hierarchies of the host: one on cgroup v2, about ten on v1.
func Find(name string) (Group, error) {
	var fsinfo unix.Statfs_t
	if err := unix.Statfs(mountPoint, &fsinfo); err != nil {
		return Group{}, fmt.Errorf("reading %s, where cgroups belong: %w", mountPoint, err)
	}
	if fsinfo.Type == unix.CGROUP2_SUPER_MAGIC {
		return Group{name: name, hierarchies: []string{mountPoint}, unified: true}, nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Group{}, fmt.Errorf("listing mounts: %w", err)
	}
	g := Group{name: name, hierarchies: hierarchies(string(mounts))}
	if len(g.hierarchies) == 0 {
		return g, fmt.Errorf("no cgroup is mounted below %s: mount cgroup v2 there", mountPoint)
	}
	return g, nil
}

// hierarchies takes the mount points of cgroups out of /proc/self/mountinfo (proc(5)): the fifth field is the mount
// point, the first after the separator "-" is the type.
func hierarchies(mountinfo string) []string {
	var points []string
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !found || len(fields) < 5 || !strings.HasPrefix(after, "cgroup") {
			continue
		}
		if strings.HasPrefix(fields[4], mountPoint+"/") && !slices.Contains(points, fields[4]) {
			points = append(points, fields[4])
		}
	}
	return points
}

// Path is the group as the kubelet names it.
func (g Group) Path() string { return "/" + g.name }

// Unified tells whether the host has cgroup v2 alone.
func (g Group) Unified() bool { return g.unified }

// Create makes the group in all hierarchies.
func (g Group) Create() error {
	if g.unified {
		if err := delegate(mountPoint); err != nil {
			return err
		}
	}
	for _, h := range g.hierarchies {
		if err := os.MkdirAll(filepath.Join(h, g.name, components), 0o755); err != nil {
			return fmt.Errorf("making a cgroup (in a container, start that with --privileged): %w", err)
		}
		if err := inheritCPUs(h, g.name, filepath.Join(g.name, components)); err != nil {
			return err
		}
	}
	if g.unified {
		return delegate(filepath.Join(mountPoint, g.name))
	}
	return nil
}

// delegate lets the children of a cgroup v2 group use the controllers that the kubelet needs.
func delegate(group string) error {
	file := filepath.Join(group, "cgroup.subtree_control")
	have, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the controllers that cgroups may use: %w", err)
	}
	for _, controller := range needed {
		if slices.Contains(strings.Fields(string(have)), controller) {
			continue
		}
		err := os.WriteFile(file, []byte("+"+controller), 0)
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("cannot hand the %s controller to cgroups below %s, because processes run in that very "+
				"group. Move them first: mkdir %[2]s/init; for p in $(cat %[2]s/cgroup.procs); do echo $p > "+
				"%[2]s/init/cgroup.procs; done", controller, group)
		}
		if err != nil {
			return fmt.Errorf("handing the %s controller to cgroups below %s: %w", controller, group, err)
		}
	}
	return nil
}

// inheritCPUs gives new cpuset groups of cgroup v1 what their parent has: they start empty, and empty ones take no
// process.
func inheritCPUs(hierarchy string, groups ...string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(hierarchy, file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another controller, or cgroup v2, where an empty file means the parent's
		}
		if err != nil {
			return fmt.Errorf("reading the cpuset of the host: %w", err)
		}
		for _, group := range groups {
			if err := os.WriteFile(filepath.Join(hierarchy, group, file), value, 0); err != nil {
				return fmt.Errorf("setting the cpuset of the cluster: %w", err)
			}
		}
	}
	return nil
}

// Add moves a process of the node itself into the group.
func (g Group) Add(pid int) error {
	for _, h := range g.hierarchies {
		file := filepath.Join(h, g.name, components, "cgroup.procs")
		if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("moving process %d into the cluster's cgroup: %w", pid, err)
		}
	}
	return nil
}

// Components are the ids of the node's own processes and of their children, such as the shims of containers.
func (g Group) Components() []int { return g.members(components) }

// Members are the ids of all processes in the group, those of pods included.
func (g Group) Members() []int { return g.members("") }

func (g Group) members(below string) []int {
	var pids []int
	for _, h := range g.hierarchies {
		_ = filepath.WalkDir(filepath.Join(h, g.name, below), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "cgroup.procs" {
				pids = append(pids, readPIDs(path)...)
			}
			return nil // groups come and go while they are listed
		})
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

func readPIDs(file string) []int {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil // the group has gone
	}
	var pids []int
	for field := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Exists tells whether anything of the group is there.
func (g Group) Exists() bool {
	return slices.ContainsFunc(g.hierarchies, func(h string) bool {
		_, err := os.Stat(filepath.Join(h, g.name))
		return err == nil
	})
}

// Remove deletes the group and all below it. No process may be left in it.
func (g Group) Remove() error {
	var failed error
	deadline := time.Now().Add(emptyLimit)
	for _, h := range g.hierarchies {
		failed = errors.Join(failed, removeTree(filepath.Join(h, g.name), deadline))
	}
	return failed
}

// removeTree removes groups from the leaves up: a cgroup is removed with rmdir(2), its files cannot be.
func removeTree(group string, deadline time.Time) error {
	var groups []string
	err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, path)
		}
		return nil
	})
	for _, g := range slices.Backward(groups) {
		if rmErr := remove(g, deadline); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("removing a cgroup: %w", rmErr))
		}
	}
	return err
}

// remove waits for a group to become empty: a killed process looks gone as soon as its first thread is, and the others keep the
// group busy for another moment.
func remove(group string, deadline time.Time) error {
	for {
		err := os.Remove(group)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
