package server

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/tlstest"
)

// lmtpFolder is a folder with the files of the LMTP port's TLS.
type lmtpFolder struct {
	*folder
	clients *tlstest.CA
	files   *config.LMTPTLS
}

func newLMTPFolder(t *testing.T) *lmtpFolder {
	f := &lmtpFolder{folder: newFolder(t), clients: tlstest.NewCA(t)}
	pair := f.issue("mx", nil, nil)
	f.files = &config.LMTPTLS{
		CertFile: pair.CertFile, KeyFile: pair.KeyFile, ClientCAFile: filepath.Join(f.path, "clients.crt"),
		Mode: config.LMTPTLSRequired,
	}
	f.trust(string(f.clients.PEM))
	return f
}

// trust writes the file of the clients' authorities.
func (f *lmtpFolder) trust(text string) {
	f.t.Helper()
	must(f.t, os.WriteFile(f.files.ClientCAFile, []byte(text), 0o600))
}

func (f *lmtpFolder) config() *config.Config {
	return &config.Config{LMTP: &config.LMTP{TLS: f.files}, TLS: config.TLS{MinVersion: config.TLS12}}
}

func (f *lmtpFolder) load() *lmtpTLS { return newLMTPTLS(f.config(), slog.New(slog.DiscardHandler)) }

