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
	return fmt.Errorf("a node needs Linux, and this is %s. Set KUBECONFIG to the configuration of a cluster that you "+
		"have, kind for example: the demo and the end-to-end tests then use that one. "+
		"`build --only=controlplane` and `assets` run here", runtime.GOOS)
}
