package pop3

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/popservice/popservice/internal/testkit"
	"github.com/popservice/popservice/pop3server/authn"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
	"github.com/popservice/popservice/pop3server/sasl/gssapi"
	"github.com/popservice/popservice/pop3server/tlstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline is how long a test waits for what must come.
const deadline = 10 * time.Second

const (
	alice = "alice@example.com"
	bob   = "bob@example.com"
)

// passwords begins logins: each name is a mailbox of its own. One that begins with "busy" or "unavailable" cannot be checked.
type passwords map[string]string

func (p passwords) begin(context.Context, netip.Addr) Login { return &fakeLogin{passwords: p} }

// fakeLogin is a Login by password, and knows no other.
type fakeLogin struct {
	Login
	passwords
	record directory.Record
	failed func(error) int // is told of a failure, and gives the steps of its delay; nil for none
}

func (l *fakeLogin) Password(authzid, name string, password []byte) error {
	want, ok := l.passwords[strings.ToLower(name)]
	switch {
	case strings.HasPrefix(name, "busy"):
		return authn.ErrBusy
	case strings.HasPrefix(name, "unavailable"):
		return authn.ErrUnavailable
	case !ok || string(password) != want || authzid != "":
		return authn.ErrRejected
	}
	l.record = recordOf(strings.ToLower(name))
	return nil
}

func (l *fakeLogin) Mailbox() directory.Record { return l.record }
func (l *fakeLogin) Succeeded()                {}

func (l *fakeLogin) Failed(err error) int {
	if l.failed == nil {
		return 0
	}
	return l.failed(err)
}

func recordOf(address string) directory.Record {
	return directory.Record{ID: directory.MailboxID(address), Address: address, Owner: "mail/" + address}
}

// brokenStore is a store whose sessions a test can break.
type brokenStore struct {
	maildrop.Store
	openError error
	body      func(maildrop.Message, io.ReadCloser) (io.ReadCloser, error)
	remove    func() error
	opened    func() // called behind each Open
}

func (b *brokenStore) Open(ctx context.Context, box maildrop.Mailbox) (maildrop.Session, error) {
	if b.openError != nil {
		return nil, b.openError
	}
	session, err := b.Store.Open(ctx, box)
	if b.opened != nil {
		b.opened()
	}
	return brokenSession{session, b}, err
}

type brokenSession struct {
	maildrop.Session
	store *brokenStore
}

func (s brokenSession) Body(ctx context.Context, m maildrop.Message) (io.ReadCloser, error) {
	body, err := s.Session.Body(ctx, m)
	if err != nil || s.store.body == nil {
		return body, err
	}
	return s.store.body(m, body)
}

func (s brokenSession) Delete(ctx context.Context, messages []maildrop.Message) error {
	if s.store.remove != nil {
		if err := s.store.remove(); err != nil {
			return err
		}
	}
	return s.Session.Delete(ctx, messages)
}

// fixture is a running server with a store of its own.
type fixture struct {
	*Server
	t        *testing.T
	store    *brokenStore
	log      testkit.Log
	registry *prometheus.Registry
	ca       *tlstest.CA
	keytab   *gssapi.Keytab

	clientCAs *x509.CertPool

	proxies   *config.ProxyProtocol      // in front of the listeners
	listening map[config.Security]string // addresses
	dialed    []net.Conn

	mu       sync.Mutex
	settings Settings
	tls      *tls.Config
}

// newFixture makes a server without listeners. Failed logins and bad commands are not slowed down, and plaintext logins are
// allowed.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	store, err := maildrop.New(t.TempDir(), maildrop.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close) // ends what works on the folder in the background, before the folder is removed
	f := &fixture{t: t, store: &brokenStore{Store: store}, registry: prometheus.NewRegistry()}
	f.listening = make(map[config.Security]string)
	var c config.Config
	c.Default()
	c.Authentication.LoginType = config.PlainTextLogin
	c.Banner = "ready"
	f.settings = SettingsOf(&c)
	f.Server = New(Options{
		Settings: f.now, TLSConfig: f.tlsConfig, Store: f.store, Registerer: f.registry,
		Login: passwords{alice: "secret", bob: " two  words "}.begin,
		Keys: Keys{
			Keytab:    func() *gssapi.Keytab { return f.keytab },
			Replays:   gssapi.NewReplayCache(10),
			Fake:      func() []byte { return []byte("a secret of the servers") },
			Hostname:  func() string { return "pop.example.com" },
			ClientCAs: func() *x509.CertPool { return f.clientCAs },
		},
		Version: "1.2.3",
		Log:     slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	f.failureStep, f.badStep = 0, 0
	return f
}

// onFailure has logins tell of their failures; what is given are the steps of the delay.
func (f *fixture) onFailure(failed func(error) int) {
	begin := f.options.Login
	f.options.Login = func(ctx context.Context, remote netip.Addr) Login {
		login := begin(ctx, remote).(*fakeLogin)
		login.failed = failed
		return login
	}
}

func (f *fixture) now() Settings {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.settings
}

func (f *fixture) tlsConfig() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tls
}

func (f *fixture) set(change func(*Settings)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.settings)
}

// extend sets the capabilities beyond Exchange's.
func (f *fixture) extend(capabilities ...config.Capability) {
	f.set(func(s *Settings) { s.Capabilities = capabilities })
}

// useTLS gives the server a certificate.
func (f *fixture) useTLS() {
	f.ca = tlstest.NewCA(f.t)
	pair := f.ca.Issue(f.t, "", "pop.example.com").TLS(f.t)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tls = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }}
}

