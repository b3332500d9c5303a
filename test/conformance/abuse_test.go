package conformance

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/config"
)

// The tests of this file are about clients that no client should be, and about who sits on the line between.

// RFC 2595 §4: what somebody else puts behind STLS, before TLS begins, is not carried out under TLS.
func TestSTLSInjection(t *testing.T) {
	t.Parallel()
	s := served(t)
	needsSTLS(t, s)
	for _, injected := range []string{"NOOP\r\n", "USER " + s.user + "\r\n", "CAPA\r\nCAPA\r\n", "X", "\r\n"} {
		c := s.connect()
		c.send("STLS\r\n" + injected)
		if line := c.status(); strings.HasPrefix(line, "-ERR") {
			c.closed()
			continue
		}
		conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
		if conn.Handshake() == nil {
			c = newClient(t, conn)
			c.ok("QUIT")
			c.closed() // with the one reply
		}
	}
}

// needsSTLS fails the test of a server that does not offer it.
func needsSTLS(t *testing.T, s *server) {
	t.Helper()
	if capa := s.connect().capa(); !strings.Contains(strings.Join(capa, " "), "STLS") {
		t.Fatalf("the server does not offer STLS: %q", capa)
	}
}

// RFC 2595 §4: nothing that was said before TLS counts under it.
func TestSTLSForgetsWhatCameBefore(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "that there is a login before TLS too", func(c *config.Config) {
		c.Authentication.LoginType = config.PlainTextLogin
	})
	c := s.connect()
	c.ok("USER " + s.user)
	c = c.stls()
	c.refused("PASS " + s.password)
	c.refused("STLS")
	if capa := strings.Join(c.capa(), " "); strings.Contains(capa, "STLS") {
		c.errorf("CAPA has %q under TLS", capa)
	}
	c.ok("USER " + s.user)
	c.ok("PASS " + s.password)
}

// Commands may come many at a time, and are carried out in their order, up to QUIT.
func TestNothingBehindQuitIsCarriedOut(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, hello, hello)
	c := s.login()
	c.send("DELE 1\r\nNOOP\r\nQUIT\r\nDELE 2\r\nRSET\r\nQUIT\r\n")
	for range 3 {
		if line := c.status(); !strings.HasPrefix(line, "+OK") {
			c.errorf("%q", line)
		}
	}
	c.closed()
	if lines := s.listed(); len(lines) != 2 {
		t.Errorf("%q are left", lines)
	}
}

// A command is one when its line has ended.
func TestHalfCommands(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	for _, half := range []string{"DELE 1", "DELE 1\r\nQU", "DELE 1\r\nQUIT", "DELE 1\r\nQUIT\r"} {
		c := s.login()
		c.send(half)
		must(t, c.closeWrite())
		_, _ = io.Copy(io.Discard, c.in)
	}
	if lines := s.listed(); len(lines) != 1 {
		t.Errorf("%q are left", lines)
	}
}

// closeWrite tells the server that nothing more comes.
func (c *client) closeWrite() error {
	return c.conn.(interface{ CloseWrite() error }).CloseWrite()
}

// RFC 1939 §3: commands are printable characters. A NUL neither ends a line nor is passed over.
func TestControlCharacters(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	before, after := s.secure(), s.login()
	for _, line := range []string{
		"\x00", "CAPA\x00", "CA\x00PA", "USER a\x00b", "USER a\rb", "\x1b[2J", "USER a\x7f", "USER a\x0bb",
	} {
		before.refused(line)
	}
	for _, line := range []string{"\x00DELE 1", "DELE 1\x00", "DELE\x001", "DELE 1\rQUIT", "DELE\x0b1", "QUIT\x00"} {
		after.refused(line)
	}
	after.quit()
	if lines := s.listed(); len(lines) != 1 {
		t.Errorf("%q are left", lines)
	}
}

// A line without an end is cut off where it is too long, in every state, and nothing of it is kept.
func TestALineOf100MB(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "how much memory the server takes", usual)
	exchange := s.secure()
	exchange.challenged("AUTH PLAIN")
	clear, under, login := s.connect(), s.secure(), s.login()
	before := s.own.peakMemory()
	for _, c := range []*client{clear, under, login, exchange} {
		const octets = 100 << 20
		start := time.Now()
		if sent := c.flood(octets); sent == octets {
			c.errorf("a line of %d octets is read", octets)
		}
		if took := time.Since(start); took > 5*time.Second {
			c.errorf("it took %v to end the connection", took)
		}
	}
	if grown := s.own.peakMemory() - before; grown > 8<<20 {
		t.Errorf("the server took %d octets more", grown)
	}
}

