package lmtp

import (
	"bufio"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/tlstest"
)

// authority makes certificates for both sides.
type authority struct{ *tlstest.CA }

// offer gives the server a certificate. With clients it lets in those of their authority alone.
func (f *fixture) offer(t *testing.T, mode config.LMTPTLSMode, clients *authority) *authority {
	t.Helper()
	ca := &authority{tlstest.NewCA(t)}
	settings := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.Issue(t, "mx", "mx.example.com").TLS(t)},
	}
	if clients != nil {
		settings.ClientAuth, settings.ClientCAs = tls.RequireAndVerifyClientCert, clients.Pool()
	}
	f.change(func(s *Settings) { s.TLS, f.tls = mode, settings })
	return ca
}

// startTLS says STARTTLS and makes the handshake, which may still fail at the server's end.
func (c *client) startTLS(ca *authority, certificates ...tls.Certificate) *client {
	c.t.Helper()
	c.script(`C: STARTTLS
		S: 220 2.0.0`)
	secured := tls.Client(c.Conn, &tls.Config{RootCAs: ca.Pool(), ServerName: "mx.example.com", Certificates: certificates})
	if err := secured.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return &client{c.t, secured, bufio.NewReader(secured)}
}

// The reply to LHLO tells of everything that there is, and of nothing else.
func TestExtensionsUnderTLS(t *testing.T) {
	f := start(t, nil)
	ca := f.offer(t, config.LMTPTLSOffered, nil)
	c := f.dial(t)
	c.expect("220 mx.example.com LMTP ready")
	want := []string{
		"250-mx.example.com", "250-PIPELINING", "250-8BITMIME", "250-ENHANCEDSTATUSCODES", "250-CHUNKING", "250-STARTTLS",
		"250-SMTPUTF8", "250-SIZE 100000", "250 LIMITS RCPTMAX=3",
	}
	if diff := cmp.Diff(want, c.hello()); diff != "" {
		t.Errorf("in the clear (-want +got):\n%s", diff)
	}
	c = c.startTLS(ca)
	c.script(`C: MAIL FROM:<>
		S: 503 5.5.1 Say LHLO`) // RFC 3207 §4.2
	if diff := cmp.Diff(append(want[:5:5], want[6:]...), c.hello()); diff != "" {
		t.Errorf("under TLS (-want +got):\n%s", diff)
	}
	c.script(`C: STARTTLS
		S: 503 5.5.1
		C: MAIL FROM:<> SMTPUTF8
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250 2.0.0
		C: QUIT
		S: 221`)
	c.expectEnd()
	if text := f.messages(t, alice)[0]; !strings.Contains(text, "by mx.example.com with UTF8LMTPS id") {
		t.Errorf("text %q", text)
	}
}

