package lmtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/internal/testkit"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// deadline is how long a test waits for what must come.
const deadline = 10 * time.Second

func record(address string, change ...func(*directory.Record)) directory.Record {
	r := directory.Record{
		ID: directory.MailboxID(address), Address: address, Owner: "mail/" + address, State: directory.Enabled,
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

var (
	alice    = record("alice@example.com")
	bob      = record("bob@example.com")
	disabled = record("disabled@example.com", func(r *directory.Record) { r.State = directory.Disabled })
	small    = record("small@example.com", func(r *directory.Record) { r.Quota.ProhibitReceive = 8192 })
	names    = map[string]directory.Record{
		alice.Address: alice, bob.Address: bob, disabled.Address: disabled, small.Address: small, "sales@example.com": alice,
	}
)

// fixture is a running server with a store of its own.
type fixture struct {
	*Server
	address  string
	log      testkit.Log
	registry *prometheus.Registry
	served   chan error

	mu       sync.Mutex
	settings Settings
	tls      *tls.Config
	partial  bool // the directory is not complete
}

func newStore(t *testing.T) maildrop.Store {
	t.Helper()
	store, err := maildrop.New(t.TempDir(), maildrop.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func start(t *testing.T, store maildrop.Store) *fixture {
	t.Helper()
	f := &fixture{registry: prometheus.NewRegistry(), served: make(chan error, 1)}
	f.settings = Settings{
		Hostname: "mx.example.com", MaxMessageOctets: 100000, MaxRecipients: 3, OverQuotaReply: config.Reject,
		MaxConnections: 100, MaxConnectionsPerAddress: 100, IdleTimeout: 5 * time.Minute, HandshakeTimeout: deadline,
	}
	if store == nil {
		store = newStore(t)
	}
	f.Server = New(Options{
		Settings: f.now, TLSConfig: f.tlsConfig, Store: store, Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		Registerer: f.registry,
		Complete: func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return !f.partial
		},
		Lookup: func(name string) (directory.Record, bool) { r, ok := names[strings.ToLower(name)]; return r, ok },
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	go func() { f.served <- f.Serve(listener) }()
	t.Cleanup(f.stop)
	return f
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

func (f *fixture) change(change func(*Settings)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.settings)
}

func (f *fixture) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = f.Shutdown(ctx)
}

// messages gives the texts in a maildrop.
func (f *fixture) messages(t *testing.T, r directory.Record) []string {
	t.Helper()
	session, err := f.Store.Open(context.Background(), mailbox(r))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, m := range session.Messages() {
		body, err := session.Body(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// client is one end of a scripted conversation.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func (f *fixture) dial(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, c)
}

func newClient(t *testing.T, c net.Conn) *client {
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(deadline))
	return &client{t, c, bufio.NewReader(c)}
}

// greet connects and says LHLO.
func (f *fixture) greet(t *testing.T) *client {
	t.Helper()
	c := f.dial(t)
	c.expect("220 mx.example.com LMTP")
	c.hello()
	return c
}

// hello says LHLO and gives the reply's lines.
func (c *client) hello() (lines []string) {
	c.t.Helper()
	c.say("LHLO mta.example.org\r\n")
	for len(lines) == 0 || strings.HasPrefix(lines[len(lines)-1], "250-") {
		lines = append(lines, c.line())
	}
	return lines
}

// again makes a new connection to the same server.
func (c *client) again() *client {
	c.t.Helper()
	_ = c.Close()
	again, err := net.Dial("tcp", c.RemoteAddr().String())
	if err != nil {
		c.t.Fatal(err)
	}
	next := newClient(c.t, again)
	next.expect("220")
	next.hello()
	return next
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
	if err != nil {
		c.t.Fatalf("read %q: %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (c *client) expect(prefixes ...string) {
	c.t.Helper()
	for _, prefix := range prefixes {
		if got := c.line(); !strings.HasPrefix(got, prefix) {
			c.t.Fatalf("got %q, want %q…", got, prefix)
		}
	}
}

func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Errorf("got %q, %v; want the end", rest, err)
	}
}

// script plays "C: …" and "S: …" lines; those of the server need only begin so.
func (c *client) script(text string) {
	c.t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if command, ok := strings.CutPrefix(line, "C:"); ok {
			c.say(strings.TrimPrefix(command, " ") + "\r\n")
		} else if reply, ok := strings.CutPrefix(line, "S: "); ok {
			c.expect(reply)
		}
	}
}

func TestGreetingAndExtensions(t *testing.T) {
	c := start(t, nil).dial(t)
	c.script(`S: 220 mx.example.com LMTP
		C: EHLO x
		S: 500 5.5.1
		C: LHLO x
		S: 250-mx.example.com
		S: 250-PIPELINING
		S: 250-8BITMIME
		S: 250-ENHANCEDSTATUSCODES
		S: 250-CHUNKING
		S: 250-SMTPUTF8
		S: 250-SIZE 100000
		S: 250 LIMITS RCPTMAX=3
		C: DATA
		S: 503 5.5.1
		C: QUIT
		S: 221 2.0.0`)
	c.expectEnd()
}

func TestDeliverySaysWhereItCameFrom(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.script(`C: MAIL FROM:<carol@example.org> BODY=8BITMIME
		S: 250 2.1.0
		C: RCPT TO:<Sales@Example.com>
		S: 250 2.1.5
		C: DATA
		S: 354
		C: Subject: hello
		C:
		C: ..dot
		C: .
		S: 250 2.0.0 <Sales@Example.com> Delivered`)
	lines := strings.Split(f.messages(t, alice)[0], "\r\n")
	want := []string{
		"Return-Path: <carol@example.org>", "Delivered-To: Sales@Example.com",
		"Received: from mta.example.org ([127.0.0.1])", "\tby mx.example.com with LMTP id ", "\tfor <Sales@Example.com>; ",
		"Subject: hello", "", ".dot", "",
	}
	if len(lines) != len(want) {
		t.Fatalf("lines %q, want %q", lines, want)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q, want %q", i+1, lines[i], want[i])
		}
	}
	if log := f.log.String(); !strings.Contains(log, "mailbox="+alice.ID) || strings.Contains(log, "hello") {
		t.Errorf("log %s", log)
	}
}

func TestRecipientsGetRepliesOfTheirOwn(t *testing.T) {
	f := start(t, nil)
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<nobody@example.com>
		S: 550 5.1.1
		C: RCPT TO:<disabled@example.com>
		S: 550 5.2.1
		C: RCPT TO:<bob@example.com>
		S: 250
		C: RCPT TO:<small@example.com>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: RCPT TO:<sales@example.com>
		S: 452 4.5.3
		C: DATA
		S: 354
		C: Subject: large
		C:
		C: ` + strings.Repeat("x", 8192) + `
		C: .
		S: 250 2.0.0 <bob@example.com>
		S: 552 5.2.2 <small@example.com>
		S: 250 2.0.0 <alice@example.com>`)
	for box, want := range map[string]int{alice.Address: 1, bob.Address: 1, small.Address: 0} {
		if got := len(f.messages(t, names[box])); got != want {
			t.Errorf("%s has %d messages, want %d", box, got, want)
		}
	}
	for status, want := range map[string]float64{"2.0.0": 2, "5.2.2": 1, "5.1.1": 1, "5.2.1": 1} {
		if got := testutil.ToFloat64(f.metrics.replies.WithLabelValues(status)); got != want {
			t.Errorf("%v recipients were answered %s, want %v", got, status, want)
		}
	}
}

func TestOneMailboxUnderTwoNamesGetsOneCopy(t *testing.T) {
	f := start(t, nil)
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: RCPT TO:<sales@example.com>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250 2.0.0 <alice@example.com>
		S: 250 2.0.0 <sales@example.com>
		S: 250 2.0.0 <alice@example.com>`)
	if n := len(f.messages(t, alice)); n != 1 {
		t.Errorf("%d copies, want 1", n)
	}
}

// fill delivers a message that reaches the quota exactly.
func (f *fixture) fill(t *testing.T, record directory.Record) {
	t.Helper()
	const head = 98 // of a message's record in the store
	body := "\r\n" + strings.Repeat("x", int(record.Quota.ProhibitReceive)-head-4) + "\r\n"
	results, err := f.Store.Deliver(t.Context(), []maildrop.Recipient{{Mailbox: mailbox(record)}}, strings.NewReader(body))
	if err != nil || results[0] != nil {
		t.Fatal(err, results)
	}
}

func TestOverQuotaIsToldBeforeTheText(t *testing.T) {
	f := start(t, nil)
	f.fill(t, small)
	c := f.greet(t)
	c.script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<small@example.com>
		S: 552 5.2.2
		C: QUIT
		S: 221`)
	f.change(func(s *Settings) { s.OverQuotaReply = config.Defer })
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<small@example.com>
		S: 452 4.2.2`)
}

func TestDeclaredSizeCountsForTheQuota(t *testing.T) {
	start(t, nil).greet(t).script(`C: MAIL FROM:<> SIZE=8193
		S: 250
		C: RCPT TO:<small@example.com>
		S: 552 5.2.2
		C: RCPT TO:<alice@example.com>
		S: 250`)
}

// A message of exactly the allowed size is taken, one octet more is not, whichever way it comes.
func TestSizeLimit(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.MaxMessageOctets = 100 })
	c := f.greet(t)
	c.script(`C: MAIL FROM:<> SIZE=101
		S: 552 5.3.4`)
	const envelope = "MAIL FROM:<> SIZE=100\r\nRCPT TO:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\n"
	for octets, reply := range map[int]string{100: "250 2.0.0", 101: "552 5.3.4"} {
		text := strings.Repeat("x", octets-2) + "\r\n"
		c.say(envelope + "DATA\r\n")
		c.expect("250", "250", "250", "354")
		c.say(text + ".\r\n")
		c.expect(reply+" <alice@example.com>", reply+" <bob@example.com>")
		c.say(envelope + fmt.Sprintf("BDAT %d LAST\r\n", octets) + text)
		c.expect("250", "250", "250", reply+" <alice@example.com>", reply+" <bob@example.com>")
	}
	if n := len(f.messages(t, alice)); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

