package conformance

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// patience is how long a test waits for what must come.
	patience = 15 * time.Second
	// maxReply is the longest status line, CRLF included (RFC 1939 §3; [MS-STANXPOP3] C0001).
	maxReply = 512
	// shown is how many lines of the dialogue a failure prints.
	shown = 30
)

// client is a connection of POP3 or LMTP. A failure prints what was said last.
type client struct {
	t        testing.TB
	conn     net.Conn
	in       *bufio.Reader
	dialogue []string
}

func newClient(t testing.TB, conn net.Conn) *client {
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &client{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	must(t, err)
	return newClient(t, conn)
}

// dialTLS begins with TLS. Whose certificate it is does not matter here.
func dialTLS(t testing.TB, address string) *client {
	t.Helper()
	c := dial(t, address)
	return c.handshake()
}

// handshake makes TLS on the connection.
func (c *client) handshake() *client {
	c.t.Helper()
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		c.fatalf("TLS handshake: %v", err)
	}
	under := newClient(c.t, conn)
	under.dialogue = append(slices.Clone(c.dialogue), "(TLS)")
	return under
}

// stls is RFC 2595 §4.
func (c *client) stls() *client {
	c.t.Helper()
	c.ok("STLS")
	return c.handshake()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *client) note(who, text string) {
	const width = 200
	if len(text) > width {
		text = fmt.Sprintf("%s… (%d octets)", text[:width], len(text))
	}
	c.dialogue = append(c.dialogue, fmt.Sprintf("%s %q", who, text))
	c.dialogue = c.dialogue[max(0, len(c.dialogue)-shown):]
}

// fatalf ends the test with the dialogue.
func (c *client) fatalf(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s\nThe dialogue:\n%s", fmt.Sprintf(format, args...), strings.Join(c.dialogue, "\n"))
}

// errorf is a failure after which the test goes on.
func (c *client) errorf(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf("%s\nThe dialogue:\n%s", fmt.Sprintf(format, args...), strings.Join(c.dialogue, "\n"))
}

// send sends these octets and nothing else.
func (c *client) send(octets string) {
	c.t.Helper()
	c.note("C:", octets)
	if _, err := io.WriteString(c.conn, octets); err != nil {
		c.fatalf("cannot send: %v", err)
	}
}

// line gives the next line without its CRLF, which it must have.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	c.note("S:", line)
	if err != nil {
		c.fatalf("no line: %v", err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r") {
		c.fatalf("a line does not end in CRLF, or has a CR in it")
	}
	return text
}

// status gives the next status line and sees to its form.
func (c *client) status() string {
	c.t.Helper()
	line := c.line()
	word, _, _ := strings.Cut(line, " ")
	if word != "+OK" && word != "-ERR" {
		c.fatalf("no status line: %q", line)
	}
	if len(line)+len("\r\n") > maxReply {
		c.fatalf("a status line of %d octets", len(line)+len("\r\n"))
	}
	return line
}

// say sends a command and gives the status line.
func (c *client) say(command string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.status()
}

// ok sends a command that must succeed and gives the text of the status line.
func (c *client) ok(command string) string {
	c.t.Helper()
	line := c.say(command)
	if !strings.HasPrefix(line, "+OK") {
		c.fatalf("%q gives %q", command, line)
	}
	return strings.TrimPrefix(strings.TrimPrefix(line, "+OK"), " ")
}

// refused sends a command that must fail and gives the text of the status line.
func (c *client) refused(command string) string {
	c.t.Helper()
	line := c.say(command)
	if !strings.HasPrefix(line, "-ERR") {
		c.fatalf("%q gives %q", command, line)
	}
	return strings.TrimPrefix(strings.TrimPrefix(line, "-ERR"), " ")
}

// sendLogin sends USER and PASS. Only the first is answered when it returns.
func (c *client) sendLogin(user, password string) {
	c.t.Helper()
	c.ok("USER " + user)
	c.send("PASS " + password + "\r\n")
}

