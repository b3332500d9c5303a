//go:build e2e

package e2e

import (
	"errors"
	"os/exec"
	"testing"
)

var fetchmailClient = mailClient{
	name: "fetchmail", ways: both, heading: "fetchmail", file: ".fetchmailrc", fetch: fetchByFetchmail,
	listing: "2 messages for ", complaint: "certificate verify failed",
}

func fetchByFetchmail(t *testing.T, u *mailUser, remove bool) (string, error) {
	t.Helper()
	command := []string{"fetchmail"}
	if remove {
		command = append(command, "--nokeep", "--flush")
	}
	said, err := u.run(t, "", command...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil // there was no new mail
	}
	return said, err
}
