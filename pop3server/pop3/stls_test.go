package pop3

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/config"
)

// RFC 2595 §4 STLS.
func TestSTLS(t *testing.T) {
	f := newFixture(t)
	f.useTLS()
	f.deliver(alice, "A: b\r\n\r\n")
	c := f.connect()
	c.script("C: STLS now\nS: " + wrongArguments + "\nC: USER bob@example.com\nS: +OK\nC: STLS\nS: +OK Begin TLS negotiation.")
	c.startTLS(f)
	c.script("C: PASS secret\nS: " + wrongState) // nothing that was said before TLS counts
	c.script("C: STLS\nS: " + wrongState)
	c.login()
	c.script("C: STLS\nS: " + wrongState + "\nC: DELE 1\nS: +OK\nC: QUIT\nS: +OK POP3 server signing off.")
	c.expectClosed()
	f.expectReason("quit")
	f.expectMessages(alice)
	if !strings.Contains(f.log.String(), `tls="TLS 1.3"`) {
		t.Error("the log does not tell of TLS")
	}
}

// What comes with STLS in the clear may be from somebody else: it is neither carried out nor answered.
func TestSTLSInjection(t *testing.T) {
	for _, injected := range []string{"NOOP\r\n", "USER mallory@example.com\r\nPASS x\r\n", "x", "\x16\x03\x01"} {
		f := newFixture(t)
		f.useTLS()
		c := f.connect()
		c.say("STLS\r\n" + injected)
		c.expect("-ERR Protocol error. Connection is closed.")
		c.expectClosed()
		f.expectReason("commands behind STLS")
	}
}

// Without a certificate, or on a listener that never offers it, STLS is refused and the session goes on in the clear.
func TestSTLSNotAvailable(t *testing.T) {
	f := newFixture(t)
	c := f.connect()
	c.script("C: STLS\nS: -ERR TLS is not available.")
	c.login()
	f.useTLS()
	c = f.dial(config.Plaintext)
	c.script("S: +OK ready\nC: STLS\nS: -ERR TLS is not available.")
	if got := c.capabilities(); strings.Contains(got, "STLS") {
		t.Error(got)
	}
}

func TestHandshakeFails(t *testing.T) {
	f := newFixture(t)
	f.useTLS()
	c := f.connect()
	c.script("C: STLS\nS: +OK Begin TLS negotiation.\nC: USER alice@example.com")
	_, _ = io.ReadAll(c.in) // an alert of TLS, perhaps, and the end
	_ = c.Close()
	f.expectReason("TLS handshake failed")
	if n := testutil.ToFloat64(f.metrics.handshakesFailed); n != 1 {
		t.Errorf("%v failed handshakes are counted, want 1", n)
	}
}

func TestImplicitTLS(t *testing.T) {
	f := newFixture(t)
	f.useTLS()
	f.set(func(s *Settings) { s.Authentication.LoginType = config.SecureLogin })
	f.deliver(alice, "A: b\r\n\r\n.\r\n")
	c := f.dial(config.ImplicitTLS)
	c.startTLS(f)
	c.expect("+OK ready")
	c.login()
	c.script("C: RETR 1\nS: +OK\nS: A: b\nS:\nS: ..\nS: .\nC: STLS\nS: " + wrongState + "\nC: QUIT\nS: +OK…")
	c.expectClosed()
	f.expectReason("quit")
}

// A listener that begins with TLS can say nothing without a certificate.
func TestImplicitTLSWithoutCertificate(t *testing.T) {
	f := newFixture(t)
	c := f.dial(config.ImplicitTLS)
	c.expectClosed()
	f.expectReason("no certificate")
}

// A handshake has its own time, on either kind of listener, and it is one for the whole handshake.
func TestHandshakeTimeout(t *testing.T) {
	for _, security := range []config.Security{config.ImplicitTLS, config.StartTLS} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			f.useTLS()
			c := f.pipe(security)
			if security == config.StartTLS {
				c.script("S: +OK ready\nC: STLS\nS: +OK Begin TLS negotiation.")
			}
			start := time.Now()
			time.Sleep(9 * time.Second)
			c.say("\x16\x03\x01") // a record that goes no further
			_, _ = io.ReadAll(c.in)
			f.expectElapsed(start, 10*time.Second)
			synctest.Wait()
			f.expectReason("TLS handshake failed")
		})
	}
}

// The certificate is the one in force when TLS begins, not when the client connected.
func TestCertificateOfTheMoment(t *testing.T) {
	f := newFixture(t)
	c := f.connect()
	f.useTLS()
	c.script("C: STLS\nS: +OK Begin TLS negotiation.")
	c.startTLS(f)
	state := c.Conn.(*tls.Conn).ConnectionState()
	if name := state.PeerCertificates[0].DNSNames[0]; name != "pop.example.com" {
		t.Error(name)
	}
}