// flood sends octets without a line end until the server has enough, and tells how many it took.
func (c *client) flood(octets int) (sent int) {
	block := []byte(strings.Repeat("x", 64<<10))
	for sent < octets {
		n, err := c.conn.Write(block)
		sent += n
		if err != nil {
			break
		}
	}
	return sent
}

// The refusal arrives, though the rest of the line has not been read.
func TestALineThatIsTooLongIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := served(t)
	for _, c := range []*client{s.connect(), s.secure(), s.login()} {
		c.send(strings.Repeat("x", 2000)) // more than any command may have, and no line end
		if line := c.status(); !strings.HasPrefix(line, "-ERR ") {
			c.errorf("%q", line)
		}
		c.closed()
	}
}

// A client that does not take what it asked for is cut, holds up nobody else, and costs little memory meanwhile.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "how long the server waits", func(c *config.Config) {
		c.Timeouts.WriteSeconds, c.Limits.MaxConnectionsPerMailbox = 1, 100
	})
	const size, clients = 20 << 20, 20
	s.deliver("Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 1022)+"\r\n", size>>10))
	first := s.login()
	first.message("TOP 1 1")
	before := s.own.peakMemory()
	slow := []*client{first}
	for len(slow) < clients {
		slow = append(slow, s.login())
	}
	for _, c := range slow {
		c.send("RETR 1\r\n")
	}
	other := s.login()
	other.message("TOP 1 10")
	other.quit()
	eventually(t, "end of those that do not read", func() bool {
		return strings.Count(s.own.log.String(), `"reason":"connection failed"`) == clients
	})
	if grown := s.own.peakMemory() - before; grown > size {
		t.Errorf("the server took %d octets more for %d clients", grown, clients)
	}
	slow[0].isCutShort(size)
}

// isCutShort wants that what came does not look like a whole message.
func (c *client) isCutShort(size int) {
	c.t.Helper()
	text, _ := io.ReadAll(c.in)
	if len(text) >= size || strings.HasSuffix(string(text), "\r\n.\r\n") {
		c.t.Errorf("%d octets came, with the end of a message", len(text))
	}
}

// A message goes through the server, and not into its memory.
func TestMessagesAreNotHeldInMemory(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "how much memory the server takes", usual)
	const size = 30 << 20
	s.deliver("Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 1022)+"\r\n", size>>10))
	c := s.login()
	before := s.own.peakMemory()
	if n, err := io.CopyN(io.Discard, c.asking("RETR 1"), size); err != nil {
		c.errorf("%d octets came: %v", n, err)
	}
	if grown := s.own.peakMemory() - before; grown > size/2 {
		c.errorf("the server took %d octets more for a message of %d", grown, size)
	}
}

// asking sends a command and gives what comes.
func (c *client) asking(command string) io.Reader {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.in
}

// Clients that send a little now and then are no load, and do not stay ([MS-STANXPOP3] V0002).
func TestSlowWriters(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the timers", timers(2, 1800))
	slow := make([]*client, 50)
	for i := range slow {
		slow[i] = s.connect()
	}
	done := make(chan struct{})
	defer close(done)
	go trickle(slow, done)
	s.login().ok("STAT")
	for _, c := range slow {
		if line := c.status(); !strings.HasPrefix(line, "-ERR ") {
			c.errorf("%q", line)
		}
	}
	s.login().ok("STAT")
}

// trickle sends an octet to each of them, again and again.
func trickle(clients []*client, done chan struct{}) {
	for {
		for _, c := range clients {
			_, _ = c.conn.Write([]byte("N"))
		}
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond): // more often than the timer, which it must not set anew
		}
	}
}

// What comes from a program of another protocol is refused without harm.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	s := served(t)
	for _, opening := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "EHLO x\r\nMAIL FROM:<a@b>\r\n", "a1 LOGIN x y\r\n", "SSH-2.0-x\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 110\r\n",
	} {
		c := s.connect()
		for line := range strings.Lines(opening) {
			c.send(line)
			if reply := c.status(); !strings.HasPrefix(reply, "-ERR ") {
				c.errorf("%q", reply)
			}
		}
		c.ok("QUIT")
	}
}
