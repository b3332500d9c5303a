//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

var neomuttClient = mailClient{
	name: "neomutt", ways: both, heading: "NeoMutt", file: ".neomuttrc", fetch: fetchByNeomutt,
	listing: "[Msgs:2 ", complaint: "(r)eject",
}

// What is typed. The first one copies unread messages, if there are any: those are unread that are not in the cache.
const (
	copyUnread = "<tag-pattern>~U<enter><tag-prefix-cond><copy-message>~/Maildir<enter><end-cond><quit>"
	deleteAll  = "<delete-pattern>~A<enter><sync-mailbox><quit>"
)

func fetchByNeomutt(t *testing.T, u *mailUser, remove bool) (string, error) {
	t.Helper()
	u.must(t, "", "mkdir", "-p", ".cache/neomutt")
	u.script(t, "terminal.py")
	keys := copyUnread
	if remove {
		keys = deleteAll
	}
	return u.run(t, "", "python3", "terminal.py", "neomutt", "-f", strings.Replace(u.url(""), "pop3", "pop", 1),
		"-e", "set confirm_append = no", "-e", `push "`+keys+`"`)
}
