package conformance

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
)

// The tests of this file are about defects that other POP3 servers have had.

// Message 0 was taken for message 1, and numbers that are none for others.
func TestNoMessageHasAnotherNumber(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	c := s.login()
	for _, number := range []string{
		"0", "-1", "+1", "1x", "x", "2", "4294967296", "4294967297", "18446744073709551617", "0x1", "1.0",
	} {
		for _, command := range []string{"RETR ", "DELE ", "LIST ", "UIDL "} {
			c.refused(command + number)
		}
		c.refused("TOP " + number + " 0")
		c.ok("NOOP") // bad commands in a row are counted
	}
	c.quit()
	c = s.login()
	if n, _ := c.numbers("STAT"); n != 1 {
		c.errorf("%d messages are left", n)
	}
}

// What was marked as deleted was still counted, listed and sent (RFC 1939 §5).
func TestNoReplyHasWhatIsMarked(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, "Subject: longer\r\n\r\n"+strings.Repeat("0123456789\r\n", 100), hello)
	c := s.login()
	_, all := c.numbers("STAT")
	_, size := c.numbers("LIST 2")
	c.ok("DELE 2")
	if n, octets := c.numbers("STAT"); n != 2 || octets != all-size {
		c.errorf("STAT tells %d messages of %d octets, of %d", n, octets, all)
	}
	for _, command := range []string{"LIST", "UIDL"} {
		lines := c.lines(command)
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "1 ") || !strings.HasPrefix(lines[1], "3 ") {
			c.errorf("%s has %q", command, lines)
		}
	}
	for _, command := range []string{"LIST 2", "UIDL 2", "RETR 2", "TOP 2 0", "DELE 2"} {
		c.refused(command)
	}
	c.message("RETR 3") // under its number
	c.ok("RSET")
	if n, octets := c.numbers("STAT"); n != 3 || octets != all {
		c.errorf("STAT tells %d messages of %d octets after RSET, of %d", n, octets, all)
	}
}

// TOP counted lines from the top of the message, and gave all of it for none.
func TestTopCountsTheLinesOfTheBody(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver("Subject: a\r\nX-Folded: b\r\n\tc\r\n\r\n\r\none\r\n")
	c := s.login()
	for lines, end := range map[int]string{0: "\tc\r\n\r\n", 1: "\tc\r\n\r\n\r\n", 2: "\tc\r\n\r\n\r\none\r\n"} {
		if got := c.message(fmt.Sprintf("TOP 1 %d", lines)); !strings.HasSuffix(got, end) {
			c.errorf("TOP 1 %d gives %q", lines, got)
		}
	}
}

// TOP without arguments ended the process.
func TestTopWithoutArguments(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	c := s.login()
	for _, command := range []string{"TOP", "TOP ", "TOP 1", "TOP 1 ", "TOP 1 x", "TOP 1 -1", "TOP 1 1 1", "TOP x 1"} {
		c.refused(command)
	}
	c.message("TOP 1 1")
}

// A dot was doubled behind a line end only, so that one at the very beginning was lost, or ended the message.
func TestDotAsTheFirstOctet(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "a message without trace fields", usual)
	s.deliver(hello)
	const mail = ".first: line\r\n\r\n.\r\n"
	folder := filepath.Join(s.own.maildrop(alice), "new") // where other delivery agents put mail
	must(t, os.MkdirAll(folder, 0o700))
	must(t, os.WriteFile(filepath.Join(folder, "1700000000.M1P1.host"), []byte(mail), 0o600))
	c := s.login()
	if lines := c.lines("RETR 2"); !slices.Equal(lines, []string{"..first: line", "", ".."}) {
		c.errorf("RETR gives %q", lines)
	}
}

// A message ended with an empty line that it did not have, or its last line had no end.
func TestRetrEndsAsTheMessageDoes(t *testing.T) {
	t.Parallel()
	s := served(t)
	ends := []string{"body\r\n", "body\r\n\r\n", "body\r\n\r\n\r\n", ".\r\n", "\r\n"}
	for _, end := range ends {
		s.deliver("Subject: end\r\n\r\n" + end)
	}
	c := s.login()
	for i, end := range ends {
		if text := c.message(fmt.Sprintf("RETR %d", i+1)); !strings.HasSuffix(text, "Subject: end\r\n\r\n"+end) {
			c.errorf("RETR %d gives %q", i+1, text)
		}
	}
}

// A line that was longer than a buffer ended the message as if it were whole.
func TestLinesLongerThanAnyBuffer(t *testing.T) {
	t.Parallel()
	s := served(t)
	mail := "Subject: long\r\n\r\n" + strings.Repeat("x", 64<<10) + "\r\n." + strings.Repeat("y", 1<<20) + "\r\nend\r\n"
	s.deliver(mail)
	c := s.login()
	if text := c.message("RETR 1"); !strings.HasSuffix(text, mail) {
		c.errorf("%d octets came, of %d at least", len(text), len(mail))
	}
	c.ok("NOOP")
}

// UIDL was there and CAPA did not name it.
func TestCapaNamesUIDL(t *testing.T) {
	t.Parallel()
	s := served(t)
	for _, c := range []*client{s.secure(), s.login()} {
		if capa := c.capa(); !slices.Contains(capa, "UIDL") || !slices.Contains(capa, "TOP") {
			c.errorf("CAPA has %q", capa)
		}
	}
}

