package server

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/tlstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder is a folder with pairs of files.
type folder struct {
	t    *testing.T
	path string
	ca   *tlstest.CA
}

func newFolder(t *testing.T) *folder { return &folder{t, t.TempDir(), tlstest.NewCA(t)} }

// files gives the setting for the pair with this name.
func (f *folder) files(name string, serverNames ...string) config.Certificate {
	path := filepath.Join(f.path, name)
	return config.Certificate{Name: name, CertFile: path + ".crt", KeyFile: path + ".key", ServerNames: serverNames}
}

// issue writes a pair, with the host names of a certificate, and gives the setting.
func (f *folder) issue(name string, hosts, serverNames []string) config.Certificate {
	f.t.Helper()
	c := f.files(name, serverNames...)
	f.ca.Issue(f.t, name, hosts...).Write(f.t, c.CertFile, c.KeyFile)
	return c
}

func load(settings ...config.Certificate) *certificates {
	return newCertificates(config.TLS{Certificates: settings, MinVersion: config.TLS12}, noClients, slog.New(slog.DiscardHandler))
}

// served gives the common name of the certificate that serves a client, and whether the client's session was resumed.
func served(t *testing.T, c *certificates, client *tls.Config) (name string, resumed bool, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	go func() {
		server := tls.Server(theirs, c.tlsConfig())
		_, _ = server.Write([]byte("x")) // with the session ticket before it
		_ = theirs.Close()
	}()
	client.InsecureSkipVerify = true
	conn := tls.Client(ours, client)
	if err := conn.Handshake(); err != nil {
		return "", false, err
	}
	_, _ = conn.Read(make([]byte, 1))
	state := conn.ConnectionState()
	return state.PeerCertificates[0].Subject.CommonName, state.DidResume, nil
}

func TestServerNames(t *testing.T) {
	f := newFolder(t)
	c := load(
		f.files("missing", "missing.example.com"),
		f.issue("first", []string{"pop.example.com", "*.implied.example.com"}, nil),
		f.issue("set", []string{"ignored.example.com"}, []string{"mail.example.com", "*.Set.example.com"}),
		f.issue("second", []string{"pop.example.com", "second.example.com", "mail.example.com", "a.set.example.com"}, nil),
	)
	for name, want := range map[string]string{
		"":                        "first",
		"unknown.example.org":     "first",
		"missing.example.com":     "first",
		"pop.example.com":         "first",  // both certificates have it
		"mail.example.com":        "set",    // what the configuration says comes before what is in certificates
		"MAIL.EXAMPLE.COM":        "set",    // in upper or lower case
		"a.set.example.com":       "set",    // also by a wildcard
		"a.b.set.example.com":     "first",  // which stands for one label
		"set.example.com":         "first",  // and not for none
		"ignored.example.com":     "first",  // the configuration names others
		"second.example.com":      "second", // from the certificate
		"x.implied.example.com":   "first",
		"x.y.implied.example.com": "first",
	} {
		if got, _, err := served(t, c, &tls.Config{ServerName: name}); got != want {
			t.Errorf("%q is served %q (%v), want %q", name, got, err, want)
		}
	}
}

func TestNoCertificate(t *testing.T) {
	f := newFolder(t)
	if c := load(f.files("missing")); c.tlsConfig() != nil {
		t.Error("there is a TLS configuration without a certificate")
	}
	if c := load(); c.tlsConfig() != nil {
		t.Error("there is a TLS configuration without any")
	}
}

// Whatever becomes of the files, the pair that was good stays.
func TestCertificateKept(t *testing.T) {
	f := newFolder(t)
	first := f.issue("a", nil, nil)
	other := f.issue("b", nil, nil)
	c := load(first)
	for name, spoil := range map[string]func(){
		"key missing":      func() { must(t, os.Remove(first.KeyFile)) },
		"both missing":     func() { must(t, os.Remove(first.CertFile)) },
		"not PEM":          func() { must(t, os.WriteFile(first.CertFile, []byte("nonsense"), 0o600)) },
		"a folder":         func() { _ = os.Remove(first.CertFile); must(t, os.Mkdir(first.CertFile, 0o700)) },
		"does not match":   func() { first.KeyFile = other.KeyFile },
		"other file names": func() { first.CertFile = filepath.Join(f.path, "elsewhere") },
	} {
		before := c.served.Load().all[0].fingerprint()
		spoil()
		c.use(config.TLS{Certificates: []config.Certificate{first}, MinVersion: config.TLS12})
		if got, _, err := served(t, c, &tls.Config{}); got != "a" {
			t.Errorf("%s: served %q, %v", name, got, err)
		}
		told := c.served.Load().status()[0]
		if told.Fingerprint != before || told.Error == "" || told.NotAfter.IsZero() {
			t.Errorf("%s: told %+v", name, told)
		}
		_ = os.RemoveAll(first.CertFile)
		first = f.issue("a", nil, nil)
		c.use(config.TLS{Certificates: []config.Certificate{first}, MinVersion: config.TLS12})
		if told := c.served.Load().status()[0]; told.Error != "" || told.Fingerprint == before {
			t.Errorf("after %s: told %+v", name, told)
		}
	}
}

// A client may resume its session until the certificates change; then it is shown the new one.
func TestSessionTickets(t *testing.T) {
	f := newFolder(t)
	first := f.issue("a", nil, nil)
	c := load(first)
	client := &tls.Config{ServerName: "pop.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	expect := func(want bool) {
		t.Helper()
		if _, resumed, err := served(t, c, client); resumed != want || err != nil {
			t.Errorf("resumed %v, %v; want %v", resumed, err, want)
		}
	}
	expect(false)
	expect(true)
	c.reload() // and nothing has changed
	expect(true)
	f.issue("a", nil, nil)
	c.reload()
	expect(false)
	expect(true)
}

func TestMinVersion(t *testing.T) {
	f := newFolder(t)
	a := f.issue("a", nil, nil)
	c := load(a)
	old := func() error { _, _, err := served(t, c, &tls.Config{MaxVersion: tls.VersionTLS12}); return err }
	if err := old(); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, _, err := served(t, c, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	c.use(config.TLS{Certificates: []config.Certificate{a}, MinVersion: config.TLS13})
	if err := old(); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2, where 1.3 is the least: %v", err)
	}
}

// Certificates that get other names while their files are bad leave what is served in place, also for later reloads.
func TestRenamedWhileBad(t *testing.T) {
	f := newFolder(t)
	c := load(f.issue("one", []string{"one.example"}, nil))
	bad := f.files("two")
	for _, settings := range [][]config.Certificate{{bad}, {bad, f.files("three")}} {
		c.use(config.TLS{Certificates: settings, MinVersion: config.TLS12})
		if name, _, err := served(t, c, &tls.Config{}); err != nil || name != "one" {
			t.Errorf("%q is served (%v), want the one of before", name, err)
		}
	}
	c.use(config.TLS{})
	if c.tlsConfig() != nil {
		t.Error("TLS is served though the settings name no certificate any more")
	}
}

// noClients is for servers that ask clients for no certificate.
func noClients() *x509.CertPool { return nil }
