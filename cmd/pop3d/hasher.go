package main

import (
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/hashers"
)

const (
	hasher = "hasher"
	// self is the very program that runs, also where another version has taken its place in the file system.
	self = "/proc/self/exe"
)

// newHasher is what the server starts to check passwords.
func newHasher() *cobra.Command {
	return &cobra.Command{
		Use:    hasher,
		Short:  "Check passwords for a server, which starts this itself",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: running(func(command *cobra.Command) error {
			// It ends when the server closes its input. Who sends signals to all at once is to reach the server first.
			signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			if err := hashers.GiveWay(); err != nil { // it works without, only that sessions wait for it
				_, _ = fmt.Fprintf(command.ErrOrStderr(), "pop3d hasher: priority not lowered, sessions may wait for passwords: %v\n", err)
			}
			return hashers.Serve(command.InOrStdin(), command.OutOrStdout())
		}),
	}
}
