//go:build differential

package differential

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	dovecotPOP3 = "/usr/lib/dovecot/pop3"
	// mailUser is who Dovecot opens mailboxes as where the test runs as root, for it never does that as root.
	mailUser = 65532
)

// dovecotServer is a Maildir and Dovecot's POP3 program, which serves one session, logged in, on a socket of its own. There is
// no server behind it.
type dovecotServer struct {
	dir string
	env []string
	uid int
	// delivered counts messages: their names, of which none comes again, are in the order in which they came.
	delivered int
}

const dovecotConfig = `base_dir = DIR/run
protocols = pop3
mail_location = maildir:DIR/Maildir
mail_fsync = never
first_valid_uid = 1
first_valid_gid = 1
stats_writer_socket_path =
auth_socket_path =
namespace inbox {
  inbox = yes
}
`

func newDovecot(t *testing.T) *dovecotServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "differential-") // t.TempDir's cannot be entered by other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &dovecotServer{dir: dir, uid: os.Getuid()}
	if d.uid == 0 {
		d.uid = mailUser
	}
	if err := d.configure(); err != nil {
		t.Fatalf("Dovecot: %v: `make differential` installs the packages dovecot-core and dovecot-pop3d", err)
	}
	return d
}

// configure finds out the settings as Dovecot hands them from program to program. To do that for each session anew, as `doveadm
// exec pop3` does, takes as long as the session.
func (d *dovecotServer) configure() error {
	if _, err := os.Stat(dovecotPOP3); err != nil {
		return err
	}
	file := filepath.Join(d.dir, "dovecot.conf")
	err := errors.Join(
		os.Chmod(d.dir, 0o755),
		os.WriteFile(file, []byte(strings.ReplaceAll(dovecotConfig, "DIR", d.dir)), 0o644),
		os.Mkdir(filepath.Join(d.dir, "home"), 0o755),
		os.Chown(filepath.Join(d.dir, "home"), d.uid, -1),
	)
	if err != nil {
		return err
	}
	settings := exec.Command("doveconf", "-c", file, "-f", "service=pop3", "-m", "pop3", "-e", "/usr/bin/env")
	settings.Env = []string{"PATH=" + os.Getenv("PATH")}
	settings.Stderr = os.Stderr
	text, err := settings.Output()
	d.env = append(strings.Split(strings.TrimSpace(string(text)), "\n"), "USER=user", "HOME="+filepath.Join(d.dir, "home"))
	return err
}

// empty makes a new Maildir.
func (d *dovecotServer) empty() error {
	maildir := filepath.Join(d.dir, "Maildir")
	err := os.RemoveAll(maildir)
	for _, folder := range []string{"", "cur", "new", "tmp"} {
		path := filepath.Join(maildir, folder)
		err = errors.Join(err, os.Mkdir(path, 0o755), os.Chown(path, d.uid, -1))
	}
	return err
}

// deliver writes files. Their order is that of the times in their names.
func (d *dovecotServer) deliver(messages []*message, _ int) error {
	var err error
	for i, m := range messages {
		d.delivered++
		file := filepath.Join(d.dir, "Maildir", "new", fmt.Sprintf("%d.M1P1.example", 1_600_000_000+d.delivered))
		err = errors.Join(err, os.WriteFile(file, []byte(m.file(i)), 0o644), os.Chown(file, d.uid, -1))
	}
	return err
}

func (d *dovecotServer) open() (*session, error) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "ours"), os.NewFile(uintptr(ends[1]), "theirs")
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn.(*net.UnixConn), in: bufio.NewReader(conn)}
	s.program = exec.Command(dovecotPOP3)
	s.program.Env, s.program.Stdin, s.program.Stdout, s.program.Stderr = d.env, theirs, theirs, &s.said
	if os.Getuid() == 0 {
		id := uint32(d.uid)
		s.program.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
	return s, d.await(s)
}

// await starts the session's program, which does not greet, and has it answer a command: then it has opened the mailbox.
func (d *dovecotServer) await(s *session) error {
	if err := s.program.Start(); err != nil {
		return err
	}
	s.send("NOOP\r\n")
	if _, err := s.reply("NOOP"); err != nil {
		return errors.Join(err, d.close(s))
	}
	return nil
}

// close waits for the program, which writes its indexes after its last reply, and wants it to have had no trouble.
func (d *dovecotServer) close(s *session) error {
	_ = s.conn.Close()
	err := s.program.Wait()
	for line := range strings.Lines(s.said.String()) {
		if !strings.Contains(line, ": Info: ") {
			err = errors.Join(err, errors.New(strings.TrimSpace(line)))
		}
	}
	return err
}
