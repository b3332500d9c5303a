//go:build linux

package node

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// Status writes what runs. It returns an error when the cluster is not up.
func (n *Node) Status(ctx context.Context, w io.Writer) error {
	r, err := n.readRecord()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, name := range stopOrder {
		id := r.Processes[name]
		if id.Alive() {
			fmt.Fprintf(table, "%s\trunning\tpid %d\t%s\n", name, id.PID, n.log(name))
		} else {
			fmt.Fprintf(table, "%s\tstopped\t\t%s\n", name, n.log(name))
		}
	}
	fmt.Fprintln(table)
	versions := n.cache.Versions()
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		fmt.Fprintf(table, "%s\t%s\n", name, versions[name])
	}
	fmt.Fprintf(table, "\nname\t%s\nkubeconfig\t%s\nprograms\t%s\nlogs\t%s\naudit log\t%s\n", n.name, n.Kubeconfig(),
		n.cache.Bin(), n.path("logs"), n.auditLog())
	state := n.check(ctx)
	if state == nil {
		fmt.Fprintf(table, "node\t%s Ready\n", nodeName)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if state != nil {
		return fmt.Errorf("the cluster is not up: %w. Run `up`", state)
	}
	return nil
}
