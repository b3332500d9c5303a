package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/popservice/popservice/pop3server/directory/verifier"
)

const hashHelp = `Read a password, one line, from standard input and print a verifier for the directory.
Any scheme checks passwords.

  ARGON2ID       the default, and the one to choose unless something else is needed: a stolen verifier takes long to guess
  SCRAM-SHA-256  lets clients use SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as well
  SSHA512        salted SHA-512, as LDAP servers have it; quick to guess
  NT             lets clients use NTLM as well. It is password-equivalent: whoever reads it can log in with NTLM, and it has
                 no salt. Keep it like the password itself, and do not make it unless NTLM is needed
  SHA512-CRYPT   $6$ of crypt(3)
  BLF-CRYPT      bcrypt, for passwords of at most 72 octets`

func newHash() *cobra.Command {
	scheme := schemeFlag(verifier.Argon2id)
	command := &cobra.Command{
		Use:   "hash",
		Short: "Read a password, one line, from standard input and print a verifier for the directory",
		Long:  hashHelp,
		Args:  cobra.NoArgs,
		RunE: running(func(command *cobra.Command) error {
			return hash(command, verifier.Scheme(scheme))
		}),
	}
	command.Flags().Var(&scheme, "scheme", "kind of verifier: "+schemeNames())
	return command
}

// hash prints a verifier of the password that it reads.
func hash(command *cobra.Command, scheme verifier.Scheme) error {
	password, err := readPassword(command.InOrStdin(), command.ErrOrStderr())
	if err != nil {
		return err
	}
	text, err := verifier.DeriveAs(scheme, password)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(command.OutOrStdout(), text)
	return err
}

// schemeFlag is the name of a scheme, in upper or lower case.
type schemeFlag verifier.Scheme

func (s *schemeFlag) String() string { return string(*s) }
func (s *schemeFlag) Type() string   { return "SCHEME" }

func (s *schemeFlag) Set(text string) error {
	scheme := verifier.Scheme(strings.ToUpper(text))
	if !slices.Contains(verifier.Schemes(), scheme) {
		return errors.New("want one of " + schemeNames())
	}
	*s = schemeFlag(scheme)
	return nil
}

func schemeNames() string {
	var names []string
	for _, scheme := range verifier.Schemes() {
		names = append(names, string(scheme))
	}
	return strings.Join(names, ", ")
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
