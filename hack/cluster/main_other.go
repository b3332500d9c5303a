//go:build !linux

package main

import (
	"context"
	"fmt"
	"runtime"
)

// nodeCommands only say why they cannot run here.
var nodeCommands = refuse("up", "down", "status", "kubeconfig", "load", "recycle", "exec")

func refuse(names ...string) []command {
	var commands []command
	for _, name := range names {
		commands = append(commands, command{name: name, run: func(ctx context.Context, _ []string) error {
			return prepareNode(ctx)
		}})
	}
	return commands
}

func prepareNode(context.Context) error {
	return fmt.Errorf("a node needs Linux, and this is %s. README.md tells how to install PopService on a cluster that "+
		"you have. `build --only=controlplane` and `assets` run here", runtime.GOOS)
}
