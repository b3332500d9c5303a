// Command cluster runs a real Kubernetes node on the machine it is started on: for demos, for end-to-end tests, and as
// the source of the control plane that envtest needs. docs/design/local-cluster.md tells how it works.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/popservice/popservice/hack/cluster/internal/binaries"
)

// A command is one verb of the program's command line.
type command struct {
	name string
	args string
	help string
	run  func(ctx context.Context, args []string) error
}

// errUsage makes the program print how it is used.
var errUsage = errors.New("usage")

func main() { os.Exit(run(os.Args[1:])) }

// run gives the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, args)
	if errors.Is(err, errUsage) {
		usage(os.Stderr)
		return 2
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return 1
	}
	return 0
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	for _, c := range append(portableCommands, nodeCommands...) {
		if c.name == args[0] {
			return c.run(ctx, args[1:])
		}
	}
	return errUsage
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: go run ./hack/cluster COMMAND")
	for _, c := range append(portableCommands, nodeCommands...) {
		if c.help != "" {
			fmt.Fprintf(w, "  %-34s %s\n", c.name+" "+c.args, c.help)
		}
	}
	fmt.Fprintf(w, "environment: %s (cache of built programs), POPSERVICE_CLUSTER (name of the cluster)\n",
		binaries.CacheVariable)
}

// portableCommands run on every system that Go and etcd run on.
var portableCommands = []command{
	{name: "build", args: "[--only=controlplane]", run: build,
		help: "build all programs into the cache and install missing Debian packages"},
	{name: "assets", run: assets,
		help: "print the folder for KUBEBUILDER_ASSETS, with kube-controller-manager beside it"},
	{name: "bin", run: bin, help: "print the folder with kubectl, helm and ctr, for PATH"},
}

func build(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "--only=controlplane":
		_, err := ensure(ctx, binaries.ControlPlane)
		return err
	case len(args) != 0:
		return errUsage
	}
	if err := prepareNode(ctx); err != nil {
		return err
	}
	_, err := ensure(ctx, binaries.Everything)
	return err
}

func assets(ctx context.Context, args []string) error {
	return printBin(ctx, args, binaries.ControlPlane)
}

func bin(ctx context.Context, args []string) error { return printBin(ctx, args, binaries.Everything) }

func printBin(ctx context.Context, args []string, set binaries.Set) error {
	if len(args) != 0 {
		return errUsage
	}
	cache, err := ensure(ctx, set)
	if err == nil {
		fmt.Println(cache.Bin())
	}
	return err
}

func ensure(ctx context.Context, set binaries.Set) (*binaries.Cache, error) {
	cache, err := openCache()
	if err != nil {
		return nil, err
	}
	return cache, cache.Ensure(ctx, set)
}

func openCache() (*binaries.Cache, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	return binaries.Open(root, os.Stderr)
}

// repositoryRoot walks up from the working directory to the folder of this module's go.mod.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working directory: %w", err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/popservice/popservice\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside a checkout of popservice: run `go run ./hack/cluster` from its root")
		}
		dir = filepath.Dir(dir)
	}
}
