//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

// TestSettingsOfMailbox changes what a Mailbox says of POP3.
func TestSettingsOfMailbox(t *testing.T) {
	t.Parallel()
	s := newService(t, "settings-mailbox")
	m, other := s.newMailbox(t, "alice"), s.newMailbox(t, "bob")
	server := s.pod(t)
	s.send(t, m, "hello")
	s.send(t, other, "hello")
	s.checkAccess(t, m, other)
	s.checkMessageSize(t, m, other)
	s.checkNotRestarted(t, server)
}

func (s *service) setPOP3(t *testing.T, m *mailbox, pop3 v1alpha1.MailboxPOP3) {
	t.Helper()
	change(t, m.Mailbox, func(m *v1alpha1.Mailbox) { m.Spec.POP3 = pop3 })
	awaitReady(t, m.Mailbox)
}

// checkAccess: without access the right password is answered as a wrong one is, while mail is taken, and who is in may finish.
func (s *service) checkAccess(t *testing.T, m, other *mailbox) {
	t.Helper()
	open := s.openFor(t, m, 2*settling)
	s.setPOP3(t, m, v1alpha1.MailboxPOP3{Access: v1alpha1.AccessRefused})
	refusal, wrong := s.login(m.address(), m.password), s.login(other.address(), newPassword())
	if refusal == nil || fmt.Sprint(refusal) != fmt.Sprint(wrong) {
		t.Errorf("a login without access: %v; one with a wrong password: %v", refusal, wrong)
	}
	s.send(t, m, "without access")
	if text := open.message(t, 1); !strings.Contains(text, "Subject: hello\n") {
		t.Errorf("the session that was open got %q", text)
	}
	open.quit(t)
	s.setPOP3(t, m, v1alpha1.MailboxPOP3{Access: v1alpha1.AccessAllowed})
	s.checkMessages(t, m, "hello", "without access")
}

// checkMessageSize: Exact counts for one mailbox, the other one has what the PopService says.
func (s *service) checkMessageSize(t *testing.T, m, other *mailbox) {
	t.Helper()
	s.setPOP3(t, m, v1alpha1.MailboxPOP3{MessageSize: v1alpha1.ExactSize})
	if told, sent := s.sizes(t, m); told != sent {
		t.Errorf("with %s, LIST tells %s octets and RETR sends %s", v1alpha1.ExactSize, told, sent)
	}
	stored, sent := s.sizes(t, other)
	if stored == sent {
		t.Errorf("with %s, LIST tells just the %s octets that RETR sends", other.Spec.POP3.MessageSize, sent)
	}
	s.setPOP3(t, m, v1alpha1.MailboxPOP3{})
	if told, _ := s.sizes(t, m); told != stored {
		t.Errorf("as the PopService says, LIST tells %s octets, and %s for the same message of another mailbox", told, stored)
	}
}

// sizes are those of message 1: what LIST tells, and what RETR sends.
func (s *service) sizes(t *testing.T, m *mailbox) (told, sent string) {
	t.Helper()
	p := s.open(t, m)
	defer p.quit(t)
	told = strings.TrimPrefix(p.must(t, "LIST 1"), "1 ")
	return told, fmt.Sprint(len(p.exactly(t, 1)))
}

// allCapabilities are those that CAPA tells of only where the settings say so, as it tells of them after login.
var allCapabilities = []string{"RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE 30", "LOGIN-DELAY 0", "IMPLEMENTATION ",
	"UTF8 USER", "LANG"}

// TestSettingsOfReplies changes on a running server what sessions are told, and what the log is.
func TestSettingsOfReplies(t *testing.T) {
	t.Parallel()
	s := newService(t, "settings-replies")
	m := s.newMailbox(t, "alice")
	server := s.pod(t)
	uids := s.sendAll(t, m, "first", "second", "third")
	before := s.openFor(t, m, 2*settling)
	capabilities := before.capabilities(t)
	change(t, s.PopService, func(pop *v1alpha1.PopService) {
		pop.Spec.SortOrder = v1alpha1.SortDescending
		pop.Spec.ExtendedCapabilities = nil
		for _, line := range allCapabilities {
			name, _, _ := strings.Cut(line, " ")
			pop.Spec.ExtendedCapabilities = append(pop.Spec.ExtendedCapabilities, v1alpha1.Capability(name))
		}
		pop.Spec.Retention.UnreadMaxAge = "720h" // for EXPIRE
		pop.Spec.ProtocolLog.Enabled = true
	})
	awaitReady(t, s.PopService)
	s.checkDescends(t, m, uids)
	s.checkCapabilities(t, m, capabilities)
	before.must(t, "NOOP") // what follows is asked wholly after the change
	if now := before.capabilities(t); !slices.Equal(now, capabilities) || !slices.Equal(before.uids(t), uids) {
		t.Errorf("the session that was open is told %q now", now)
	}
	before.must(t, "LIST 2")
	before.quit(t)
	s.checkProtocolLog(t, server, m)
	s.checkNotRestarted(t, server)
}

