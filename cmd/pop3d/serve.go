package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/server"
)

func newServe() *cobra.Command {
	var path string
	command := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Serve until SIGTERM or SIGINT, then drain; a second signal ends the drain",
		Args:  cobra.NoArgs,
		RunE: running(func(command *cobra.Command) error {
			ctx, cut := followSignals(command.Context())
			return server.Run(ctx, server.Options{
				ConfigPath: path, Version: version, Log: os.Stderr, Cut: cut, Hasher: []string{self, hasher},
			})
		}),
	}
	configFlag(command, &path)
	return command
}

// configFlag adds the flag that names the configuration file.
func configFlag(command *cobra.Command, path *string) {
	command.Flags().StringVar(path, "config", "", "configuration file")
	_ = command.MarkFlagRequired("config") // it fails only where there is no such flag
}

// followSignals gives a context that the first signal ends, and a channel that the second one closes. SIGHUP is ignored: the
// files are followed, so there is nothing to reload by hand.
func followSignals(parent context.Context) (drain context.Context, cut <-chan struct{}) {
	signal.Ignore(syscall.SIGHUP)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	ctx, begin := context.WithCancel(parent)
	hurry := make(chan struct{})
	go func() {
		<-signals
		begin()
		<-signals
		close(hurry)
	}()
	return ctx, hurry
}
