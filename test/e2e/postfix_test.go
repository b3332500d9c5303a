//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/popservice/popservice/api/v1alpha1"
)

const (
	maxMessage = "50Mi"
	// largeOctets is maxMessage without the fields that Postfix puts before a message.
	largeOctets = 50<<20 - 1<<10
)

// TestPostfixDelivers has a real MTA deliver what MTAs have trouble with.
func TestPostfixDelivers(t *testing.T) {
	t.Parallel()
	s := newServiceOf(t, "postfix", func(spec *v1alpha1.PopServiceSpec) {
		spec.Delivery.MaxMessageSize = resource.MustParse(maxMessage)
	})
	mta := startPostfix(t, s)
	alice, bob, sender := s.newMailbox(t, "alice"), s.newMailbox(t, "bob"), s.newMailbox(t, "sender")
	full := s.newMailbox(t, "full")
	full.setQuota(t, "unlimited", "8Ki")
	for _, letter := range letters {
		mta.send(t, sender, letter.text, alice)
	}
	forThree := sized("for three", 20<<10)
	mta.send(t, sender, forThree, alice, full, bob)
	mta.awaitEmptyQueue(t)
	s.checkDelivered(t, alice, append(textsOf(letters), forThree)...)
	s.checkDelivered(t, bob, forThree)
	s.checkDelivered(t, full)
	s.checkBounce(t, sender, full)
}

type namedText struct{ name, text string }

// letters are messages as a client sends them, but for the dots of transparency.
var letters = []namedText{
	{"empty", ""},
	{"a header alone", "Subject: a header alone\r\n"},
	{"long lines", "Subject: long lines\r\n\r\n" + strings.Repeat(strings.Repeat("0123456789", 500)+"\r\n", 20)},
	{"bare LF", "Subject: bare LF\nTo: <alice@example.com>\r\n\nfirst\nsecond\r\n\n.third\nlast\r\n"},
	{"bare CR", "Subject: bare CR\r\n\r\nfirst\rsecond\r\n"},
	{"8 bits and dots", "Subject: 8 bits\r\n\r\n.\r\n..\r\n.hidden\r\nGr\xfc\xdfe\r\n" + strings.Repeat("\xc3\xbc", 2500) +
		"\r\n"},
	{"no end of the last line", "Subject: no end\r\n\r\nlast"},
	{"large", largeText()},
}

func textsOf(letters []namedText) (texts []string) {
	for _, l := range letters {
		texts = append(texts, l.text)
	}
	return texts
}

// largeText is as large as it may be.
func largeText() string {
	var text strings.Builder
	text.WriteString("Subject: large\r\n\r\n")
	for i := 0; text.Len() < largeOctets-200; i++ {
		fmt.Fprintf(&text, "%010d %s\r\n", i, strings.Repeat("x", 80))
	}
	return text.String() + strings.Repeat("y", largeOctets-2-text.Len()) + "\r\n"
}

// checkDelivered: what came is octet for octet what was sent, behind the fields that two servers have put before it. Of mail
// that is sent at the same time, the order is not known.
func (s *service) checkDelivered(t *testing.T, m *mailbox, texts ...string) {
	t.Helper()
	p := s.open(t, m)
	defer p.quit(t)
	uids := p.uids(t)
	if len(uids) != len(texts) {
		t.Errorf("%s has %d messages, want %d", m.Name, len(uids), len(texts))
	}
	came := make(map[string][]byte)
	for i := range uids {
		text, err := fields(p.exactly(t, i+1), "Return-Path", "Delivered-To", "Received", "Received")
		if err != nil {
			t.Errorf("%s, message %d: %v", m.Name, i+1, err)
		}
		came[subjectOf(text)] = text
	}
	for _, text := range texts {
		want := canonical(text)
		checkSame(t, fmt.Sprintf("%s, %q", m.Name, subjectOf(want)), came[subjectOf(want)], want)
	}
}

func subjectOf(text []byte) string {
	_, subject, _ := bytes.Cut(text, []byte("Subject: "))
	subject, _, _ = bytes.Cut(subject, []byte("\r\n"))
	return string(subject)
}