func TestPipelinedChunksAndLongLines(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	long := strings.Repeat("y", 70000)
	c.say("MAIL FROM:<a@b>\r\nRCPT TO:<alice@example.com>\r\nBDAT 5\r\nA: b\nBDAT 70002 LAST\r\n\n" + long + "\n" +
		"MAIL FROM:<a@b>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\n")
	c.expect("250", "250", "250 2.0.0 Continue", "250 2.0.0 <alice@example.com>", "250", "250", "354")
	c.say("A: b\r\n\r\n" + long + "\r\n.\r\nQUIT\r\n")
	c.expect("250 2.0.0 <alice@example.com>", "221")
	for _, text := range f.messages(t, alice) {
		if !strings.HasSuffix(text, "\r\nA: b\r\n\r\n"+long+"\r\n") {
			t.Errorf("text of %d octets ends otherwise", len(text))
		}
	}
}

func TestHostileEnvelope(t *testing.T) {
	f := start(t, nil)
	c := f.dial(t)
	c.expect("220")
	c.say("LHLO a\rX-Evil:1\r\n")
	c.expect("500 5.5.2")
	c.say("LHLO a(b)<c>X-Evil:1\r\n")
	for strings.HasPrefix(c.line(), "250-") {
	}
	c.say("MAIL FROM:<\"a\rX-Evil: 1\"@b>\r\n")
	c.expect("500 5.5.2")
	c.script(`C: MAIL FROM:<"a> b\"c"@example.org>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250`)
	text := f.messages(t, alice)[0]
	if !strings.HasPrefix(text, "Return-Path: <\"a> b\\\"c\"@example.org>\r\n") || strings.Contains(text, "X-Evil") ||
		!strings.Contains(text, "\r\nReceived: from unknown ([127.0.0.1])\r\n") {
		t.Errorf("text %q", text)
	}
}

