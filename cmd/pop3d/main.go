// Command pop3d is the POP3 server of PopService. It runs by itself as well as under the operator.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set when the program is built.
var version = "dev"

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	err := newCommand().Execute()
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "pop3d: %v\n", err)
	if errors.As(err, new(failure)) {
		os.Exit(exitFailure)
	}
	os.Exit(exitUsage)
}

// failure is an error of a command that was understood; all others are of how the program was called.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:               "pop3d",
		Short:             "POP3 server with mail entering over LMTP",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newServe(), newCheck(), newHash(), newHasher(), newMaildrop(), newVersion())
	return root
}

// running makes a cobra function of one that may fail.
func running(run func(*cobra.Command) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, _ []string) error {
		if err := run(command); err != nil {
			return failure{err}
		}
		return nil
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: running(func(command *cobra.Command) error {
			_, err := fmt.Fprintln(command.OutOrStdout(), version)
			return err
		}),
	}
}
