package lmtp

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// dialFrom connects from another address of this host.
func (f *fixture) dialFrom(t *testing.T, address string) *client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	c, err := dialer.DialContext(t.Context(), "tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, c)
}

// awaitConnections waits until the server knows of so many.
func (f *fixture) awaitConnections(t *testing.T, want float64) {
	t.Helper()
	for end := time.Now().Add(deadline); f.connections() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v connections, want %v", f.connections(), want)
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.MaxConnections = 2 })
	first := f.greet(t)
	f.greet(t)
	last := f.dial(t)
	last.expect("421 4.3.2 Too many connections")
	last.expectEnd()
	if got := testutil.ToFloat64(f.metrics.refused); got != 1 {
		t.Errorf("%v refused, want 1", got)
	}
	first.script(`C: QUIT
		S: 221`)
	f.awaitConnections(t, 1)
	f.greet(t)
}

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.MaxConnectionsPerAddress = 1 })
	first := f.greet(t)
	second := f.dial(t)
	second.expect("421 4.7.0 Too many connections from your address")
	second.expectEnd()
	f.dialFrom(t, "127.0.0.2").expect("220")
	first.script(`C: QUIT
		S: 221`)
	f.awaitConnections(t, 1)
	f.greet(t)
}

func TestBadCommandsEndTheConnection(t *testing.T) {
	c := start(t, nil).greet(t)
	c.say(strings.Repeat("NOOP\r\nXXXX\r\n", maxBadCommands) + strings.Repeat("NOOP\r\n", 10000))
	for range maxBadCommands {
		c.expect("250 2.0.0", "500 5.5.2")
	}
	c.expect("421 4.7.0 Too many bad commands")
	c.expectEnd()
}

// What an MTA gets when it sends commands together, or for addresses that there are not, is not counted.
func TestRefusedRecipientsAreNoBadCommands(t *testing.T) {
	c := start(t, nil).greet(t)
	for range maxBadCommands + 1 {
		c.say("RCPT TO:<alice@example.com>\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\nRSET\r\n")
		c.expect("503 5.5.1", "250", "550 5.1.1", "503 5.5.1", "250")
	}
}

// An idle client is told, and a text that does not go on is given up.
func TestIdleTimeout(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.IdleTimeout = 50 * time.Millisecond })
	idle := f.greet(t)
	idle.expect("421 4.4.2")
	idle.expectEnd()
	for _, text := range []string{"DATA\r\n", "BDAT 1000 LAST\r\n"} {
		within := f.greet(t)
		within.say(aliceEnvelope + text)
		within.expect("250", "250")
		if text == "DATA\r\n" {
			within.expect("354")
		}
		_, _ = within.Write([]byte("A: b\r\n"))
		within.expect("421 4.4.2")
		within.expectEnd()
	}
	if n := len(f.messages(t, alice)); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func TestRecipientsAreLimited(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.MaxRecipients = 1000 })
	c := f.greet(t)
	c.say("MAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<alice@example.com>\r\n", 1001) + "DATA\r\n")
	c.expect("250")
	for range 1000 {
		c.expect("250 2.1.5")
	}
	c.expect("452 4.5.3", "354")
	c.say(".\r\n")
	for range 1000 {
		c.expect("250 2.0.0 <alice@example.com>")
	}
}