func TestConnectionCutWithinTheText(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: DATA
		S: 354
		C: Subject: cut`)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.messages(t, alice)); n != 0 {
		t.Errorf("%d messages of a connection that was cut", n)
	}
}

// go-smtp takes the connection's end for the chunk's: what came of the message until then must not be stored.
func TestConnectionCutWithinTheLastChunk(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250`)
	c.say("BDAT 1000 LAST\r\nSubject: cut\r\n")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(c.Conn); strings.Contains(string(rest), "250") {
		t.Errorf("it was answered %q", rest)
	}
	if err := f.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(f.messages(t, alice)); n != 0 {
		t.Errorf("%d messages of a connection that was cut", n)
	}
}

// RFC 5321 §4.1.4. The recipients before the second MAIL must not be told that they have the message.
func TestSecondMailIsRefused(t *testing.T) {
	f := start(t, nil)
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: MAIL FROM:<>
		S: 503 5.5.1
		C: DATA
		S: 354
		C: Subject: one
		C:
		C: .
		S: 250 2.0.0 <alice@example.com> Delivered
		C: MAIL FROM:<>
		S: 250
		C: RSET
		S: 250
		C: MAIL FROM:<>
		S: 250`)
	if n := len(f.messages(t, alice)); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

// A chunk that is given up is still being read when the next message comes: its outcome must not be taken for that one's.
func TestResetWithinChunks(t *testing.T) {
	f := start(t, nil)
	big := strings.Repeat("x", 20000) + "\r\n"
	for range 50 {
		c := f.greet(t)
		c.say("MAIL FROM:<>\r\nRCPT TO:<alice@example.com>\r\nBDAT 5\r\nA: b\nRSET\r\n" +
			"MAIL FROM:<>\r\nRCPT TO:<small@example.com>\r\nBDAT 20002 LAST\r\n" + big + "QUIT\r\n")
		replies, err := io.ReadAll(c.Conn)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(replies), "552 5.2.2") || strings.Contains(string(replies), "queued") {
			t.Fatalf("a message that is over the quota was answered: %s", replies)
		}
	}
	if n := len(f.messages(t, small)); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

// While part of the directory cannot be read, nobody's mail is sent back as for an unknown mailbox.
func TestUnknownWhileTheDirectoryIsNotComplete(t *testing.T) {
	f := start(t, nil)
	f.mu.Lock()
	f.partial = true
	f.mu.Unlock()
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<nobody@example.com>
		S: 451 4.3.0
		C: RCPT TO:<alice@example.com>
		S: 250`)
}

