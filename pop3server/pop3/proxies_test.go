package pop3

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/config"
)

// loopback are proxies that a test's client is one of; elsewhere are some that it is not.
var (
	loopback  = &config.ProxyProtocol{TrustedNetworks: []string{"192.0.2.0/24", "127.0.0.0/8", "::1/128"}}
	elsewhere = &config.ProxyProtocol{TrustedNetworks: []string{"192.0.2.0/24"}}
)

// clients takes down the addresses from which logins come.
type clients struct {
	passwords
	mu   sync.Mutex
	seen []string
}

func (c *clients) begin(ctx context.Context, remote netip.Addr) Login {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, remote.String())
	return c.passwords.begin(ctx, remote)
}

func (c *clients) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[len(c.seen)-1]
}

// headerV2 makes a header of version 2.
func headerV2(t *testing.T, source string, change ...func(*proxyproto.Header)) string {
	t.Helper()
	from := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source))
	to := &net.TCPAddr{IP: net.ParseIP("2001:db8::110"), Port: 110}
	if from.IP.To4() != nil {
		to.IP = net.ParseIP("203.0.113.110")
	}
	header := proxyproto.HeaderProxyFromAddrs(2, from, to)
	for _, c := range change {
		c(header)
	}
	text, err := header.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rawV2 makes a header of version 2 of parts that need not fit.
func rawV2(command, family byte, length int, rest string) string {
	text := append([]byte(nil), proxyproto.SIGV2...)
	text = binary.BigEndian.AppendUint16(append(text, command, family), uint16(length))
	return string(text) + rest
}

func local(h *proxyproto.Header) { h.Command = proxyproto.LOCAL }

func bigTLVs(h *proxyproto.Header) {
	_ = h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, 3000)}})
}

// behind connects and sends a header before all else.
func (f *fixture) behind(security config.Security, header string) *client {
	f.t.Helper()
	c := f.dial(security)
	c.say(header)
	return c
}

// The address of the header is the client's for whoever asks, and it is the proxy's own where the header has none.
func TestProxyHeaders(t *testing.T) {
	const own = "127.0.0.1"
	for name, test := range map[string]struct{ header, want string }{
		"v1":                     {"PROXY TCP4 198.51.100.7 203.0.113.110 40000 110\r\n", "198.51.100.7"},
		"v1 IPv6":                {"PROXY TCP6 2001:db8::7 2001:db8::110 40000 110\r\n", "2001:db8::7"},
		"v1 IPv4 in IPv6":        {"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:203.0.113.110 40000 110\r\n", "198.51.100.7"},
		"v1 UNKNOWN":             {"PROXY UNKNOWN\r\n", own},
		"v1 UNKNOWN, an address": {"PROXY UNKNOWN 2001:db8::7 2001:db8::110 40000 110\r\n", own},
		"v2":                     {headerV2(t, "198.51.100.7:40000"), "198.51.100.7"},
		"v2 IPv6":                {headerV2(t, "[2001:db8::7]:40000"), "2001:db8::7"},
		"v2 LOCAL":               {rawV2(0x20, 0x00, 0, ""), own},
		"v2 LOCAL, an address":   {headerV2(t, "198.51.100.7:40000", local), own},
		"v2 TLVs":                {headerV2(t, "198.51.100.7:40000", bigTLVs), "198.51.100.7"},
		"v2 UNIX":                {rawV2(0x21, 0x31, 216, strings.Repeat("/", 216)), own},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			seen := &clients{passwords: passwords{alice: "secret"}}
			f.proxies, f.options.Login = loopback, seen.begin
			c := f.behind(config.StartTLS, test.header)
			c.expect("+OK ready")
			c.login()
			if got := seen.last(); got != test.want {
				t.Errorf("the login comes from %s, want %s", got, test.want)
			}
			c.script("C: QUIT\nS: +OK…")
			c.expectClosed()
			f.expectReason("quit")
			if log := f.log.String(); !strings.Contains(log, "remote="+test.want+" ") {
				t.Errorf("the log has another address:\n%s", log)
			}
		})
	}
}

