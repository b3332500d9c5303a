package scram

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	xdg "github.com/xdg-go/scram"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// converse lets an independent client log in, and tells whether both sides are content.
func converse(t *testing.T, m sasl.Mechanism, c *xdg.ClientConversation) bool {
	t.Helper()
	challenge := ""
	for {
		response, err := c.Step(challenge)
		if err != nil {
			t.Fatalf("client: %v", err)
		}
		next, done, err := m.Next([]byte(response))
		if err != nil {
			return false
		}
		if done {
			return c.Valid()
		}
		challenge = string(next)
	}
}

func newClient(t *testing.T, name, password, authzid string) *xdg.Client {
	t.Helper()
	c, err := xdg.SHA256.NewClient(name, password, authzid)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// others are users besides that of RFC 7677.
func others() accounts {
	a := rfcAccounts()
	a["a,b=c"] = credentialsOf("commas, and = signs", []byte("salt of 16 octet"), 15000)
	a["jürgen"] = credentialsOf("pässwörd", []byte("another salt, 16"), 4096)
	return a
}

func TestIndependentClient(t *testing.T) {
	o := plain()
	o.Lookup = others().find
	for _, test := range []struct {
		name, password, authzid string
		ok                      bool
	}{
		{"user", "pencil", "", true},
		{"user", "pencil", "user", true},
		{"user", "pencil", "boss", false},
		{"user", "pen", "", false},
		{"nobody", "pencil", "", false},
		{"a,b=c", "commas, and = signs", "a,b=c", true},
		{"jürgen", "pässwörd", "", true},
		{"jürgen", "pa\u0308sswo\u0308rd", "", true}, // SASLprep composes
	} {
		o.Authorize = func(authzid string, _ int) error {
			if authzid != "" && authzid != test.name {
				return sasl.ErrFailed
			}
			return nil
		}
		if ok := converse(t, New(o), newClient(t, test.name, test.password, test.authzid).NewConversation()); ok != test.ok {
			t.Errorf("%s with %q as %q: %v", test.name, test.password, test.authzid, ok)
		}
	}
}

// connect makes a TLS connection over a pipe and gives what both sides know of it.
func connect(t *testing.T) (server, client tls.ConnectionState, leaf *x509.Certificate) {
	t.Helper()
	certificate := newCertificate(t)
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	s := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13,
		SessionTicketsDisabled: true}) // a pipe has no room for what nobody reads
	c := tls.Client(far, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	failed := make(chan error, 1)
	go func() { failed <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return s.ConnectionState(), c.ConnectionState(), certificate.Leaf
}

func newCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		SignatureAlgorithm: x509.ECDSAWithSHA384}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

// bindingsOf are a connection's bindings, as the server sees them.
func bindingsOf(t *testing.T, state tls.ConnectionState, leaf *x509.Certificate) map[string][]byte {
	t.Helper()
	exporter, err := binding.Exporter(&state)
	if err != nil {
		t.Fatal(err)
	}
	endPoint, err := binding.EndPoint(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"tls-exporter": exporter, "tls-server-end-point": endPoint}
}

func TestIndependentClientOverTLS(t *testing.T) {
	server, client, leaf := connect(t)
	_, elsewhere, _ := connect(t)
	o := plus()
	o.Policy, o.Bindings = binding.Require, bindingsOf(t, server, leaf)
	for _, test := range []struct {
		name  string
		state tls.ConnectionState
		ok    bool
	}{{"same connection", client, true}, {"another connection", elsewhere, false}} {
		exporter, err := xdg.NewTLSExporterBinding(&test.state)
		if err != nil {
			t.Fatal(err)
		}
		endPoint, err := xdg.NewTLSServerEndpointBinding(&test.state)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []xdg.ChannelBinding{exporter, endPoint} {
			c := newClient(t, "user", "pencil", "").NewConversationWithChannelBinding(b)
			if ok := converse(t, New(o), c); ok != test.ok {
				t.Errorf("%s, %s: %v", test.name, b.Type, ok)
			}
		}
	}
}

// An independent client that believes the server has no -PLUS.
func TestIndependentClientIsLiedTo(t *testing.T) {
	o := plain()
	for _, offers := range []bool{false, true} {
		o.OffersPlus = offers
		c := newClient(t, "user", "pencil", "").NewConversationAdvertisingChannelBinding()
		if ok := converse(t, New(o), c); ok == offers {
			t.Errorf("-PLUS is offered: %v; logged in: %v", offers, ok)
		}
	}
}
