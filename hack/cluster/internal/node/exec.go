//go:build linux

package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/popservice/popservice/hack/cluster/internal/netns"
)

// Exec replaces this program by a command inside the cluster's network namespace, where the addresses of Services and
// pods are reached. Signals and the exit status are therefore the command's own.
func (n *Node) Exec(args []string) error {
	if len(args) == 0 {
		return errors.New("exec needs a command, such as: exec -- kubectl get nodes")
	}
	if !netns.Exists(n.namespace) {
		return fmt.Errorf("the cluster %s is not up: run `up` first", n.name)
	}
	if err := os.Setenv("PATH", n.cache.Path()); err != nil {
		return fmt.Errorf("setting PATH: %w", err)
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("finding the command: %w", err)
	}
	return netns.Exec(n.namespace, program, args, n.execEnvironment(os.Environ()))
}

// execEnvironment points clients at the cluster, ctr included, and tells where the writes to the API server are noted.
func (n *Node) execEnvironment(environ []string) []string {
	set := []string{"KUBECONFIG=" + n.Kubeconfig(), "CONTAINERD_ADDRESS=" + n.containerdSocket(),
		"CONTAINERD_NAMESPACE=k8s.io", AuditLogVariable + "=" + n.auditLog()}
	environ = slices.DeleteFunc(environ, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.ContainsFunc(set, func(s string) bool { return strings.HasPrefix(s, name+"=") })
	})
	return append(environ, set...)
}
