//go:build e2e

package e2e

import "testing"

// getmailClient has no STLS.
var getmailClient = mailClient{
	name: "getmail", ways: []way{pop3s}, heading: "getmail6", file: ".config/getmail/getmailrc", fetch: fetchByGetmail,
	listing: "2 messages (OCTETS bytes) retrieved", complaint: "CERTIFICATE_VERIFY_FAILED",
}

func fetchByGetmail(t *testing.T, u *mailUser, remove bool) (string, error) {
	t.Helper()
	command := []string{"getmail"}
	if remove {
		command = append(command, "--delete")
	}
	return u.run(t, "", command...)
}
