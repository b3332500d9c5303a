package lmtp

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

const aliceEnvelope = "MAIL FROM:<>\r\nRCPT TO:<alice@example.com>\r\n"

// What becomes of a message that was given up is never taken for what becomes of the next one.
func TestResetAfterAnEmptyChunk(t *testing.T) {
	f := start(t, nil)
	for range 50 {
		c := f.greet(t)
		c.say(aliceEnvelope + "BDAT 0\r\nRSET\r\n" + aliceEnvelope + "BDAT 6 LAST\r\nA: b\r\nQUIT\r\n")
		c.expect("250", "250", "250 2.0.0 Continue", "250 2.0.0 Reset", "250", "250", "250 2.0.0 <alice@example.com>", "221")
		c.expectEnd()
	}
	if n := len(f.messages(t, alice)); n != 50 {
		t.Errorf("%d messages, want 50", n)
	}
}

// Between two chunks a client may say what does no harm; what else it says is refused or gives the message up.
func TestCommandsBetweenChunks(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.say(aliceEnvelope + "BDAT 3\r\nA: NOOP\r\nVRFY x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n" +
		"BDAT 1\r\nbBDAT 0 LAST\r\n")
	c.expect("250", "250", "250 2.0.0 Continue", "250 2.0.0 Ok", "252", "503 5.5.1", "503 5.5.1", "503 5.5.1",
		"250 2.0.0 Continue", "250 2.0.0 <alice@example.com>")
	for givesUp, reply := range map[string]string{"RSET": "250", "LHLO x": "250", "LHLO": "501", "QUIT": "221"} {
		c := f.greet(t)
		c.say(aliceEnvelope + "BDAT 5\r\nA: b\n" + givesUp + "\r\nBDAT 2 LAST\r\n\r\n")
		c.expect("250", "250", "250 2.0.0 Continue", reply)
		if rest := c.rest(); strings.Contains(rest, "alice") || givesUp != "QUIT" && !strings.Contains(rest, "503 5.5.1") {
			t.Errorf("after %s: %q", givesUp, rest)
		}
	}
	if got := f.messages(t, alice); len(got) != 1 || !strings.HasSuffix(got[0], "\r\nA: b\r\n\r\n") {
		t.Errorf("messages %q", got)
	}
	if n := len(f.messages(t, bob)); n != 0 {
		t.Errorf("%d messages of bob", n)
	}
}

// rest says QUIT and gives all that comes.
func (c *client) rest() string {
	_, _ = io.WriteString(c, "QUIT\r\n") // the connection may have ended
	rest, _ := io.ReadAll(c.in)
	return string(rest)
}

// A chunk that nobody wants is no command, whatever it looks like.
func TestUnwantedChunkIsSkipped(t *testing.T) {
	f := start(t, nil)
	chunk := aliceEnvelope + "BDAT 0 LAST\r\n"
	c := f.greet(t)
	for _, envelope := range []string{"", "MAIL FROM:<>\r\nRCPT TO:<nobody@example.com>\r\n"} {
		c.say(envelope + "BDAT " + sizeOf(chunk) + " LAST\r\n" + chunk + "NOOP\r\n")
		if envelope != "" {
			c.expect("250", "550 5.1.1")
		}
		c.expect("503 5.5.1", "250 2.0.0 Ok")
	}
	if n := len(f.messages(t, alice)); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func sizeOf(text string) string {
	digits := ""
	for n := len(text); n > 0; n /= 10 {
		digits = string(rune('0'+n%10)) + digits
	}
	return digits
}

// Where the size cannot be read, nobody knows where the chunk ends: nothing after it is done.
func TestChunkOfUnknownSize(t *testing.T) {
	f := start(t, nil)
	for _, argument := range []string{
		"", "x", "-1", "+1", "1x", "1 FIRST", "1 LAST x", "9223372036854775807", "99999999999999999999",
	} {
		for _, before := range []string{"", "BDAT 5\r\nA: b\n"} {
			c := f.greet(t)
			c.say(aliceEnvelope + before + "BDAT " + argument + "\r\n" + aliceEnvelope + "BDAT 0 LAST\r\n")
			c.expect("250", "250")
			if before != "" {
				c.expect("250 2.0.0 Continue")
			}
			c.expect("501 5.5.4")
			c.expectEnd()
		}
	}
	if n := len(f.messages(t, alice)); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func TestConnectionCutBetweenChunks(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.say(aliceEnvelope + "BDAT 6\r\nA: b\r\n")
	c.expect("250", "250", "250 2.0.0 Continue")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.expectEnd()
	if err := f.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.messages(t, alice)); n != 0 {
		t.Errorf("%d messages of a connection that was cut", n)
	}
}
