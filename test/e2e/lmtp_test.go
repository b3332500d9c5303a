//go:build e2e

package e2e

import (
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/popservice/popservice/api/v1alpha1"
)

// deliver hands in one message over LMTP, as an MTA does, and gives the reply for each recipient: that to RCPT where it was
// refused, otherwise that after the text.
func (s *service) deliver(t *testing.T, text string, recipients ...string) []string {
	t.Helper()
	c := s.dialLMTP(t)
	defer c.Close()
	c.expect(t, 250, "MAIL FROM:<sender@example.org>")
	replies := make([]string, len(recipients))
	var taken []int
	for i, recipient := range recipients {
		code, reply := c.ask(t, "RCPT TO:<%s>", recipient)
		replies[i] = reply
		if code == 250 {
			taken = append(taken, i)
		}
	}
	if len(taken) == 0 {
		return replies
	}
	c.expect(t, 354, "DATA")
	c.sendText(t, text)
	for _, i := range taken {
		_, replies[i] = c.reply(t)
	}
	return replies
}

// mta is the client's end of an LMTP connection.
type mta struct{ *textproto.Conn }

func (s *service) dialLMTP(t *testing.T) *mta {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.lmtpAddress(), 10*time.Second)
	if err != nil {
		t.Fatalf("LMTP of %s: %v", s.host(), err)
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &mta{textproto.NewConn(conn)}
	if code, text := c.reply(t); code != 220 {
		t.Fatalf("LMTP greeting: %s", text)
	}
	c.expect(t, 250, "LHLO client.example.org")
	return c
}

// reply gives a reply's code, and the whole of it.
func (c *mta) reply(t *testing.T) (int, string) {
	t.Helper()
	code, text, err := c.ReadResponse(0)
	if code == 0 {
		t.Fatalf("LMTP: %v", err)
	}
	return code, strings.TrimSpace(strings.Join([]string{strconv.Itoa(code), text}, " "))
}

func (c *mta) ask(t *testing.T, format string, args ...any) (int, string) {
	t.Helper()
	if err := c.PrintfLine(format, args...); err != nil {
		t.Fatalf("LMTP: %v", err)
	}
	return c.reply(t)
}

func (c *mta) expect(t *testing.T, want int, command string) {
	t.Helper()
	if code, text := c.ask(t, "%s", command); code != want {
		t.Fatalf("LMTP: %s was answered %q, want %d", command, text, want)
	}
}

func (c *mta) sendText(t *testing.T, text string) {
	t.Helper()
	w := c.DotWriter()
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatalf("LMTP: sending the text: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("LMTP: sending the text: %v", err)
	}
}

// send delivers a message that must be taken.
func (s *service) send(t *testing.T, m *mailbox, subject string) {
	t.Helper()
	if reply := s.deliver(t, letter(subject), m.address())[0]; !strings.HasPrefix(reply, "250 2.0.0") {
		t.Fatalf("delivery to %s was answered %q", m.address(), reply)
	}
}

// letter is a message with what a transport may spoil: lines that begin with dots, characters outside ASCII, blanks at an end.
func letter(subject string) string {
	return strings.Join([]string{
		"From: Sender <sender@example.org>", "To: somebody@example.com", "Subject: " + subject,
		"MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "",
		body,
	}, "\n")
}

const body = "Grüße,\n.\n..two dots\nblanks at the end  \n\nThe end\n"

func testLMTP(t *testing.T, s *service) {
	alice, bob := s.newMailbox(t, "lmtp-alice"), s.newMailbox(t, "lmtp-bob")
	replies := s.deliver(t, letter("to three"), alice.address(), "nobody@example.com", bob.address())
	for i, want := range []string{"250 2.0.0", "550 5.1.1", "250 2.0.0"} {
		if !strings.HasPrefix(replies[i], want) {
			t.Errorf("recipient %d: %q, want %s", i+1, replies[i], want)
		}
	}
	for _, m := range []*mailbox{alice, bob} {
		s.checkMessages(t, m, "to three")
		if text := s.open(t, m).message(t, 1); !strings.HasSuffix(text, "\n\n"+body) {
			t.Errorf("the text has changed on its way:\n%q", text)
		}
	}
}

func testQuota(t *testing.T, s *service) {
	m := &mailbox{Mailbox: mailboxOf(s.PopService, "small"), password: newPassword()}
	limit := intstr.FromString("8Ki")
	m.Spec.Quota.ProhibitReceive = &limit
	create(t, passwordSecret(s.Namespace, m.Name, m.password))
	create(t, m.Mailbox)
	awaitReady(t, m.Mailbox)
	s.send(t, m, "small enough")
	large := letter("too large") + strings.Repeat("0123456789 0123456789 0123456789\n", 300)
	if reply := s.deliver(t, large, m.address())[0]; !strings.HasPrefix(reply, "552 5.2.2") {
		t.Errorf("over quota: %q, want 552 5.2.2", reply)
	}
	s.send(t, m, "small enough too")
	s.checkMessages(t, m, "small enough", "small enough too")
	change(t, m.Mailbox, func(m *v1alpha1.Mailbox) { m.Spec.Quota.ProhibitReceive = nil })
	awaitReady(t, m.Mailbox)
	if reply := s.deliver(t, large, m.address())[0]; !strings.HasPrefix(reply, "250 2.0.0") {
		t.Errorf("without a quota: %q, want 250 2.0.0", reply)
	}
}
