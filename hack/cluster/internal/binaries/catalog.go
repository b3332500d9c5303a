// Package binaries builds the programs of the local cluster from the Go modules in hack/cluster/modules and keeps
// them in a cache, keyed by everything that goes into them, so that a second run builds nothing.
package binaries

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// A module is a nested Go module whose only content is go.mod and go.sum: it pins programs of others.
type module struct {
	name     string // folder in hack/cluster/modules
	path     string // the Go module whose version is the version of the programs
	tags     string
	stamp    func(version string) []string // linker flags that tell the programs their version
	programs []program
}

type program struct {
	name         string
	pkg          string
	controlPlane bool // envtest needs it
}

// catalog lists what is built, the control plane first because it is of use alone.
var catalog = []module{
	{
		name: "etcd",
		path: "go.etcd.io/etcd/server/v3",
		programs: []program{
			{name: "etcd", pkg: "go.etcd.io/etcd/server/v3", controlPlane: true},
		},
	},
	{
		name:  "kubernetes",
		path:  "k8s.io/kubernetes",
		stamp: kubernetesStamp,
		programs: []program{
			{name: "kube-apiserver", pkg: "k8s.io/kubernetes/cmd/kube-apiserver", controlPlane: true},
			{name: "kube-controller-manager", pkg: "k8s.io/kubernetes/cmd/kube-controller-manager", controlPlane: true},
			{name: "kubectl", pkg: "k8s.io/kubernetes/cmd/kubectl", controlPlane: true},
			{name: "kube-scheduler", pkg: "k8s.io/kubernetes/cmd/kube-scheduler"},
			{name: "kubelet", pkg: "k8s.io/kubernetes/cmd/kubelet"},
			{name: "kube-proxy", pkg: "k8s.io/kubernetes/cmd/kube-proxy"},
		},
	},
	{
		name: "containerd",
		path: "github.com/containerd/containerd/v2",
		tags: "no_btrfs,no_zfs,no_devmapper",
		stamp: func(v string) []string {
			return []string{"-X", "github.com/containerd/containerd/v2/version.Version=" + v}
		},
		programs: []program{
			{name: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd"},
			{name: "containerd-shim-runc-v2", pkg: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
			{name: "ctr", pkg: "github.com/containerd/containerd/v2/cmd/ctr"},
		},
	},
	{
		name:     "helm",
		path:     "helm.sh/helm/v4",
		programs: []program{{name: "helm", pkg: "helm.sh/helm/v4/cmd/helm"}},
	},
}

// kubernetesStamp sets the version that the programs and their user agents report; without it they call themselves
// v0.0.0-master, and clients that compare versions refuse the server.
func kubernetesStamp(version string) []string {
	part := strings.Split(strings.TrimPrefix(version, "v"), ".")
	var flags []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags, "-X", pkg+".gitVersion="+version, "-X", pkg+".gitMajor="+part[0])
		flags = append(flags, "-X", pkg+".gitMinor="+part[1])
	}
	return flags
}

// pinned is a module with the files that pin it read.
type pinned struct {
	module
	dir     string
	version string
	key     string // of the folder in the cache: name, version and a hash of all inputs
}

func pin(root string, m module) (pinned, error) {
	p := pinned{module: m, dir: filepath.Join(root, "hack", "cluster", "modules", m.name)}
	mod, err := os.ReadFile(filepath.Join(p.dir, "go.mod"))
	if err != nil {
		return p, fmt.Errorf("reading the pinned versions of %s: %w", m.name, err)
	}
	sum, err := os.ReadFile(filepath.Join(p.dir, "go.sum"))
	if err != nil {
		return p, fmt.Errorf("reading the pinned versions of %s: %w", m.name, err)
	}
	if p.version, err = requiredVersion(mod, m.path); err != nil {
		return p, fmt.Errorf("%s/go.mod: %w", p.dir, err)
	}
	p.key = m.name + "-" + p.version + "-" + digest(string(mod), string(sum), strings.Join(p.flags(), " "),
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return p, nil
}

// flags are the arguments of `go build` that decide what the programs contain.
func (p pinned) flags() []string {
	linker := []string{"-s", "-w"}
	if p.stamp != nil {
		linker = append(linker, p.stamp(p.version)...)
	}
	flags := []string{"-trimpath", "-buildvcs=false", "-ldflags", strings.Join(linker, " ")}
	if p.tags != "" {
		flags = append(flags, "-tags", p.tags)
	}
	return flags
}

// requiredVersion finds the version at which a go.mod file requires a module.
func requiredVersion(mod []byte, path string) (string, error) {
	line := regexp.MustCompile(`(?m)^\s*(?:require\s+)?` + regexp.QuoteMeta(path) + `\s+(v\d+\.\d+\.\d+\S*)`)
	found := line.FindSubmatch(mod)
	if found == nil {
		return "", fmt.Errorf("no requirement of %s", path)
	}
	return string(found[1]), nil
}

// digest is a short hash of parts, none of which can run into the next.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