// checkBounce: the sender learns who did not get the message, and why.
func (s *service) checkBounce(t *testing.T, sender, full *mailbox) {
	t.Helper()
	p := s.open(t, sender)
	defer p.quit(t)
	if uids := p.uids(t); len(uids) != 1 {
		t.Fatalf("the sender got %d messages, want one bounce", len(uids))
	}
	bounce := string(p.exactly(t, 1))
	for _, want := range []string{
		"Return-Path: <>\r\n", "Final-Recipient: rfc822; " + full.address() + "\r\n", "Action: failed\r\n", "Status: 5.2.2\r\n",
		"Diagnostic-Code: smtp; 552 5.2.2",
	} {
		if !strings.Contains(bounce, want) {
			t.Errorf("the bounce lacks %q:\n%.4000s", want, bounce)
		}
	}
	if strings.Count(bounce, "Final-Recipient:") != 1 {
		t.Errorf("the bounce is about more than one recipient:\n%.4000s", bounce)
	}
}

// postfix is a Postfix of this test alone, inside the cluster's network.
type postfix struct{ dir, address string }

func startPostfix(t *testing.T, s *service) *postfix {
	t.Helper()
	// Not t.TempDir, which other users, such as postfix, cannot enter.
	dir, err := os.MkdirTemp("", "postfix-")
	if err != nil {
		t.Fatal(err)
	}
	mta := &postfix{dir: dir, address: freeAddress(t)}
	t.Cleanup(func() { mta.stop(t) })
	mta.configure(t, s)
	if err := mta.control("start"); err != nil {
		t.Fatal(err)
	}
	await(t, settling, "Postfix to listen", func() (bool, string) {
		conn, err := net.DialTimeout("tcp", mta.address, time.Second)
		if err != nil {
			return false, err.Error()
		}
		conn.Close()
		return true, ""
	})
	return mta
}

// freeAddress is one on loopback where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (mta *postfix) configure(t *testing.T, s *service) {
	t.Helper()
	account, err := user.Lookup("postfix")
	if err != nil {
		t.Fatalf("%v: run `hack/packages.sh postfix` as root", err)
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(mta.dir, "data")
	for _, err := range []error{
		os.Chmod(mta.dir, 0o755), os.Mkdir(filepath.Join(mta.dir, "queue"), 0o755), os.Mkdir(data, 0o700), os.Chown(data, uid, -1),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	replacer := strings.NewReplacer("DIR", mta.dir, "HUB", mta.address, "LMTP", s.lmtpAddress())
	for _, name := range []string{"main.cf", "master.cf"} {
		text, err := os.ReadFile("testdata/postfix-" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(mta.dir, name), []byte(replacer.Replace(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// control runs postfix. What it starts keeps its output open, so that this must be a file and no pipe.
func (mta *postfix) control(command string) error {
	path := filepath.Join(mta.dir, command+".out")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	run := exec.Command("/usr/sbin/postfix", "-c", mta.dir, command)
	run.Stdout, run.Stderr = file, file
	if err := run.Run(); err != nil {
		said, _ := os.ReadFile(path)
		return fmt.Errorf("postfix %s: %w: %s", command, err, said)
	}
	return nil
}

func (mta *postfix) stop(t *testing.T) {
	t.Helper()
	if err := mta.control("stop"); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		log, err := os.ReadFile(filepath.Join(mta.dir, "log"))
		t.Logf("Postfix's log: %v\n%s", err, log)
	}
	if err := os.RemoveAll(mta.dir); err != nil {
		t.Error(err)
	}
}

// send hands in a message over SMTP as it is: net/smtp would mend the ends of its lines.
func (mta *postfix) send(t *testing.T, from *mailbox, text string, to ...*mailbox) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", mta.address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &lmtpConn{textproto.NewConn(conn)}
	commands := []string{"EHLO client.example.org", "MAIL FROM:<" + from.address() + "> BODY=8BITMIME"}
	for _, m := range to {
		commands = append(commands, "RCPT TO:<"+m.address()+">")
	}
	if err := c.answer(); err != nil {
		t.Fatalf("Postfix: %v", err)
	}
	for _, command := range append(commands, "DATA", stuffed(text)+".", "QUIT") {
		if err := c.command(command); err != nil {
			t.Fatalf("Postfix: %.80s: %v", command, err)
		}
	}
}

// stuffed adds the dots of transparency (RFC 5321 §4.5.2) and, where it is missing, the last line's end. Postfix takes a bare
// LF for a line's end.
func stuffed(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, ".") {
			out.WriteString(".")
		}
		out.WriteString(line)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		out.WriteString("\r\n")
	}
	return out.String()
}

// awaitEmptyQueue waits until nothing is left to be delivered, bounces included.
func (mta *postfix) awaitEmptyQueue(t *testing.T) {
	t.Helper()
	await(t, settling, "Postfix to have delivered everything", func() (bool, string) {
		queue, err := try(t, "", "postqueue", "-c", mta.dir, "-p")
		return err == nil && strings.Contains(queue, "Mail queue is empty"), fmt.Sprint(queue, err)
	})
}
