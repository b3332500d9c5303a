//go:build e2e

package e2e

import "testing"

var perlClient = mailClient{
	name: "perl", ways: both, fetch: fetchByPerl,
	listing: "2 messages, OCTETS octets", complaint: "certificate verify failed",
}

func fetchByPerl(t *testing.T, u *mailUser, remove bool) (string, error) {
	t.Helper()
	return u.runScript(t, "perl", "fetch.pl", remove)
}