// capabilities are what CAPA tells.
func (p *session) capabilities(t *testing.T) []string {
	t.Helper()
	p.must(t, "CAPA")
	lines, err := p.ReadDotLines()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// checkDescends: the newest message is number 1, and each has the unique-id that it had.
func (s *service) checkDescends(t *testing.T, m *mailbox, uids []string) {
	t.Helper()
	reversed := slices.Clone(uids)
	slices.Reverse(reversed)
	if got := s.checkMessages(t, m, "third", "second", "first"); !slices.Equal(got, reversed) {
		t.Errorf("the unique-ids are %v, and were %v", got, uids)
	}
}

// checkCapabilities: behind Exchange's there are all that the settings name, and none else.
func (s *service) checkCapabilities(t *testing.T, m *mailbox, before []string) {
	t.Helper()
	p := s.open(t, m)
	defer p.quit(t)
	now := p.capabilities(t)
	if len(now) != len(before)+len(allCapabilities) || !slices.Equal(now[:len(before)], before) {
		t.Fatalf("CAPA tells %q, and told %q", now, before)
	}
	for i, line := range now[len(before):] {
		if want := allCapabilities[i]; line != want && (!strings.HasSuffix(want, " ") || !strings.HasPrefix(line, want)) {
			t.Errorf("CAPA tells %q, want %q", line, want)
		}
	}
}

// logLine is a line of a server's log.
type logLine struct {
	Msg, Log, Session, Remote, Mailbox, Command, Reply, Reason string
	Commands                                                   int
}

// logOf reads a server's log, all lines of which must be JSON objects.
func (s *service) logOf(t *testing.T, server corev1.Pod) (lines []logLine, text string) {
	t.Helper()
	text = kubectl(t, "--namespace", s.Namespace, "logs", server.Name)
	for line := range strings.Lines(text) {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("a line of the log: %v in %q", err, line)
		}
		lines = append(lines, l)
	}
	return lines, text
}

// awaitLogged waits for a line of a server's log: one is written behind the reply, and brought to the API server behind that.
func (s *service) awaitLogged(t *testing.T, server corev1.Pod, what string, is func(logLine) bool) logLine {
	t.Helper()
	var found logLine
	await(t, settling, what+" in the log of "+server.Name, func() (bool, string) {
		lines, _ := s.logOf(t, server)
		i := slices.IndexFunc(lines, is)
		if i >= 0 {
			found = lines[i]
		}
		return i >= 0, fmt.Sprintf("%d lines", len(lines))
	})
	return found
}

// id is the name of the maildrop, by which the log calls the mailbox.
func (m *mailbox) id(t *testing.T) string {
	t.Helper()
	return get(t, m.Namespace, m.Name, m.Mailbox).Status.MailboxID
}

// checkProtocolLog: there is a line for each command of a session that was made after the change, and no password in any.
func (s *service) checkProtocolLog(t *testing.T, server corev1.Pod, m *mailbox) {
	t.Helper()
	wrong := base64.StdEncoding.EncodeToString([]byte("\x00" + m.address() + "\x00" + newPassword()))
	p := s.dial(t, quickly)
	p.refused(t, "[AUTH] Logon failure: unknown user name or bad password.", "AUTH PLAIN %s", wrong)
	p.must(t, "USER %s", m.address())
	p.must(t, "PASS %s", m.password)
	p.must(t, "RETR 1")
	if _, err := p.ReadDotBytes(); err != nil {
		t.Fatal(err)
	}
	p.quit(t)
	last := s.awaitLogged(t, server, "the end of the session", func(l logLine) bool {
		return l.Msg == "session ended" && l.Commands == 5 && l.Mailbox == m.id(t)
	})
	lines, text := s.logOf(t, server)
	checkLogged(t, lines, last.Session, []string{"AUTH PLAIN *** -ERR", "USER " + m.address() + " +OK", "PASS *** +OK",
		"RETR 1 +OK", "QUIT +OK"})
	for _, leak := range leaks(text, []string{m.password, wrong, "Subject: "}) {
		t.Errorf("the log has what it must not have: %s", leak)
	}
}

// checkLogged compares the lines of a session, of whose replies the beginning is enough. The session that was made before the
// protocol was logged, the only one that has asked for LIST, has none.
func checkLogged(t *testing.T, lines []logLine, session string, want []string) {
	t.Helper()
	var got []string
	for _, l := range lines {
		status, _, _ := strings.Cut(l.Reply, " ")
		switch {
		case l.Log != "protocol":
		case l.Session == session:
			got = append(got, l.Command+" "+status)
		case strings.HasPrefix(l.Command, "LIST"):
			t.Errorf("the protocol of a session is logged that was made before: %+v", l)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log of the session's protocol is %q, want %q", got, want)
	}
}
