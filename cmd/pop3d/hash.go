package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/popservice/popservice/pop3server/directory/verifier"
)

func newHash() *cobra.Command {
	return &cobra.Command{
		Use:   "hash",
		Short: "Read a password, one line, from standard input and print a verifier for the directory",
		Args:  cobra.NoArgs,
		RunE: running(func(command *cobra.Command) error {
			password, err := readPassword(command.InOrStdin(), command.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), verifier.Derive(password))
			return err
		}),
	}
}

// readPassword reads one line without its end; from a terminal, without showing it.
func readPassword(input io.Reader, prompt io.Writer) ([]byte, error) {
	password, err := readSecretLine(input, prompt)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read password: %w", err)
	case len(password) == 0:
		return nil, errors.New("the password is empty")
	}
	return password, nil
}

func readSecretLine(input io.Reader, prompt io.Writer) ([]byte, error) {
	if file, ok := input.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		_, _ = fmt.Fprint(prompt, "Password: ")
		defer func() { _, _ = fmt.Fprintln(prompt) }()
		return term.ReadPassword(int(file.Fd()))
	}
	line, err := bufio.NewReader(input).ReadBytes('\n')
	if errors.Is(err, io.EOF) { // the last line need not be ended
		err = nil
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
}
