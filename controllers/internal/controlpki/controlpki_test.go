package controlpki

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/control"
)

func ensure(t *testing.T, ca, server map[string][]byte, now time.Time) (newCA, newServer map[string][]byte) {
	t.Helper()
	newCA, err := EnsureCA(ca, now)
	if err != nil {
		t.Fatal(err)
	}
	newServer, err = EnsureServer(newCA, server, now)
	if err != nil {
		t.Fatal(err)
	}
	return newCA, newServer
}

func same(a, b map[string][]byte) bool {
	return maps.EqualFunc(a, b, func(x, y []byte) bool { return string(x) == string(y) })
}

func TestOperatorAndServerTrustEachOther(t *testing.T) {
	ca, server := ensure(t, nil, nil, time.Now())
	client, err := Client(ca, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(server[KeyCertificate], server[KeyPrivate])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(server[KeyCA]) {
		t.Fatal("the servers' Secret has no CA")
	}
	state := handshake(t, client, &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	if name := state.PeerCertificates[0].Subject.CommonName; name != control.ClientName {
		t.Errorf("the operator calls itself %q", name)
	}
}

// handshake gives what the server sees.
func handshake(t *testing.T, client, server *tls.Config) tls.ConnectionState {
	t.Helper()
	a, b := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- tls.Client(a, client).HandshakeContext(t.Context()) }()
	conn := tls.Server(b, server)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatalf("server: %v", err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("client: %v", err)
	}
	return conn.ConnectionState()
}

func TestCertificatesStayWhileTheyAreGood(t *testing.T) {
	now := time.Now()
	ca, server := ensure(t, nil, nil, now)
	for _, test := range []struct {
		name                string
		after               time.Duration
		keepsCA, keepServer bool
	}{
		{"the next day", 24 * time.Hour, true, true},
		{"when two thirds of the server's year are over", serverLifetime * 7 / 10, true, false},
		{"when two thirds of the CA's time are over", caLifetime * 7 / 10, false, false},
	} {
		nextCA, nextServer := ensure(t, ca, server, now.Add(test.after))
		if same(ca, nextCA) != test.keepsCA || same(server, nextServer) != test.keepServer {
			t.Errorf("%s: CA kept %t, certificate kept %t", test.name, same(ca, nextCA), same(server, nextServer))
		}
	}
}

func TestDamagedAndForeignCertificatesAreReplaced(t *testing.T) {
	now := time.Now()
	ca, server := ensure(t, nil, nil, now)
	otherCA, _ := ensure(t, nil, nil, now)
	damaged := map[string][]byte{KeyCertificate: ca[KeyCertificate], KeyPrivate: []byte("no key")}
	if next, err := EnsureCA(damaged, now); err != nil || same(next, damaged) {
		t.Errorf("a damaged CA stayed (%v)", err)
	}
	if _, next := ensure(t, otherCA, server, now); same(next, server) {
		t.Error("a certificate of another CA stayed")
	}
	if _, err := Client(damaged, now); err == nil {
		t.Error("a damaged CA gave the operator a certificate")
	}
}
