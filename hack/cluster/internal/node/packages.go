//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/popservice/popservice/hack/cluster/internal/progress"
)

const existing = "README.md tells how to install PopService on a cluster that you have"

// requirements are the programs that come from the distribution, with the Debian packages that hold them.
var requirements = map[string]string{
	"runc":     "runc",
	"ip":       "iproute2",
	"iptables": "iptables", // the portmap plugin
	"nft":      "nftables", // kube-proxy
	"mount":    "mount",    // the kubelet
}

// cniFolders are where distributions put the CNI plugins.
var cniFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

var cniPlugins = []string{"ptp", "host-local", "portmap", "loopback"}

const cniPackage = "containernetworking-plugins"

// Preflight tells why a node cannot run here, before anything is done.
func Preflight() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("a node needs root, for namespaces, mounts and cgroups: run the command with sudo. %s",
			existing)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("reading the capabilities of this process: %w", err)
	}
	needed := map[string]uint{"CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN}
	for name, capability := range needed {
		if data[0].Effective&(1<<capability) == 0 {
			return fmt.Errorf("a node needs %s (in a container, start that with --privileged). %s", name, existing)
		}
	}
	return nil
}

// InstallPackages installs what is missing of the distribution's programs.
func InstallPackages(ctx context.Context, out io.Writer, logs string) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this system has no apt-get: install %s by its own means (the CNI plugins in one of %s). %s",
			strings.Join(missing, ", "), strings.Join(cniFolders, ", "), existing)
	}
	step := progress.Start(out, "installing Debian packages %s", strings.Join(missing, " "))
	err := aptInstall(ctx, filepath.Join(logs, "apt.log"), missing)
	step.End(err)
	if err != nil {
		return err
	}
	if missing = missingPackages(); len(missing) > 0 {
		return fmt.Errorf("apt-get succeeded, but the programs of %s are still not found", strings.Join(missing, ", "))
	}
	return nil
}

func missingPackages() []string {
	var missing []string
	for program, pkg := range requirements {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if _, err := cniFolder(); err != nil {
		missing = append(missing, cniPackage)
	}
	slices.Sort(missing)
	return missing
}

// cniFolder is the first folder that holds all plugins.
func cniFolder() (string, error) {
	for _, folder := range cniFolders {
		if !slices.ContainsFunc(cniPlugins, func(plugin string) bool {
			_, err := os.Stat(filepath.Join(folder, plugin))
			return err != nil
		}) {
			return folder, nil
		}
	}
	return "", errors.New("the CNI plugins are not installed: run `go run ./hack/cluster build`")
}

// aptInstall updates the package lists only when it has to.
func aptInstall(ctx context.Context, log string, packages []string) error {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return fmt.Errorf("making the log of apt-get: %w", err)
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	if apt(ctx, log, install...) == nil {
		return nil
	}
	if err := apt(ctx, log, "update"); err != nil {
		return err
	}
	return apt(ctx, log, install...)
}

func apt(ctx context.Context, log string, args ...string) error {
	// Another apt-get may be at work: wait for its lock rather than fail.
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return runLogged(cmd, log)
}
