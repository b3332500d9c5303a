//go:build linux

package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHierarchies(t *testing.T) {
	mountinfo := `22 1 0:20 / /proc rw - proc none rw
30 25 0:26 / /sys/fs/cgroup rw - tmpfs none rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup none rw,cpu,cpuacct
32 30 0:28 /docker/1 /sys/fs/cgroup/memory rw - cgroup none rw,memory
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 none rw
34 25 0:29 / /mnt/cgroup rw - cgroup2 none rw
`
	want := []string{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"}
	if diff := cmp.Diff(want, hierarchies(mountinfo)); diff != "" {
		t.Errorf("hierarchies (-want +got):\n%s", diff)
	}
}

// Plain folders stand in for two hierarchies: the files of real ones can be read and written in the same way.
func TestGroupListsMembersOnceAndRemovesItself(t *testing.T) {
	g := Group{name: "g", hierarchies: []string{t.TempDir(), t.TempDir()}}
	if err := g.Create(); err != nil {
		t.Fatal(err)
	}
	pod := filepath.Join(g.hierarchies[0], "g", "kubepods", "pod1")
	if err := os.MkdirAll(pod, 0o755); err != nil {
		t.Fatal(err)
	}
	procs := map[string]string{filepath.Join(pod, "cgroup.procs"): "12\n11\n"}
	for _, h := range g.hierarchies {
		procs[filepath.Join(h, "g", components, "cgroup.procs")] = "7\n"
	}
	for file, content := range procs {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{7, 11, 12}, g.Members()); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{7}, g.Components()); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
	for file := range procs { // a real cgroup's files go with it
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Remove(); err != nil || g.Exists() {
		t.Errorf("after Remove: error %v, exists %v", err, g.Exists())
	}
}