// A header comes before TLS, whether the connection begins with that or not. What comes right behind it is not lost.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	f := newFixture(t)
	f.useTLS()
	f.proxies = loopback
	header := headerV2(t, "198.51.100.7:40000")
	c := f.behind(config.StartTLS, header+"CAPA\r\n")
	c.expect("+OK ready", "+OK", "TOP", "UIDL", "SASL PLAIN", "USER", "STLS", ".")
	c.script("C: STLS\nS: +OK Begin TLS negotiation.")
	c.startTLS(f)
	c.login()
	c = newClient(t, &prefixed{f.dial(config.ImplicitTLS).Conn, header})
	c.startTLS(f)
	c.expect("+OK ready")
	c.login()
	c.script("C: QUIT\nS: +OK…")
	c.expectClosed()
	eventually(t, "end of the session", func() bool { return f.Sessions() == 1 })
	if log := f.log.String(); !strings.Contains(log, "remote=198.51.100.7 ") {
		t.Error(log)
	}
}

// prefixed is a connection whose first octets are sent together with some before them.
type prefixed struct {
	net.Conn
	prefix string
}

func (p *prefixed) Write(b []byte) (int, error) {
	prefix := p.prefix
	p.prefix = ""
	n, err := p.Conn.Write(append([]byte(prefix), b...))
	return max(0, n-len(prefix)), err
}

// A connection from a proxy without a right header is dropped without a word, and counted.
func TestProxyHeaderRefused(t *testing.T) {
	for name, text := range map[string]string{
		"none":                  "USER alice@example.com\r\n",
		"none, a password":      "PASS secret\r\n",
		"another version":       rawV2(0x31, 0x11, 12, strings.Repeat("x", 12)),
		"v1, no address":        "PROXY TCP4\r\n",
		"v1, a bad address":     "PROXY TCP4 198.51.100.777 203.0.113.110 40000 110\r\n",
		"v1, a bad port":        "PROXY TCP4 198.51.100.7 203.0.113.110 70000 110\r\n",
		"v1, another family":    "PROXY TCP4 2001:db8::7 2001:db8::110 40000 110\r\n",
		"v1, no CR":             "PROXY UNKNOWN\n",
		"v1, no end":            "PROXY " + strings.Repeat("x", 200),
		"v2, too short":         rawV2(0x21, 0x11, 4, "abcd"),
		"v2, another family":    rawV2(0x21, 0x41, 12, strings.Repeat("x", 12)),
		"v2, PROXY for nobody":  rawV2(0x21, 0x00, 0, ""), // PROXY protocol §2.2: a receiver may accept or reject it
		"v2, 64 KiB":            rawV2(0x21, 0x11, 65535, strings.Repeat("x", 5000)),
		"v2, 64 KiB, LOCAL":     rawV2(0x20, 0x00, 65535, strings.Repeat("x", 5000)),
		"a client that did TLS": "\x16\x03\x01\x02\x00\x01\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.proxies = loopback
			c := f.behind(config.StartTLS, text)
			if reply, _ := io.ReadAll(c.in); len(reply) > 0 { // it may be reset
				t.Errorf("it is answered with %q", reply)
			}
			f.expectHeadersRefused(1)
			if log := f.log.String(); !strings.Contains(log, "level=DEBUG msg=\"no PROXY header\" remote=127.0.0.1 ") {
				t.Errorf("the log does not tell:\n%s", log)
			}
		})
	}
}

func (f *fixture) expectHeadersRefused(want float64) {
	f.t.Helper()
	eventually(f.t, "end of the connections", func() bool {
		f.limits.mu.Lock()
		defer f.limits.mu.Unlock()
		return f.limits.total == 0
	})
	if n := testutil.ToFloat64(f.metrics.headersRefused); n != want {
		f.t.Errorf("%v refused headers are counted, want %v", n, want)
	}
}

// Load balancers try whether they can connect: that is nothing to count.
func TestProbeOfAProxy(t *testing.T) {
	f := newFixture(t)
	f.proxies = loopback
	_ = f.dial(config.StartTLS).Close()
	eventually(t, "end of the connection", func() bool { return strings.Contains(f.log.String(), errProbe.Error()) })
	f.expectHeadersRefused(0)
}

