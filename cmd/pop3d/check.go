package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/config"
)

func newCheck() *cobra.Command {
	var path string
	command := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Tell whether a configuration file is right",
		Args:  cobra.NoArgs,
		RunE: running(func(command *cobra.Command) error {
			if _, err := config.Load(path); err != nil {
				return err
			}
			_, err := fmt.Fprintln(command.OutOrStdout(), "ok")
			return err
		}),
	}
	configFlag(command, &path)
	return command
}
