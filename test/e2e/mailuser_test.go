//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mailUser is somebody who fetches the mail of a mailbox, at a machine of his own as far as programs can tell.
type mailUser struct {
	service *service
	mailbox *mailbox
	way     way
	home    string
}

// nobody runs the clients: getmail does not write mail as root, and fetchmail does not like to.
const nobody = 65534

func newUser(t *testing.T, s *service, m *mailbox, w way) *mailUser {
	t.Helper()
	home, err := os.MkdirTemp("", "client-") // t.TempDir's cannot be entered by other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if err := os.Chown(home, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	u := &mailUser{service: s, mailbox: m, way: w, home: home}
	u.nameHosts(t)
	u.must(t, "", "mkdir", "-p", "Maildir/new", "Maildir/cur", "Maildir/tmp")
	return u
}

// nameHosts makes the files by which programs find hosts. There is no DNS here that would know the Service, and none that
// would answer at all: programs are sent where nobody listens, or they would wait. Some ask for the machine's own name.
func (u *mailUser) nameHosts(t *testing.T) {
	t.Helper()
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"hosts":       fmt.Sprintf("127.0.0.1 localhost %s\n%s %s\n", own, u.service.ip, u.service.host()),
		"resolv.conf": "nameserver 127.0.0.1\n",
	} {
		if err := os.WriteFile(filepath.Join(u.home, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// atHome runs a program as nobody, on a machine that has these files of the user's.
const atHome = `cd "$1" && mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && shift &&
exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"`

// run runs a program in the user's home, and gives what it printed.
func (u *mailUser) run(t *testing.T, stdin string, command ...string) (string, error) {
	t.Helper()
	return u.runFor(t, commandLimit, stdin, command...)
}

// runFor is run with another limit.
func (u *mailUser) runFor(t *testing.T, limit time.Duration, stdin string, command ...string) (string, error) {
	t.Helper()
	args := []string{"--mount", "sh", "-c", atHome, "sh", u.home,
		"env", "HOME=" + u.home, "TERM=xterm", "LINES=24", "COLUMNS=100"}
	return tryFor(t, limit, stdin, "unshare", append(args, command...)...)
}

func (u *mailUser) must(t *testing.T, stdin string, command ...string) {
	t.Helper()
	if _, err := u.run(t, stdin, command...); err != nil {
		t.Fatal(err)
	}
}

// write makes a file that nobody else can read.
func (u *mailUser) write(t *testing.T, file, text string) {
	t.Helper()
	u.must(t, text, "sh", "-c", `umask 077 && mkdir -p "$(dirname "$1")" && cat >"$1"`, "sh", file)
}

// trust has the user's programs trust an authority, and no other.
func (u *mailUser) trust(t *testing.T, a *authority) {
	t.Helper()
	certificate, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	u.write(t, "ca.pem", string(certificate))
}

// script puts a program of these tests where the user can read it.
func (u *mailUser) script(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	u.write(t, name, string(text))
}

// url is the mailbox's, followed by what is asked for.
func (u *mailUser) url(what string) string {
	return u.way.scheme + "://" + u.service.host() + "/" + what
}

// settings gives what docs/clients.md has under a heading, for the user's mailbox: the block of that number, or the last one.
func (u *mailUser) settings(t *testing.T, heading string, number int) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	parts := strings.Split(section, "\n```\n") // every second one is a block
	if len(parts) < 3 {
		t.Fatalf("docs/clients.md has no settings under %q", heading)
	}
	block := parts[min(2*number+1, len(parts)-2)]
	return strings.NewReplacer(
		"pop.example.com", u.service.host(), "alice@example.com", u.mailbox.address(),
		"correct horse", u.mailbox.password, "/etc/ssl/mail-ca.pem", filepath.Join(u.home, "ca.pem"),
	).Replace(block) + "\n"
}

// takeMail gives the messages that have come into the user's Maildir, with LF as their lines' ends, and takes them out of it.
func (u *mailUser) takeMail(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(u.home, "Maildir", "[nc]*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var mail []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.Remove(file)
		}
		if err != nil {
			t.Fatal(err)
		}
		mail = append(mail, strings.ReplaceAll(string(text), "\r\n", "\n"))
	}
	return mail
}