// The header has a time of its own, and a proxy that lets it pass keeps nobody from being served.
func TestProxyHeaderInTime(t *testing.T) {
	f := newFixture(t)
	f.proxies, f.headerTime = loopback, time.Second
	silent := f.dial(config.StartTLS)
	slow := f.behind(config.StartTLS, "PROXY TC")
	slowV2 := f.behind(config.StartTLS, headerV2(t, "198.51.100.7:40000")[:20])
	c := f.behind(config.StartTLS, "PROXY TCP4 198.51.100.7 203.0.")
	time.Sleep(10 * time.Millisecond) // so that the parts come one by one; that they do not is no fault
	c.say("113.110 40000 110\r\n")    // PROXY protocol §2: in parts, but in time
	c.script("S: +OK ready\nC: QUIT\nS: +OK…")
	for _, late := range []*client{silent, slow, slowV2} {
		late.expectClosed()
	}
	c.expectClosed()
	f.expectHeadersRefused(3)
}

// addressed is a pipe's end that has an address.
type addressed struct {
	net.Conn
	remote net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }

func TestProxyHeaderTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		trusted, err := proxiesOf(loopback)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		start := time.Now()
		go f.serve(addressed{theirs, &net.TCPAddr{IP: net.IPv6loopback, Port: 1}}, entrance{config.StartTLS, trusted})
		time.Sleep(4 * time.Second)                 // of the bubble's clock
		newClient(t, ours).say("PROXY TCP4 198.51") // does not set the time anew
		_, _ = io.ReadAll(ours)
		f.expectElapsed(start, 5*time.Second)
		f.expectHeadersRefused(1)
	})
}

// From elsewhere no header is looked for: it is a bad command, and its address counts for nothing.
func TestHeaderOfAStranger(t *testing.T) {
	for name, proxies := range map[string]*config.ProxyProtocol{"no proxies": nil, "other proxies": elsewhere} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			seen := &clients{passwords: passwords{alice: "secret"}}
			f.proxies, f.options.Login = proxies, seen.begin
			c := f.behind(config.StartTLS, "PROXY TCP4 198.51.100.7 203.0.113.110 40000 110\r\n")
			c.script("S: +OK ready\nS: -ERR Command is not recognized.")
			c.login()
			if got := seen.last(); got != "127.0.0.1" {
				t.Errorf("the login comes from %s", got)
			}
			c = f.behind(config.StartTLS, headerV2(t, "198.51.100.7:40000"))
			c.expect("+OK ready", "-ERR Command is not recognized.") // an empty line begins it
		})
	}
}

// Clients behind one proxy have a limit each.
func TestLimitOfAnAddressBehindAProxy(t *testing.T) {
	f := newFixture(t)
	f.proxies = loopback
	f.set(func(s *Settings) { s.Limits.MaxConnectionsPerAddress = 1 })
	header := func(client string) string { return "PROXY TCP4 " + client + " 203.0.113.110 40000 110\r\n" }
	first := f.behind(config.StartTLS, header("198.51.100.7"))
	first.expect("+OK ready")
	c := f.behind(config.StartTLS, headerV2(t, "198.51.100.7:40001"))
	c.expect(tooMany)
	c.expectClosed()
	f.behind(config.StartTLS, header("198.51.100.8")).expect("+OK ready")
	first.script("C: QUIT\nS: +OK…")
	first.expectClosed()
	eventually(t, "end of the session", func() bool { return f.Sessions() == 1 })
	f.behind(config.StartTLS, header("198.51.100.7")).expect("+OK ready")
}

// The limit of the server counts a connection from its beginning on, so that proxies cannot be kept waiting without end.
func TestLimitOfTheServerBeforeAHeader(t *testing.T) {
	f := newFixture(t)
	f.proxies = loopback
	f.set(func(s *Settings) { s.Limits.MaxConnections = 1 })
	waiting := f.dial(config.StartTLS)
	eventually(t, "connection", func() bool {
		f.limits.mu.Lock()
		defer f.limits.mu.Unlock()
		return f.limits.total == 1
	})
	f.dial(config.StartTLS).expect(tooMany)
	waiting.say("PROXY UNKNOWN\r\n")
	waiting.expect("+OK ready")
}

// Who has sent no header yet does not hold up a server that shuts down.
func TestShutdownBeforeAHeader(t *testing.T) {
	f := newFixture(t)
	f.proxies = loopback
	c := f.behind(config.StartTLS, "PROXY")
	eventually(t, "connection", func() bool {
		f.limits.mu.Lock()
		defer f.limits.mu.Unlock()
		return f.limits.total == 1
	})
	if err := f.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	_, _ = io.ReadAll(c.in)
	eventually(t, "end of the connection", func() bool {
		f.limits.mu.Lock()
		defer f.limits.mu.Unlock()
		return f.limits.total == 0
	})
}

