//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	dovecotMessages = 50
	serverUser      = 65532 // of the servers' image
)

// TestDovecotImport moves mailboxes from a real Dovecot to a server that runs: clients must find the same messages in the same
// order under the same unique-ids, or they would fetch all of them again.
func TestDovecotImport(t *testing.T) {
	t.Parallel()
	s := newService(t, "dovecot")
	for _, test := range []struct {
		name    string
		format  string
		migrate bool
	}{
		{"as-usual", "", false},
		{"numbers", "%u", false},
		{"names", "%g", false},
		{"migrated", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDovecot(t, test.format)
			if test.migrate {
				d.migrate(t)
			}
			want := d.removeSome(t)
			m := s.newMailbox(t, test.name)
			s.importMaildir(t, m, d)
			s.checkImported(t, m, want)
			s.checkLaterMail(t, m, want)
		})
	}
}

// importMaildir copies a Maildir to where the servers can read it, and imports it twice: whoever does that has nothing doubled.
func (s *service) importMaildir(t *testing.T, m *mailbox, d *dovecot) {
	t.Helper()
	folder := "imported-" + m.Name
	copyFolder(t, filepath.Join(d.dir, "Maildir"), filepath.Join(s.volume(t), folder))
	args := []string{"import", m.address(), "--from", "maildir:/var/lib/pop3d/" + folder, "--owner", s.Namespace + "/" + m.Name}
	if d.format != "" {
		args = append(args, "--pop3-uidl-format", d.format)
	}
	for _, round := range []string{"first", "second"} {
		t.Logf("%s import: %s", round, s.mustMaildrop(t, s.pod(t), args...))
	}
}

// inbox is what a mailbox has: unique-ids and messages, in their order.
type inbox struct {
	uids     []string
	messages [][]byte
}

func (p *session) inbox(t *testing.T) (in inbox) {
	t.Helper()
	in.uids = p.uids(t)
	for i := range in.uids {
		in.messages = append(in.messages, p.exactly(t, i+1))
	}
	return in
}

func (s *service) checkImported(t *testing.T, m *mailbox, want inbox) {
	t.Helper()
	p := s.open(t, m)
	defer p.quit(t)
	got := p.inbox(t)
	if !slices.Equal(got.uids, want.uids) {
		t.Fatalf("the unique-ids are\n%q\nand Dovecot's were\n%q", got.uids, want.uids)
	}
	for i, uid := range want.uids {
		checkSame(t, "message "+uid, got.messages[i], want.messages[i])
	}
}

// checkLaterMail: what is delivered later comes last, and has a unique-id that no message has had.
func (s *service) checkLaterMail(t *testing.T, m *mailbox, before inbox) {
	t.Helper()
	now := s.sendAll(t, m, "later")
	if last := len(now) - 1; !slices.Equal(now[:last], before.uids) || slices.Contains(before.uids, now[last]) {
		t.Errorf("with a later message the unique-ids are\n%q\nand before they were\n%q", now, before.uids)
	}
}

// dovecot is a Maildir that Dovecot has served.
type dovecot struct {
	dir    string
	format string // its pop3_uidl_format; empty is the usual one
}

func newDovecot(t *testing.T, format string) *dovecot {
	t.Helper()
	dir, err := os.MkdirTemp("", "dovecot-") // t.TempDir's cannot be entered by other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &dovecot{dir: dir, format: format}
	template, err := os.ReadFile("testdata/dovecot.conf")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.ReplaceAll(string(template), "DIR", dir)
	if format != "" {
		config += "pop3_uidl_format = " + format + "\n"
	}
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "dovecot.conf"), []byte(config), 0o644),
		os.Mkdir(filepath.Join(dir, "home"), 0o755), d.fill(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	chown(t, dir)
	return d
}