// An empty line ended the process, and so did a colon.
func TestLinesThatAreNoCommands(t *testing.T) {
	t.Parallel()
	s := served(t)
	for _, c := range []*client{s.secure(), s.login()} {
		for _, line := range []string{"", " ", "\t", ":", ":STAT", "STAT:", "LIST:1", "(", "\"", "{3}", "%s", "\xff"} {
			c.refused(line)
		}
		c.ok("QUIT")
	}
}

// An initial response that filled the buffer hung the connection. A response is no command: it may be longer (RFC 5034 §4).
func TestLongResponses(t *testing.T) {
	t.Parallel()
	s := served(t)
	c := s.secure()
	c.challenged("AUTH PLAIN")
	c.refused(plain("", s.user, strings.Repeat("x", 1000)))
	c.challenged("AUTH PLAIN")
	c.ok(plain("", s.user, s.password))
}

// Commands that came in several packets were not put together.
func TestCommandsInSmallParts(t *testing.T) {
	t.Parallel()
	s := served(t)
	c := s.secure()
	for _, command := range []string{"USER " + s.user, "PASS " + s.password, "STAT", "QUIT"} {
		for _, octet := range []byte(command + "\r\n") {
			if _, err := c.conn.Write([]byte{octet}); err != nil {
				c.fatalf("cannot send: %v", err)
			}
		}
		c.note("C:", command)
		if line := c.status(); !strings.HasPrefix(line, "+OK") {
			c.fatalf("%q", line)
		}
	}
	c.closed()
}

// Marks counted without QUIT (RFC 1939 §6).
func TestNothingIsRemovedWithoutQuit(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	for _, last := range []string{"", "QUIT", "QUIT\r", "QUI", "QUITX\r\n", "QUIT 1\r\n"} {
		c := s.login()
		c.message("RETR 1")
		c.ok("DELE 1")
		c.send(last)
		_ = c.conn.Close()
	}
	c := s.login()
	if n, _ := c.numbers("STAT"); n != 1 {
		c.errorf("%d messages are left", n)
	}
}

// A client that left during a LIST ended the process.
func TestAClientLeavesDuringAList(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, "Subject: large\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 50_000))
	for range 3 {
		c := s.login()
		c.send(strings.Repeat("LIST\r\n", 1000) + strings.Repeat("RETR 2\r\n", 10))
		c.line()
		_ = c.conn.Close()
	}
	c := s.login()
	c.message("RETR 2")
	c.quit()
}

// The reply to QUIT was lost, because the connection was closed with octets that were not sent, or not read.
func TestTheReplyToQuitArrives(t *testing.T) {
	t.Parallel()
	s := served(t)
	for range 5 {
		for _, connect := range []func() *client{s.secure, s.connect, s.login} {
			c := connect()
			c.send("CAPA\r\nQUIT\r\n" + strings.Repeat("NOOP\r\n", 1000))
			c.status()
			c.rest()
			if line := c.status(); !strings.HasPrefix(line, "+OK") {
				c.errorf("QUIT gives %q", line)
			}
			c.closed()
		}
	}
}

// A handshake that was never finished was waited for without an end.
func TestTLSHandshakesHaveAnEnd(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "how long a handshake may take", func(c *config.Config) { c.Timeouts.TLSHandshakeSeconds = 1 })
	direct, stls := dial(t, s.pop3s), s.connect()
	stls.ok("STLS")
	for _, c := range []*client{direct, stls} {
		c.send("\x16\x03\x01") // as a handshake begins
		if _, err := io.Copy(io.Discard, c.in); err != nil && !strings.Contains(err.Error(), "reset") {
			c.errorf("no end: %v", err)
		}
	}
}

// TLS of one session was taken for that of every session.
func TestTLSOfOneSessionIsNotThatOfOthers(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "that no login is possible without TLS", usual)
	before := s.connect()
	under := s.connect().stls()
	under.ok("USER " + alice)
	under.ok("PASS " + password)
	for _, c := range []*client{before, s.connect()} {
		c.refused("USER " + alice)
		if capa := c.capa(); !slices.Contains(capa, "STLS") || slices.Contains(capa, "USER") {
			c.errorf("CAPA has %q", capa)
		}
	}
}

// Servers said goodbye in the words of IMAP, or not at all, and counted the marks.
func TestShutdownSpeaksPOP3(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "to end the server", func(c *config.Config) { c.Timeouts.DrainSeconds = 1 })
	s.deliver(hello)
	before, after := s.secure(), s.login()
	after.ok("DELE 1")
	s.own.signal(syscall.SIGTERM)
	for _, c := range []*client{before, after} {
		if line := c.status(); !strings.HasPrefix(line, "-ERR ") {
			c.errorf("told %q", line)
		}
		c.closed()
	}
	c := s.own.restart(usual).login()
	if n, _ := c.numbers("STAT"); n != 1 {
		c.errorf("%d messages are left", n)
	}
}

// Some listened on IPv4 alone.
func TestIPv6(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "an address of IPv6", func(c *config.Config) { c.Listeners[0].Address = ":0" }) // every address
	_, port, err := net.SplitHostPort(s.pop3)
	must(t, err)
	for _, host := range []string{"::1", "127.0.0.1"} {
		dial(t, net.JoinHostPort(host, port)).status()
	}
}