// meets makes a handshake with a certificate of an authority, or none, and gives the server's name; none if it did not let
// the client in.
func (f *lmtpFolder) meets(l *lmtpTLS, ca *tlstest.CA) string {
	f.t.Helper()
	settings := l.tlsConfig()
	if settings == nil {
		return "no TLS"
	}
	client := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	if ca != nil {
		client.Certificates = []tls.Certificate{ca.Issue(f.t, "mta").TLS(f.t)}
	}
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	go func() {
		defer func() { _ = theirs.Close() }()
		server := tls.Server(theirs, settings)
		if server.Handshake() == nil {
			_, _ = server.Write([]byte("x"))
		}
	}()
	conn := tls.Client(ours, client)
	if n, _ := conn.Read(make([]byte, 1)); n == 0 {
		return ""
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestLMTPClientCertificates(t *testing.T) {
	f := newLMTPFolder(t)
	l := f.load()
	for name, test := range map[string]struct {
		ca   *tlstest.CA
		want string
	}{"no certificate": {nil, ""}, "another authority": {f.ca, ""}, "the authority": {f.clients, "mx"}} {
		if got := f.meets(l, test.ca); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	f.files.ClientCAFile = ""
	if got := f.meets(f.load(), nil); got != "mx" {
		t.Errorf("without authorities: %q", got)
	}
}

// New files count, and those that cannot be used leave what was read before in place.
func TestLMTPTLSReload(t *testing.T) {
	f := newLMTPFolder(t)
	l := f.load()
	f.trust("nonsense")
	must(t, os.WriteFile(f.files.CertFile, []byte("nonsense"), 0o600))
	l.reload()
	if got := f.meets(l, f.clients); got != "mx" || f.meets(l, nil) != "" {
		t.Errorf("with bad files %q", got)
	}
	next := tlstest.NewCA(t)
	f.trust(string(next.PEM))
	f.ca.Issue(t, "mx2").Write(t, f.files.CertFile, f.files.KeyFile)
	l.reload()
	if got := f.meets(l, next); got != "mx2" || f.meets(l, f.clients) != "" {
		t.Errorf("with new files %q, and the former authority counts: %q", got, f.meets(l, f.clients))
	}
	must(t, os.Remove(f.files.ClientCAFile))
	l.use(f.config())
	if got := f.meets(l, next); got != "mx2" || f.meets(l, nil) != "" {
		t.Errorf("without the file %q", got)
	}
	l.use(&config.Config{LMTP: &config.LMTP{}})
	if got := f.meets(l, next); got != "no TLS" || len(l.paths()) != 0 {
		t.Errorf("without the setting %q, follows %q", got, l.paths())
	}
}

// Where a client needs a certificate, nobody is let in before it is known of whom.
func TestLMTPTLSWithoutAuthorities(t *testing.T) {
	f := newLMTPFolder(t)
	must(t, os.Remove(f.files.ClientCAFile))
	l := f.load()
	if got := f.meets(l, nil); got != "no TLS" {
		t.Errorf("without the file %q", got)
	}
	f.trust(string(f.clients.PEM))
	l.reload()
	if got := f.meets(l, f.clients); got != "mx" {
		t.Errorf("with the file %q", got)
	}
	// The setting comes to a server that has let in everybody.
	f.files.ClientCAFile = ""
	l = f.load()
	f.files.ClientCAFile = filepath.Join(f.path, "missing")
	l.use(f.config())
	if got := f.meets(l, nil); got != "no TLS" {
		t.Errorf("with a new setting and no file %q", got)
	}
}

func TestLMTPTLSIsTold(t *testing.T) {
	f := newLMTPFolder(t)
	var log bytes.Buffer
	l := newLMTPTLS(f.config(), slog.New(slog.NewTextHandler(&log, nil)))
	registry := prometheus.NewRegistry()
	registry.MustRegister(l)
	expect := func(value, told string) {
		t.Helper()
		const name = "pop3d_lmtp_tls_last_reload_successful"
		want := "# HELP " + name + " 1 if the files of the LMTP port's TLS are what is used, 0 if they were refused.\n" +
			"# TYPE " + name + " gauge\n" + name + " " + value + "\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), name); err != nil {
			t.Error(err)
		}
		if strings.Count(log.String(), told) != 1 {
			t.Errorf("log tells %q not once: %s", told, log.String())
		}
	}
	expect("1", "client authorities of the LMTP port loaded")
	f.trust("nonsense")
	l.reload()
	l.reload()
	expect("0", "client authorities of the LMTP port refused")
	f.trust(string(f.clients.PEM))
	must(t, os.Remove(f.files.KeyFile))
	l.reload()
	expect("0", "certificate refused")
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) != 0 {
		t.Error(err, problems)
	}
}

// The control port tells what is used, and why a newer file is not.
func TestLMTPTLSStatus(t *testing.T) {
	f := newLMTPFolder(t)
	l := newLMTPTLS(&config.Config{LMTP: &config.LMTP{}}, slog.New(slog.DiscardHandler))
	if told := l.status(); told != nil {
		t.Errorf("without the setting %+v", told)
	}
	ca := f.files.ClientCAFile
	f.files.ClientCAFile = filepath.Join(f.path, "missing")
	l.use(f.config())
	if told := l.status(); told.Certificate.Error != "" || told.ClientCA.Fingerprint != "" ||
		!strings.Contains(told.ClientCA.Error, "missing") {
		t.Errorf("without the file of the authorities %+v", told)
	}
	f.files.ClientCAFile = ca
	l.use(f.config())
	pair := f.ca.Issue(t, "mx2")
	pair.Write(t, f.files.CertFile, f.files.KeyFile)
	l.reload()
	good := l.status()
	if good.Certificate.Name != "lmtp" || good.Certificate.Fingerprint != pair.Fingerprint || good.Certificate.Error != "" ||
		good.Certificate.NotAfter.IsZero() || *good.ClientCA != (control.ClientCA{Fingerprint: control.Fingerprint(f.clients.PEM)}) {
		t.Errorf("told %+v", good)
	}
	f.trust("nonsense")
	must(t, os.Remove(f.files.KeyFile))
	l.reload()
	told := l.status()
	if told.Certificate.Error == "" || told.ClientCA.Error == "" {
		t.Errorf("no error of bad files is told: %+v", told)
	}
	told.Certificate.Error, told.ClientCA.Error = "", ""
	if !reflect.DeepEqual(told, good) {
		t.Errorf("with bad files %+v, want what is used: %+v", told, good)
	}
	f.files.ClientCAFile = ""
	l.use(f.config())
	if told := l.status(); told.ClientCA != nil {
		t.Errorf("without authorities %+v", told)
	}
}

// The settings of the file reach the port, those that change included.
func TestLMTPSettings(t *testing.T) {
	f := newLMTPFolder(t)
	text := plaintext + "lmtp:\n  address: 127.0.0.1:0\n  maxRecipients: 123\n  maxConnections: 7\n" +
		"  maxConnectionsPerAddress: 6\n  idleSeconds: 5\n  subaddressSeparator: '-'\n"
	s := newTestServer(t, text)
	got := s.configuration.lmtp()
	if got.MaxRecipients != 123 || got.MaxConnections != 7 || got.MaxConnectionsPerAddress != 6 ||
		got.IdleTimeout.Seconds() != 5 || got.SubaddressSeparator != "-" || got.TLS != "" ||
		got.HandshakeTimeout.Seconds() != 10 || s.lmtp.TLSConfig() != nil {
		t.Errorf("settings %+v", got)
	}
	file, err := os.ReadFile(s.configuration.path)
	must(t, err)
	tlsText := "  tls: {certFile: " + f.files.CertFile + ", keyFile: " + f.files.KeyFile + ", clientCAFile: " +
		f.files.ClientCAFile + "}\n"
	must(t, os.WriteFile(s.configuration.path, append(file, tlsText...), 0o600))
	if !s.configuration.reload(s.prepare) {
		t.Fatal(s.configuration.status().Error)
	}
	got = s.configuration.lmtp()
	paths := s.lmtpTLS.paths()
	told := s.status().LMTPTLS
	if got.TLS != config.LMTPTLSRequired || s.lmtp.TLSConfig() == nil || len(paths) != 3 || told == nil {
		t.Errorf("settings %+v, paths %q, told %+v", got, paths, told)
	}
}

// The files are followed: a new one counts without a restart.
func TestLMTPTLSIsFollowed(t *testing.T) {
	f := newLMTPFolder(t)
	s := newTestServer(t, plaintext+"lmtp:\n  address: 127.0.0.1:0\n  tls: {certFile: "+f.files.CertFile+", keyFile: "+
		f.files.KeyFile+", clientCAFile: "+f.files.ClientCAFile+"}\n")
	stop := s.followCertificates(t.Context())
	defer stop()
	next := tlstest.NewCA(t)
	f.trust(string(next.PEM))
	for end := time.Now().Add(10 * time.Second); f.meets(s.lmtpTLS, next) != "mx"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new authority does not count")
		}
	}
}
