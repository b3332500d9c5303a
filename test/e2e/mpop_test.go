//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

var mpopClient = mailClient{
	name: "mpop", ways: both, heading: "mpop", file: ".mpoprc", fetch: fetchByMpop,
	listing: "new: 2 messages in ", complaint: "certificate verification failed",
}

func fetchByMpop(t *testing.T, u *mailUser, remove bool) (string, error) {
	t.Helper()
	command := []string{"mpop"}
	if remove {
		command = append(command, "--keep=off")
	}
	return u.run(t, "", command...)
}

// testMpopUser logs in by the mechanism that its settings do not have.
func testMpopUser(t *testing.T, s *service) {
	m := s.newMailbox(t, "mpop-user")
	s.send(t, m, "first")
	for i, w := range both {
		u := newUser(t, s, m, w)
		u.trust(t, s.authority)
		u.write(t, mpopClient.file, strings.Replace(u.settings(t, mpopClient.heading, i), "auth plain", "auth user", 1))
		u.checkFetches(t, mpopClient, false, "first")
	}
}