func TestTrust(t *testing.T) {
	for _, test := range []struct {
		network, address string
		want             bool
	}{
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"10.0.0.0/8", "11.1.2.3", false},
		{"::ffff:10.0.0.0/104", "10.1.2.3", true},
		{"::ffff:10.0.0.0/104", "11.1.2.3", false},
		{"10.1.2.3/8", "10.9.9.9", true}, // host bits say nothing
		{"fe80::/64", "fe80::1%eth0", true},
		{"2001:db8::/32", "2001:db8::1", true},
		{"::/0", "10.1.2.3", false},
		{"0.0.0.0/0", "10.1.2.3", true},
	} {
		trusted, err := proxiesOf(&config.ProxyProtocol{TrustedNetworks: []string{test.network}})
		if err != nil {
			t.Fatal(err)
		}
		address := addressOf(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(test.address), 1)))
		if got := trusted.trust(address); got != test.want {
			t.Errorf("%s trusts %s: %t, want %t", test.network, test.address, got, test.want)
		}
	}
	if _, err := proxiesOf(&config.ProxyProtocol{TrustedNetworks: []string{"10.0.0.0"}}); err == nil {
		t.Error("an address is taken for a network")
	}
	if (proxies{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}).trust(netip.Addr{}) {
		t.Error("an address that is not known is trusted")
	}
}

// A listener that asks for what cannot be is an error, not one that trusts nobody.
func TestServeWithBadNetworks(t *testing.T) {
	f := newFixture(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = f.Serve(t.Context(), listener, config.Listener{ProxyProtocol: &config.ProxyProtocol{TrustedNetworks: []string{"x"}}})
	if err == nil || !strings.Contains(err.Error(), "trusted network") {
		t.Errorf("Serve gives %v", err)
	}
}

// scattered is a connection that comes in parts.
type scattered struct {
	net.Conn
	text  []byte
	parts []byte // their lengths less one, in turn
	next  int
}

func (s *scattered) Read(p []byte) (int, error) {
	n := min(len(p), len(s.text))
	if n == 0 {
		return 0, io.EOF
	}
	if len(s.parts) > 0 {
		n = min(n, int(s.parts[s.next%len(s.parts)])+1)
		s.next++
	}
	copy(p, s.text[:n])
	s.text = s.text[n:]
	return n, nil
}

// However a header comes in parts, it is the same header, and what is behind it is all there.
func FuzzProxyHeader(f *testing.F) {
	v2 := rawV2(0x21, 0x11, 12, "\xc6\x33\x64\x07\xcb\x00\x71\x6e\x9c\x40\x00\x6e")
	for _, text := range []string{
		"PROXY TCP4 198.51.100.7 203.0.113.110 40000 110\r\nCAPA\r\n", "PROXY UNKNOWN\r\nQUIT\r\n", v2 + "CAPA\r\n", "PASS x\r\n",
		rawV2(0x20, 0, 0, "STLS\r\n"), "PROXY " + strings.Repeat("x", 120), "P", v2[:14],
	} {
		f.Add([]byte(text), []byte{0}, false)
		f.Add([]byte(text), []byte{9, 50}, true)
	}
	f.Fuzz(func(t *testing.T, text, parts []byte, behind bool) {
		if behind {
			text = append([]byte(v2), text...)
		}
		whole, header, err := readProxyHeader(&scattered{text: text})
		apart, again, errApart := readProxyHeader(&scattered{text: text, parts: parts})
		if (err == nil) != (errApart == nil) {
			t.Fatalf("%q gives %v, in parts %v", text, err, errApart)
		}
		if err != nil {
			if behind {
				t.Fatal(err)
			}
			return
		}
		rest, _ := io.ReadAll(whole)
		restApart, _ := io.ReadAll(apart)
		if !header.EqualTo(again) || string(rest) != string(restApart) || !strings.HasSuffix(string(text), string(rest)) {
			t.Fatalf("%q gives %v and %q, in parts %v and %q", text, header, rest, again, restApart)
		}
		if behind && len(rest) != len(text)-len(v2) {
			t.Fatalf("behind the header of %q is %q", text, rest)
		}
	})
}
