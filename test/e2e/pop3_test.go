//go:build e2e

package e2e

import (
	"crypto/tls"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// session is a POP3 session, for what mail clients have no way to ask.
type session struct {
	*textproto.Conn
	tls tls.ConnectionState
}

// connect opens a connection to the listener with implicit TLS. Nothing on it may take longer than the limit.
func (s *service) connect(limit time.Duration) (*session, error) {
	return s.connectTo(s.address(995), limit)
}

// reply reads a status line and gives what follows "+OK ".
func (p *session) reply() (string, error) {
	line, err := p.ReadLine()
	if err != nil {
		return "", err
	}
	text, ok := strings.CutPrefix(line, "+OK")
	if !ok {
		return "", fmt.Errorf("the server said %q", line)
	}
	return strings.TrimPrefix(text, " "), nil
}

func (p *session) ask(format string, args ...any) (string, error) {
	if err := p.PrintfLine(format, args...); err != nil {
		return "", err
	}
	return p.reply()
}

// login tells whether an address and a password are taken.
func (s *service) login(address, password string) error {
	p, err := s.connect(20 * time.Second)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.logIn(address, password); err != nil {
		return err
	}
	_, err = p.ask("QUIT")
	return err
}

func (p *session) logIn(address, password string) error {
	if _, err := p.ask("USER %s", address); err != nil {
		return fmt.Errorf("USER: %w", err)
	}
	if _, err := p.ask("PASS %s", password); err != nil {
		return fmt.Errorf("PASS: %w", err)
	}
	return nil
}

// dial opens a session for a test, which ends with it.
func (s *service) dial(t *testing.T, limit time.Duration) *session {
	t.Helper()
	p, err := s.connect(limit)
	if err != nil {
		t.Fatalf("connect to %s: %v", s.host(), err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// open logs in.
func (s *service) open(t *testing.T, m *mailbox) *session {
	t.Helper()
	return s.openFor(t, m, time.Minute)
}

// openFor logs in for a session that may take so long.
func (s *service) openFor(t *testing.T, m *mailbox, limit time.Duration) *session {
	t.Helper()
	p := s.dial(t, limit)
	if err := p.logIn(m.address(), m.password); err != nil {
		t.Fatalf("log in as %s: %v", m.address(), err)
	}
	return p
}

// must sends a command that must succeed.
func (p *session) must(t *testing.T, format string, args ...any) string {
	t.Helper()
	text, err := p.ask(format, args...)
	if err != nil {
		t.Fatalf(format+": %v", append(args, err)...)
	}
	return text
}

// quit ends a session, and with it commits what was deleted.
func (p *session) quit(t *testing.T) {
	t.Helper()
	p.must(t, "QUIT")
}

// uids are the unique-ids in the order of the messages.
func (p *session) uids(t *testing.T) []string {
	t.Helper()
	p.must(t, "UIDL")
	lines, err := p.ReadDotLines()
	if err != nil {
		t.Fatalf("UIDL: %v", err)
	}
	var uids []string
	for i, line := range lines {
		number, uid, _ := strings.Cut(line, " ")
		if number != fmt.Sprint(i+1) || uid == "" || slices.Contains(uids, uid) {
			t.Fatalf("UIDL: line %d is %q", i+1, line)
		}
		uids = append(uids, uid)
	}
	return uids
}

// message reads a message, with LF as its lines' ends.
func (p *session) message(t *testing.T, number int) string {
	t.Helper()
	p.must(t, "RETR %d", number)
	text, err := p.ReadDotBytes()
	if err != nil {
		t.Fatalf("RETR %d: %v", number, err)
	}
	return string(text)
}

// checkMessages looks into the mailbox: its messages must have these subjects in this order. It gives their unique-ids.
func (s *service) checkMessages(t *testing.T, m *mailbox, subjects ...string) []string {
	t.Helper()
	p := s.open(t, m)
	uids := p.uids(t)
	if len(uids) != len(subjects) {
		t.Fatalf("%s has %d messages, want %d", m.address(), len(uids), len(subjects))
	}
	for i, subject := range subjects {
		if text := p.message(t, i+1); !strings.Contains(text, "Subject: "+subject+"\n") {
			t.Errorf("message %d lacks the subject %q:\n%s", i+1, subject, text)
		}
	}
	p.quit(t)
	return uids
}
