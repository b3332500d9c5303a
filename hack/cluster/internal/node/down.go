//go:build linux

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/popservice/popservice/hack/cluster/internal/netns"
	"github.com/popservice/popservice/hack/cluster/internal/process"
	"github.com/popservice/popservice/hack/cluster/internal/progress"
)

// Down stops the cluster and removes every trace but its logs, and with purge those as well. The cache stays.
func (n *Node) Down(ctx context.Context, purge bool) error {
	unlock, err := n.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if n.anythingLeft() {
		step := progress.Start(n.out, "stopping the cluster")
		err := n.clean(ctx)
		step.End(err)
		if err != nil {
			return err
		}
	}
	if !purge {
		return nil
	}
	// The lock stays: a run that waits for it would otherwise hold a file that nobody else can find.
	if err := os.RemoveAll(n.dir); err != nil {
		return fmt.Errorf("removing the cluster's logs: %w", err)
	}
	return nil
}

// anythingLeft tells whether a cluster runs, in whole or in part, or has left something behind.
func (n *Node) anythingLeft() bool {
	_, err := os.Lstat(n.namespace)
	_, recordErr := os.Stat(n.recordFile())
	return err == nil || recordErr == nil || n.cgroup.Exists() || len(n.mounts()) > 0
}

// clean ends and removes whatever there is of the cluster, in an order that lets nothing come back.
func (n *Node) clean(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		n.stopComponents, n.stopRest, n.unmountAll, n.deleteNetwork,
		func(context.Context) error { return n.cgroup.Remove() }, n.removeFiles,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("stopping the cluster: %w. Run `down` again", err)
		}
	}
	return nil
}

// stopComponents ends the recorded processes. The pods are asked to end as soon as no kubelet would restart them.
func (n *Node) stopComponents(ctx context.Context) error {
	r, err := n.readRecord()
	if err != nil {
		return err
	}
	for _, name := range stopOrder {
		if id, started := r.Processes[name]; started {
			if err := process.Stop(ctx, 10*time.Second, id); err != nil {
				return err
			}
		}
		if name == "kubelet" {
			if err := process.Stop(ctx, 3*time.Second, n.pods()...); err != nil {
				return err
			}
		}
	}
	return nil
}

// pods are the processes of containers.
func (n *Node) pods() []process.Identity {
	own := n.cgroup.Components()
	return identify(n.cgroup.Members(), func(pid int) bool { return !slices.Contains(own, pid) })
}

// stopRest ends what no record names: the shims of containers, processes of a start that was cut off, and commands
// of `exec` that still run. What is in the cluster's cgroup or namespace is the cluster's.
func (n *Node) stopRest(ctx context.Context) error {
	pids := n.cgroup.Members()
	if netns.Exists(n.namespace) {
		inside, err := netns.Members(n.namespace)
		if err != nil {
			return err
		}
		pids = append(pids, inside...)
	}
	return process.Stop(ctx, 0, identify(pids, func(pid int) bool { return !isAncestor(pid) })...)
}

func identify(pids []int, want func(pid int) bool) []process.Identity {
	var ids []process.Identity
	for _, pid := range pids {
		if id, err := process.Identify(pid); err == nil && want(pid) {
			ids = append(ids, id)
		}
	}
	return ids
}

// isAncestor tells whether this program runs below a process, as `exec -- cluster down` does.
func isAncestor(pid int) bool {
	for p := os.Getpid(); p > 1; p = process.Parent(p) {
		if p == pid {
			return true
		}
	}
	return false
}

// mounts are the mount points below the cluster's folder, the innermost last.
func (n *Node) mounts() []string {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return mountsBelow(string(data), n.dir)
}

// mountsBelow takes mount points out of /proc/self/mountinfo (proc(5): the fifth field, blanks as \040).
func mountsBelow(mountinfo, dir string) []string {
	var points []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point, err := strconv.Unquote(`"` + strings.ReplaceAll(fields[4], `"`, `\"`) + `"`)
		if err == nil && strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	return points
}

// unmountAll takes away root file systems of containers, volumes, namespaces of pods and the kubelet's own bind mount.
func (n *Node) unmountAll(context.Context) error {
	for _, point := range slices.Backward(n.mounts()) {
		// Detached, for a file of a killed process may be in use for another moment.
		err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	if left := n.mounts(); len(left) > 0 {
		return fmt.Errorf("%s is still mounted", left[0])
	}
	return nil
}

// removeFiles deletes the cluster's folder but for its logs, and the few files that components put elsewhere.
func (n *Node) removeFiles(context.Context) error {
	failed := errors.Join(n.removeShimSockets(), n.removeLogLinks(), n.removeCNIResults())
	entries, err := os.ReadDir(n.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the cluster's files: %w", err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "logs") {
			failed = errors.Join(failed, os.RemoveAll(n.path(entry.Name())))
		}
	}
	return failed
}

// removeShimSockets deletes the sockets of shims that were killed. They are in /run/containerd/s under a hash; each
// shim's folder tells its own.
func (n *Node) removeShimSockets() error {
	files, err := filepath.Glob(n.path("containerd/state/io.containerd.runtime.v2.task/*/*/bootstrap.json"))
	if err != nil {
		return err
	}
	var failed error
	for _, file := range files {
		var shim struct{ Address string }
		data, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(data, &shim) != nil {
			continue // not written to its end: there is no socket yet
		}
		if socket, ok := strings.CutPrefix(shim.Address, "unix://"); ok {
			failed = errors.Join(failed, removeFile(socket))
		}
	}
	return failed
}

// removeLogLinks deletes the links that the kubelet makes in /var/log/containers to the logs of pods.
func (n *Node) removeLogLinks() error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	var failed error
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, n.dir+"/") {
			failed = errors.Join(failed, removeFile(link))
		}
	}
	return failed
}

// cniResults is where libcni notes the interfaces that it made; pods that were killed leave their notes.
const cniResults = "/var/lib/cni/results"

// removeCNIResults deletes the notes on the pods of this cluster's network.
func (n *Node) removeCNIResults() error {
	entries, err := os.ReadDir(cniResults)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	note := regexp.MustCompile("^" + regexp.QuoteMeta(n.cniNetwork()) + "-([0-9a-f]{64})-eth0$")
	var failed error
	for _, entry := range entries {
		if found := note.FindStringSubmatch(entry.Name()); found != nil {
			failed = errors.Join(failed, removeFile(filepath.Join(cniResults, entry.Name())),
				removeFile(filepath.Join(cniResults, "cni-loopback-"+found[1]+"-lo")))
		}
	}
	return failed
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