// listen serves a listener until the test ends, and gives its address. There is one for each kind.
func (f *fixture) listen(security config.Security) string {
	f.t.Helper()
	if address := f.listening[security]; address != "" {
		return address
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	served := make(chan error, 1)
	settings := config.Listener{Security: security, ProxyProtocol: f.proxies}
	go func() { served <- f.Serve(context.Background(), listener, settings) }()
	f.t.Cleanup(func() {
		for _, c := range f.dialed {
			_ = c.Close()
		}
		f.stop()
		if err := <-served; err != nil {
			f.t.Errorf("Serve: %v", err)
		}
	})
	f.listening[security] = listener.Addr().String()
	return f.listening[security]
}

// stop shuts down at once.
func (f *fixture) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = f.Shutdown(ctx)
}

// deliver puts messages into a maildrop.
func (f *fixture) deliver(address string, messages ...string) {
	f.t.Helper()
	for _, m := range messages {
		results, err := f.store.Deliver(context.Background(), []maildrop.Recipient{{Mailbox: boxOf(address)}}, strings.NewReader(m))
		if err = errors.Join(append(results, err)...); err != nil {
			f.t.Fatal(err)
		}
	}
}

func boxOf(address string) maildrop.Mailbox {
	r := recordOf(address)
	return maildrop.Mailbox{ID: r.ID, Owner: r.Owner}
}

// uidsOf gives the unique-ids in a maildrop.
func (f *fixture) uidsOf(address string) (uids []string) {
	f.t.Helper()
	session, err := f.store.Store.Open(context.Background(), boxOf(address))
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	for _, m := range session.Messages() {
		uids = append(uids, m.UID())
	}
	return uids
}

// expectMessages checks the unique-ids in a maildrop.
func (f *fixture) expectMessages(address string, uids ...string) {
	f.t.Helper()
	if got := f.uidsOf(address); fmt.Sprint(got) != fmt.Sprint(uids) {
		f.t.Errorf("the maildrop has %v, want %v", got, uids)
	}
}

// expectReason waits until all sessions have ended and checks the reason of the last one.
func (f *fixture) expectReason(reason string) {
	f.t.Helper()
	eventually(f.t, "end of the session", func() bool { return f.Sessions() == 0 })
	if log := f.log.String(); !strings.Contains(log, "reason="+quoted(reason)) {
		f.t.Errorf("the log has no reason %q:\n%s", reason, log)
	}
}

// opened tells how many sessions are counted for Alice's mailbox.
func (f *fixture) opened() int {
	f.limits.mu.Lock()
	defer f.limits.mu.Unlock()
	return f.limits.mailboxes[recordOf(alice).ID]
}

func quoted(text string) string {
	if strings.Contains(text, " ") {
		return `"` + text + `"`
	}
	return text
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	testkit.Eventually(t, deadline, what, done, nil)
}

// client is one end of a scripted conversation.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func newClient(t *testing.T, c net.Conn) *client { return &client{t, c, bufio.NewReader(c)} }

// dial connects over a socket.
func (f *fixture) dial(security config.Security) *client {
	f.t.Helper()
	c, err := net.Dial("tcp", f.listen(security))
	if err != nil {
		f.t.Fatal(err)
	}
	f.dialed = append(f.dialed, c)
	_ = c.SetDeadline(time.Now().Add(deadline))
	return newClient(f.t, c)
}

// connect connects in the clear to a listener for STLS.
func (f *fixture) connect() *client {
	f.t.Helper()
	c := f.dial(config.StartTLS)
	c.script("S: +OK ready")
	return c
}

// login connects and logs in as Alice.
func (f *fixture) login() *client {
	f.t.Helper()
	c := f.connect()
	c.login()
	return c
}

func (c *client) login() {
	c.t.Helper()
	c.script(`C: USER alice@example.com
		S: +OK
		C: PASS secret
		S: +OK User successfully logged on.`)
}

// pipe connects without a socket, so that a test may have a clock of its own.
func (f *fixture) pipe(security config.Security) *client {
	f.t.Helper()
	ours, theirs := net.Pipe()
	f.t.Cleanup(func() { _ = ours.Close() })
	go f.serve(theirs, entrance{security: security})
	return newClient(f.t, ours)
}

// startTLS makes the handshake.
func (c *client) startTLS(f *fixture) {
	c.t.Helper()
	conn := tls.Client(c.Conn, &tls.Config{RootCAs: f.ca.Pool(), ServerName: "pop.example.com"})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.Conn, c.in = conn, bufio.NewReader(conn)
}

func (c *client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "\r\n") {
		c.t.Fatalf("read %q: %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// expect reads lines; one that ends in "…" need only begin so.
func (c *client) expect(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		got := c.line()
		prefix, open := strings.CutSuffix(want, "…")
		if got != want && (!open || !strings.HasPrefix(got, prefix)) {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// expectClosed wants the connection to end without another octet, and not to be reset. Then the client closes it too.
func (c *client) expectClosed() {
	c.t.Helper()
	defer func() { _ = c.Close() }()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Errorf("got %q, %v; want the end", rest, err)
	}
}

// script plays "C: …" and "S: …" lines.
func (c *client) script(text string) {
	c.t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if command, ok := strings.CutPrefix(line, "C:"); ok {
			c.say(strings.TrimPrefix(command, " ") + "\r\n")
		} else if reply, ok := strings.CutPrefix(line, "S:"); ok {
			c.expect(strings.TrimPrefix(reply, " "))
		} else if line != "" {
			c.t.Fatalf("neither C: nor S: %q", line)
		}
	}
}
