package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/popservice/popservice/hack/cluster/internal/node"
)

// nodeCommands need Linux and root.
var nodeCommands = []command{
	{name: "up", run: plain((*node.Node).Up), help: "start the cluster, or leave it as it is when it runs"},
	{name: "down", args: "[--purge]", run: down,
		help: "stop the cluster and remove all of it but its logs (purge: these too)"},
	{name: "status", run: status, help: "show what runs; fails when the cluster is not up"},
	{name: "kubeconfig", run: kubeconfig, help: "print the path of the administrator's kubeconfig"},
	{name: "load", args: "IMAGE=BINARY…", run: load, help: "make images of static programs and give them to the node"},
	{name: "recycle", run: plain((*node.Node).Recycle),
		help: "empty volumes whose claims are gone and offer them again"},
	{name: "exec", args: "-- COMMAND…", run: execute, help: "run a command where Services and pods are reached"},
	{name: "forwarder", run: forward},
}

// prepareNode says whether a node can run here, and installs what it needs from the distribution.
func prepareNode(ctx context.Context) error {
	if err := node.Preflight(); err != nil {
		return err
	}
	cache, err := openCache()
	if err != nil {
		return err
	}
	return node.InstallPackages(ctx, os.Stderr, cache.Logs())
}

func openNode() (*node.Node, error) {
	if err := node.Preflight(); err != nil {
		return nil, err
	}
	cache, err := openCache()
	if err != nil {
		return nil, err
	}
	return node.New(cache, os.Stderr)
}

// plain makes a command without arguments of a method.
func plain(method func(*node.Node, context.Context) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		if len(args) != 0 {
			return errUsage
		}
		if err := prepareNode(ctx); err != nil {
			return err
		}
		n, err := openNode()
		if err != nil {
			return err
		}
		return method(n, ctx)
	}
}

func down(ctx context.Context, args []string) error {
	purge := len(args) == 1 && args[0] == "--purge"
	if len(args) != 0 && !purge {
		return errUsage
	}
	n, err := openNode()
	if err != nil {
		return err
	}
	return n.Down(ctx, purge)
}

func status(ctx context.Context, args []string) error {
	if len(args) != 0 {
		return errUsage
	}
	n, err := openNode()
	if err != nil {
		return err
	}
	return n.Status(ctx, os.Stdout)
}

func kubeconfig(_ context.Context, args []string) error {
	if len(args) != 0 {
		return errUsage
	}
	n, err := openNode()
	if err != nil {
		return err
	}
	if _, err := os.Stat(n.Kubeconfig()); err != nil {
		return fmt.Errorf("the cluster is not up: %w. Run `up` first", err)
	}
	fmt.Println(n.Kubeconfig())
	return nil
}

func load(ctx context.Context, args []string) error {
	images, err := node.ParseImages(args)
	if err != nil {
		return err
	}
	n, err := openNode()
	if err != nil {
		return err
	}
	digests, err := n.Load(ctx, images)
	for i, digest := range digests {
		fmt.Println(images[i].Name, digest)
	}
	return err
}

func execute(_ context.Context, args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	n, err := openNode()
	if err != nil {
		return err
	}
	return n.Exec(args)
}

// forward is how `up` runs this program inside the namespace.
func forward(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("forwarder is run by `up`")
	}
	return node.Forward(ctx, args[0])
}