// loginReply gives the status line of a login that was sent. A server that is too busy to check the password, as on a machine
// that is, has told nothing of it, and is asked again.
func (c *client) loginReply(user, password string) string {
	c.t.Helper()
	const tries = 10
	for range tries {
		line := c.status()
		if !strings.Contains(line, "Server is too busy to check the password.") {
			return line
		}
		_ = c.conn.SetDeadline(time.Now().Add(patience))
		c.sendLogin(user, password)
	}
	c.fatalf("the server is too busy all the time")
	return ""
}

// lines sends a command with a multi-line reply and gives its lines as they come, without the last one.
func (c *client) lines(command string) []string {
	c.t.Helper()
	c.ok(command)
	return c.rest()
}

// rest reads a multi-line reply to its end.
func (c *client) rest() []string {
	c.t.Helper()
	lines := []string{}
	for line := c.line(); line != "."; line = c.line() {
		lines = append(lines, line)
	}
	return lines
}

// message sends a RETR or TOP and gives the message, without the dots of transparency (RFC 1939 §3).
func (c *client) message(command string) string {
	c.t.Helper()
	var message strings.Builder
	for _, line := range c.lines(command) {
		if strings.HasPrefix(line, ".") && !strings.HasPrefix(line, "..") {
			c.fatalf("a line begins with one dot: %q", line)
		}
		message.WriteString(strings.TrimPrefix(line, "."))
		message.WriteString("\r\n")
	}
	return message.String()
}

// numbers sends a command whose status line has two numbers and nothing else.
func (c *client) numbers(command string) (a, b int64) {
	c.t.Helper()
	return c.parse(c.ok(command))
}

// parse reads two numbers with one space between them and nothing else.
func (c *client) parse(text string) (a, b int64) {
	c.t.Helper()
	if n, err := fmt.Sscanf(text, "%d %d", &a, &b); n != 2 || err != nil || text != fmt.Sprintf("%d %d", a, b) {
		c.fatalf("not two numbers alone: %q", text)
	}
	return a, b
}

// capa gives the lines of CAPA.
func (c *client) capa() []string {
	c.t.Helper()
	return c.lines("CAPA")
}

// closed waits for the end of the connection, before which nothing may come.
func (c *client) closed() {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	if len(rest) > 0 {
		c.fatalf("%q before the end of the connection", rest)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.fatalf("the connection is not closed")
	}
	_ = c.conn.Close() // for that, a server may wait a while
}

// quit ends the session and waits for its end.
func (c *client) quit() {
	c.t.Helper()
	c.ok("QUIT")
	c.closed()
}

// code reads a reply of LMTP to its end and gives the last line.
func (c *client) code() string {
	c.t.Helper()
	for {
		line := c.line()
		if len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

// lmtp connects to an LMTP port (RFC 2033).
func lmtp(t testing.TB, address string) *client {
	t.Helper()
	c := dial(t, address)
	c.want("220", c.code())
	c.send("LHLO mta.example.org\r\n")
	c.want("250", c.code())
	return c
}

func (c *client) want(prefix, got string) {
	c.t.Helper()
	if !strings.HasPrefix(got, prefix) {
		c.fatalf("%q, not %s…", got, prefix)
	}
}

// deliver hands a message in for one recipient and gives the reply that decides.
func (c *client) deliver(recipient, message string) string {
	c.t.Helper()
	c.send("MAIL FROM:<sender@example.org>\r\n")
	c.want("250", c.code())
	c.send("RCPT TO:<" + recipient + ">\r\n")
	if reply := c.code(); !strings.HasPrefix(reply, "250") {
		c.send("RSET\r\n")
		c.want("250", c.code())
		return reply
	}
	c.send("DATA\r\n")
	c.want("354", c.code())
	if !strings.HasSuffix(message, "\r\n") {
		message += "\r\n"
	}
	c.send(strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:] + ".\r\n")
	return c.code()
}
