//go:build differential

package differential

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/popservice/popservice/internal/testkit"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

const (
	address  = "alice@example.com"
	password = "secret"
)

// pop3dServer is the program itself, built from this tree.
type pop3dServer struct {
	dir   string
	log   testkit.Log
	ports map[string]string
	lmtp  net.Conn
	in    *bufio.Reader
}

func newPop3d(t *testing.T) *pop3dServer {
	t.Helper()
	p := &pop3dServer{dir: t.TempDir()}
	binary := filepath.Join(p.dir, "pop3d")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/pop3d")
	build.Stderr = os.Stderr
	for _, err := range []error{build.Run(), p.writeConfig(), p.writeMailbox()} {
		must(t, err)
	}
	process := exec.Command(binary, "serve", "--config", filepath.Join(p.dir, "config.yaml"))
	process.Stderr = &p.log
	must(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	p.await(t)
	var err error
	p.lmtp, err = net.Dial("tcp", p.ports["lmtp"])
	must(t, err)
	t.Cleanup(func() { _ = p.lmtp.Close() })
	p.in = bufio.NewReader(p.lmtp)
	must(t, p.lmtpReply("220"))
	must(t, p.say("LHLO mta.example.org\r\n", "250"))
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writeConfig asks for exact sizes, which are what Dovecot tells, and for patience with bad commands, of which each server
// counts others.
func (p *pop3dServer) writeConfig() error {
	text, err := config.Encode(&config.Config{
		APIVersion: config.APIVersion, Kind: config.Kind, Hostname: "mx.example.com",
		Listeners:      []config.Listener{{Name: "pop3", Address: "127.0.0.1:0", Security: config.Plaintext}},
		LMTP:           &config.LMTP{Address: "127.0.0.1:0"},
		Directory:      config.Directory{Path: filepath.Join(p.dir, "directory")},
		Maildrop:       config.Maildrop{Path: filepath.Join(p.dir, "maildrops"), Size: config.ExactSize},
		Authentication: config.Authentication{LoginType: config.PlainTextLogin},
		Limits:         config.Limits{MaxBadCommands: 1000},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.dir, "config.yaml"), text, 0o600)
}

func (p *pop3dServer) writeMailbox() error {
	r := directory.Record{
		ID: directory.MailboxID(address), Address: address, Owner: "mail/alice", State: directory.Enabled,
		Credentials: []directory.Credential{{Name: "default", Verifier: verifier.Derive([]byte(password))}},
	}
	bucket := directory.Bucket(r.ID)
	header := directory.Header{Version: directory.Version, Bucket: directory.BucketName(bucket), Revision: 1}
	text, err := directory.Encode(header, []directory.Record{r})
	if err != nil {
		return err
	}
	folder := filepath.Join(p.dir, "directory")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, directory.BucketFile(bucket)), text, 0o600)
}

// await waits until the program serves, and finds its ports in the log.
func (p *pop3dServer) await(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, patience, "server", func() bool { return strings.Contains(p.log.String(), `"msg":"serving"`) },
		p.log.String)
	p.ports = make(map[string]string)
	for line := range strings.Lines(p.log.String()) {
		var entry struct{ Msg, Port, Address string }
		if err := json.Unmarshal([]byte(line), &entry); err == nil && entry.Msg == "listening" {
			p.ports[entry.Port] = entry.Address
		}
	}
}

// lmtpReply reads a reply of LMTP.
func (p *pop3dServer) lmtpReply(code string) error {
	_ = p.lmtp.SetDeadline(time.Now().Add(patience))
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("LMTP: %w", err)
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("LMTP says %q, want %s", line, code)
		}
		if line[len(code)] == ' ' {
			return nil
		}
	}
}

func (p *pop3dServer) say(text, code string) error {
	if _, err := io.WriteString(p.lmtp, text); err != nil {
		return err
	}
	return p.lmtpReply(code)
}

// deliver hands messages in, by BDAT for the sake of those whose last line does not end (RFC 3030 §2), and finds out which
// trace each has got.
func (p *pop3dServer) deliver(messages []*message, behind int) error {
	go func() { // together they may be more than the connection holds
		for _, m := range messages {
			_, _ = fmt.Fprintf(p.lmtp, "MAIL FROM:<sender@example.org> BODY=8BITMIME\r\nRCPT TO:<%s>\r\nBDAT %d LAST\r\n%s",
				address, len(m.text), m.text)
		}
	}()
	for range 3 * len(messages) {
		if err := p.lmtpReply("250"); err != nil {
			return err
		}
	}
	return p.learnTraces(messages, behind)
}

var trace = regexp.MustCompile(`^Return-Path: <sender@example\.org>\r\nDelivered-To: alice@example\.com\r\n` +
	`Received: from mta\.example\.org \(\[127\.0\.0\.1\]\)\r\n\tby mx\.example\.com with LMTP id \S+\r\n` +
	`\tfor <alice@example\.com>; [^\r\n]+\r\n`)

func (p *pop3dServer) learnTraces(messages []*message, behind int) error {
	if len(messages) == 0 {
		return nil
	}
	var lines []string
	for i := range messages {
		lines = append(lines, fmt.Sprintf("TOP %d 0\r\n", behind+i+1))
	}
	return request(p, pop3d, lines, func(i int, r reply) error {
		messages[i].setTrace(trace.FindString(r.body))
		if messages[i].trace == "" {
			return fmt.Errorf("pop3d: message %d of %d begins with %.400q", i+1, len(messages), r.status+"\r\n"+r.body)
		}
		return nil
	})
}

// empty removes what a trial has left that failed.
func (p *pop3dServer) empty() error {
	var left []int
	err := request(p, pop3d, []string{"UIDL\r\n"}, func(_ int, r reply) error {
		for i := range strings.Count(r.body, "\n") {
			left = append(left, i+1)
		}
		return nil
	})
	if err != nil || len(left) == 0 {
		return err
	}
	return remove(p, pop3d, left)
}

func (p *pop3dServer) open() (*session, error) {
	conn, err := net.Dial("tcp", p.ports["pop3/pop3"])
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
	s.send("USER " + address + "\r\nPASS " + password + "\r\n")
	for range 3 {
		if r, err := s.reply(""); err != nil || !r.ok() {
			return nil, errors.Join(fmt.Errorf("pop3d says %q to a login", r.status), err)
		}
	}
	return s, nil
}

func (p *pop3dServer) close(s *session) error { return s.conn.Close() }