// shutDown starts a shutdown and waits until no new connection is taken.
func (f *fixture) shutDown(ctx context.Context, t *testing.T) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f.Shutdown(ctx) }()
	if err := <-f.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	return done
}

func TestShutdownLetsMessagesFinish(t *testing.T) {
	f := start(t, nil)
	idle, busy := f.greet(t), f.greet(t)
	busy.script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: DATA
		S: 354`)
	done := f.shutDown(context.Background(), t)
	idle.expect("421 4.3.2")
	idle.expectEnd()
	busy.script(`C: Subject: last
		C: .
		S: 250 2.0.0 <alice@example.com>
		S: 421 4.3.2`)
	busy.expectEnd()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(f.messages(t, alice)); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	f := start(t, nil)
	busy := f.greet(t)
	busy.script(`C: MAIL FROM:<>
		S: 250`)
	ctx, cancel := context.WithCancel(context.Background())
	done := f.shutDown(ctx, t)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	busy.expectEnd()
}

func TestSettingsAreLive(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.Hostname, s.MaxRecipients = "other.example.com", 1 })
	f.dial(t).script(`S: 220 other.example.com LMTP
		C: LHLO x
		S: 250-other.example.com
		S: 250-PIPELINING
		S: 250-8BITMIME
		S: 250-ENHANCEDSTATUSCODES
		S: 250-CHUNKING
		S: 250-SMTPUTF8
		S: 250-SIZE 100000
		S: 250 LIMITS RCPTMAX=1`)
}

func TestMetricsNameNoMailbox(t *testing.T) {
	f := start(t, nil)
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250`)
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(families); strings.Contains(text, "alice") || strings.Contains(text, alice.ID) {
		t.Errorf("metrics %s", text)
	}
	if problems, err := testutil.GatherAndLint(f.registry); err != nil || len(problems) != 0 {
		t.Error(err, problems)
	}
}
