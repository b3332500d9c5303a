//go:build e2e

package e2e

import "testing"

var poplibClient = mailClient{
	name: "poplib", ways: both, fetch: fetchByPoplib,
	listing: "2 messages, OCTETS octets", complaint: "CERTIFICATE_VERIFY_FAILED",
}

func fetchByPoplib(t *testing.T, u *mailUser, remove bool) (string, error) {
	t.Helper()
	return u.runScript(t, "python3", "fetch.py", remove)
}

// runScript runs testdata's fetch.py or fetch.pl. What is secret comes on its standard input.
func (u *mailUser) runScript(t *testing.T, language, script string, remove bool) (string, error) {
	t.Helper()
	u.script(t, script)
	mode, what := "tls", "keep"
	if u.way == stls {
		mode = "stls"
	}
	if remove {
		what = "delete"
	}
	login := u.mailbox.address() + "\n" + u.mailbox.password + "\n"
	return u.run(t, login, language, script, mode, what, u.service.host(), "ca.pem")
}
