//go:build linux

// Package node runs a Kubernetes control plane and one node as plain processes in a network namespace of their own.
package node

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/popservice/popservice/hack/cluster/internal/binaries"
	"github.com/popservice/popservice/hack/cluster/internal/cgroup"
	"github.com/popservice/popservice/hack/cluster/internal/netns"
)

// Environment variables that choose the cluster.
const (
	NameVariable  = "POPSERVICE_CLUSTER"
	StateVariable = "POPSERVICE_CLUSTER_STATE"
)

// AuditLogVariable tells commands of `exec` the path of the audit log.
const AuditLogVariable = "POPSERVICE_AUDIT_LOG"

const (
	defaultName  = "popservice"
	defaultState = "/var/lib/popservice-cluster"

	// Addresses exist inside the namespace alone, so clusters beside each other can share them.
	nodeIP      = "10.88.0.1"
	serviceCIDR = "10.96.0.0/16"
	serviceIP   = "10.96.0.1" // of the API server: the first address of the range
	podCIDR     = "10.244.0.0/24"
	clusterCIDR = "10.244.0.0/16"

	nodeName     = "node1"
	pauseImage   = "docker.io/library/popservice-pause:local"
	storageClass = "popservice-local"
)

// validName keeps the name usable as a namespace, a cgroup and a part of the paths of Unix sockets (108 octets).
var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)

// Node is one cluster: what it is called, and where its files and programs are.
type Node struct {
	name      string
	dir       string
	cache     *binaries.Cache
	cgroup    cgroup.Group
	namespace string
	out       io.Writer // progress
}

// New finds the cluster that the environment names, whether it runs or not.
func New(cache *binaries.Cache, out io.Writer) (*Node, error) {
	name := valueOr(os.Getenv(NameVariable), defaultName)
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("%s=%q: want a small letter, then up to 19 small letters, digits or dashes",
			NameVariable, name)
	}
	state, err := filepath.Abs(valueOr(os.Getenv(StateVariable), defaultState))
	if err != nil {
		return nil, fmt.Errorf("finding the folder for the cluster's state: %w", err)
	}
	group, err := cgroup.Find("popservice-" + name)
	if err != nil {
		return nil, err
	}
	return &Node{name: name, dir: filepath.Join(state, name), cache: cache, cgroup: group,
		namespace: netns.Path(name), out: out}, nil
}

func valueOr(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// path names a file in the cluster's folder.
func (n *Node) path(elements ...string) string {
	return filepath.Join(append([]string{n.dir}, elements...)...)
}

// Kubeconfig is the path of the administrator's configuration. It works from the host and inside the namespace.
func (n *Node) Kubeconfig() string { return n.path("kubeconfig") }

func (n *Node) containerdSocket() string { return n.path("containerd", "containerd.sock") }

func (n *Node) log(component string) string { return n.path("logs", component+".log") }

func (n *Node) auditLog() string { return n.path("logs", "audit.log") }

func (n *Node) cniNetwork() string { return "popservice-" + n.name }

func (n *Node) lockFile() string { return n.dir + ".lock" }