func TestOfferedTLSMayBeLeft(t *testing.T) {
	f := start(t, nil)
	f.offer(t, config.LMTPTLSOffered, nil)
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250`)
}

func TestRequiredTLS(t *testing.T) {
	f := start(t, nil)
	ca := f.offer(t, config.LMTPTLSRequired, nil)
	c := f.greet(t)
	c.say(aliceEnvelope + "DATA\r\nBDAT 6 LAST\r\nA: b\r\nRSET\r\nVRFY x\r\nNOOP\r\n")
	c.expect("530 5.7.0", "530 5.7.0", "530 5.7.0", "503 5.5.1", "530 5.7.0", "530 5.7.0", "250 2.0.0")
	c = c.startTLS(ca)
	c.hello()
	c.script(`C: MAIL FROM:<>
		S: 250`)
}

// Mail waits for a certificate, and is not sent back.
func TestRequiredTLSWithoutCertificate(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.TLS = config.LMTPTLSRequired })
	c := f.dial(t)
	c.expect("220")
	if lines := c.hello(); strings.Contains(strings.Join(lines, " "), "STARTTLS") {
		t.Errorf("LHLO tells %q", lines)
	}
	c.script(`C: STARTTLS
		S: 454 4.7.0
		C: MAIL FROM:<>
		S: 454 4.7.0`)
}

func TestNoTLS(t *testing.T) {
	start(t, nil).greet(t).script(`C: STARTTLS
		S: 502 5.5.1
		C: MAIL FROM:<>
		S: 250`)
}

// What somebody put behind STARTTLS in the clear is never done, under TLS least of all.
func TestCommandsBehindSTARTTLS(t *testing.T) {
	f := start(t, nil)
	f.offer(t, config.LMTPTLSOffered, nil)
	c := f.greet(t)
	c.say("STARTTLS\r\nLHLO evil.example.org\r\n" + aliceEnvelope)
	c.expect("503 5.5.1")
	c.expectEnd()
}

// A message from before TLS is forgotten with all the rest.
func TestSTARTTLSWithinAMessage(t *testing.T) {
	f := start(t, nil)
	ca := f.offer(t, config.LMTPTLSOffered, nil)
	c := f.greet(t)
	c.say(aliceEnvelope)
	c.expect("250", "250")
	c = c.startTLS(ca)
	c.script(`C: DATA
		S: 503 5.5.1`)
	c.hello()
	c.script(`C: MAIL FROM:<>
		S: 250`)
}

func TestClientCertificates(t *testing.T) {
	f := start(t, nil)
	clients, strangers := &authority{tlstest.NewCA(t)}, &authority{tlstest.NewCA(t)}
	ca := f.offer(t, config.LMTPTLSRequired, clients)
	for name, certificates := range map[string][]tls.Certificate{
		"none":            nil,
		"of another":      {strangers.Issue(t, "mta").TLS(t)},
		"of the server's": {ca.Issue(t, "mta").TLS(t)},
	} {
		c := f.greet(t).startTLS(ca, certificates...)
		_, _ = io.WriteString(c, "LHLO x\r\n")
		if got, err := c.in.ReadString('\n'); err == nil {
			t.Errorf("a client with a certificate %s is told %q", name, got)
		}
	}
	c := f.greet(t).startTLS(ca, clients.Issue(t, "mta").TLS(t))
	c.hello()
	c.script(`C: MAIL FROM:<>
		S: 250`)
	// They are counted after the client has seen them fail.
	failed := func() float64 { return testutil.ToFloat64(f.metrics.handshakesFailed) }
	for deadline := time.Now().Add(10 * time.Second); failed() != 3 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if got := failed(); got != 3 {
		t.Errorf("%v handshakes failed, want 3", got)
	}
}

// A client that says STARTTLS and then nothing keeps its connection for so long.
func TestHandshakeTimeout(t *testing.T) {
	f := start(t, nil)
	f.offer(t, config.LMTPTLSOffered, nil)
	f.change(func(s *Settings) { s.HandshakeTimeout = 1 })
	c := f.greet(t)
	c.script(`C: STARTTLS
		S: 220`)
	c.expectEnd()
}

// A drain tells clients under TLS too, in words that they can read.
func TestShutdownUnderTLS(t *testing.T) {
	f := start(t, nil)
	ca := f.offer(t, config.LMTPTLSOffered, nil)
	idle, busy := f.greet(t).startTLS(ca), f.greet(t).startTLS(ca)
	idle.hello()
	busy.hello()
	busy.say(aliceEnvelope + "DATA\r\n")
	busy.expect("250", "250", "354")
	done := f.shutDown(t.Context(), t)
	idle.expect("421 4.3.2")
	idle.expectEnd()
	busy.say(".\r\n")
	busy.expect("250 2.0.0", "421 4.3.2")
	busy.expectEnd()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Within a handshake nothing can be said in the clear.
func TestShutdownWithinAHandshake(t *testing.T) {
	f := start(t, nil)
	f.offer(t, config.LMTPTLSOffered, nil)
	c := f.greet(t)
	c.script(`C: STARTTLS
		S: 220`)
	done := f.shutDown(t.Context(), t)
	c.expectEnd()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
