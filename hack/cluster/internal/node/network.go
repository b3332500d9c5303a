//go:build linux

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"

	"github.com/popservice/popservice/hack/cluster/internal/netns"
)

// createNetwork makes the namespace with the node's address. The address sits on a bridge without ports: a device of
// type dummy is not in every kernel. The default route keeps packets for foreign addresses inside.
func (n *Node) createNetwork(ctx context.Context) error {
	if _, err := output(exec.CommandContext(ctx, "ip", "netns", "add", n.name)); err != nil {
		return fmt.Errorf("making the network namespace: %w", err)
	}
	commands, err := render("network", n.settings(""))
	if err != nil {
		return err
	}
	batch := exec.CommandContext(ctx, "ip", "-netns", n.name, "-batch", "-")
	batch.Stdin = bytes.NewReader(commands)
	if _, err := output(batch); err != nil {
		return fmt.Errorf("setting up the network namespace: %w", err)
	}
	return netns.Do(n.namespace, func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			return fmt.Errorf("letting the node forward packets of pods: %w", err)
		}
		return nil
	})
}

// deleteNetwork deletes the namespace, and with it bridges, interfaces and rules.
func (n *Node) deleteNetwork(ctx context.Context) error {
	if netns.Exists(n.namespace) {
		if _, err := output(exec.CommandContext(ctx, "ip", "netns", "delete", n.name)); err != nil {
			return fmt.Errorf("deleting the network namespace: %w", err)
		}
		return nil
	}
	// A machine that was cut off leaves the file on which the namespace was mounted.
	if err := os.Remove(n.namespace); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what is left of the network namespace: %w", err)
	}
	return nil
}