// fill makes the Maildir as delivery agents and IMAP clients leave one: new mail, mail with flags, lines with LF and with CRLF.
func (d *dovecot) fill() error {
	for _, folder := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(d.dir, "Maildir", folder), 0o755); err != nil {
			return err
		}
	}
	flags := []string{"", ":2,", ":2,S", ":2,RS", ":2,FS"}
	for i := range dovecotMessages {
		place := "new"
		if flags[i%len(flags)] != "" {
			place = "cur"
		}
		name := fmt.Sprintf("%d.M%dP%d.old.example.org%s", 1_600_000_000+1000*i, i, 100+i, flags[i%len(flags)])
		path := filepath.Join(d.dir, "Maildir", place, name)
		if err := os.WriteFile(path, []byte(oldLetter(i)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// oldLetter is a message as it lies in a Maildir.
func oldLetter(i int) string {
	text := fmt.Sprintf("From: <old@example.org>\nSubject: old mail %d\nMIME-Version: 1.0\n\n", i)
	switch i % 7 {
	case 0:
		text += body
	case 1:
		text += strings.Repeat("a long line ", 1000) + "\n"
	case 2:
		text += "no end of the last line"
	case 3:
		text = strings.ReplaceAll(text+body, "\n", "\r\n")
	case 4:
		text += strings.Repeat("0123456789abcdef 0123456789abcdef 0123456789abcdef\n", 6000)
	case 5:
		text += "\n\n.\n\n"
	} // and an empty body
	return text
}

// migrate makes of the Maildir one that was migrated to Dovecot: its list has the unique-ids that most messages had on the
// server before, and an order of their own for some.
func (d *dovecot) migrate(t *testing.T) {
	t.Helper()
	d.open(t).end(t) // it makes the list
	path := filepath.Join(d.dir, "Maildir", "dovecot-uidlist")
	list, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(list)), "\n")
	for i := 1; i < len(lines); i++ {
		uid, rest, _ := strings.Cut(lines[i], " ")
		if i%5 != 0 {
			uid += fmt.Sprintf(" Pold/%d+%d=", i, i*i)
		}
		if i%3 == 0 {
			uid += fmt.Sprintf(" O%d", dovecotMessages-i)
		}
		lines[i] = uid + " " + rest
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := d.open(t)
	defer p.end(t)
	if uids := p.uids(t); uids[0] != "old/48+2304=" {
		t.Fatalf("Dovecot does not follow its list: %q", uids)
	}
}

// removeSome has a client fetch all mail by way of Dovecot and remove every ninth message, so that numbers are missing. It
// gives what is left, as Dovecot tells it.
func (d *dovecot) removeSome(t *testing.T) inbox {
	t.Helper()
	p := d.open(t)
	all := p.inbox(t)
	if len(all.uids) != dovecotMessages {
		t.Fatalf("Dovecot has %d messages, want %d", len(all.uids), dovecotMessages)
	}
	for i := 9; i <= len(all.uids); i += 9 {
		p.must(t, "DELE %d", i)
	}
	p.end(t)
	p = d.open(t)
	defer p.end(t)
	left := p.inbox(t)
	if len(left.uids) != dovecotMessages-dovecotMessages/9 || left.uids[8] != all.uids[9] {
		t.Fatalf("Dovecot had %q and has %q", all.uids, left.uids)
	}
	return left
}

// pipedSession is a session with a program that runs for it alone.
type pipedSession struct {
	*session
	program *exec.Cmd
	said    *bytes.Buffer
}

// open begins a POP3 session on pipes, already logged in.
func (d *dovecot) open(t *testing.T) *pipedSession {
	t.Helper()
	p := &pipedSession{said: &bytes.Buffer{}}
	p.program = exec.CommandContext(t.Context(), "doveadm", "-c", filepath.Join(d.dir, "dovecot.conf"), "exec", "pop3")
	p.program.Env = append(os.Environ(), "USER=old", "HOME="+filepath.Join(d.dir, "home"))
	p.program.Stderr = p.said
	in, err := p.program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.program.Start(); err != nil {
		t.Fatalf("Dovecot: %v: run `hack/packages.sh doveadm=dovecot-core` as root", err)
	}
	p.session = &session{Conn: textproto.NewConn(pipes{out, in})}
	return p
}

// end ends the session, and waits until Dovecot has written everything, which it does after its reply to QUIT.
func (p *pipedSession) end(t *testing.T) {
	t.Helper()
	p.quit(t)
	if err := p.program.Wait(); err != nil {
		t.Errorf("Dovecot: %v\n%s", err, p.said)
	}
}

// pipes are both directions of a connection with a program.
type pipes struct {
	io.ReadCloser
	in io.WriteCloser
}

func (p pipes) Write(b []byte) (int, error) { return p.in.Write(b) }

func (p pipes) Close() error { return errors.Join(p.in.Close(), p.ReadCloser.Close()) }

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	chown(t, to)
}

// chown gives a folder with all that is in it to the servers' user.
func chown(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, serverUser, serverUser))
	})
	if err != nil {
		t.Fatal(err)
	}
}
