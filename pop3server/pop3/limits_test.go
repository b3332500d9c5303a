package pop3

import (
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/config"
)

const tooMany = "-ERR Too many connections. Try again later."

func TestConnectionsOfTheServerAndOfAnAddress(t *testing.T) {
	for name, set := range map[string]func(*config.Limits){
		"server":  func(l *config.Limits) { l.MaxConnections = 2 },
		"address": func(l *config.Limits) { l.MaxConnectionsPerAddress = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.set(func(s *Settings) { set(&s.Limits) })
			first := f.connect()
			f.connect()
			c := f.dial(config.StartTLS)
			c.expect(tooMany)
			c.expectClosed()
			f.dial(config.ImplicitTLS).expectClosed() // nothing can be said there
			if n := testutil.ToFloat64(f.metrics.refused); n != 2 {
				t.Errorf("%v refused connections are counted, want 2", n)
			}
			first.script("C: QUIT\nS: +OK…")
			first.expectClosed()
			eventually(t, "end of the session", func() bool { return f.Sessions() == 1 })
			f.connect()
		})
	}
}

// The limits of the moment hold for new connections; those that are there stay.
func TestLimitsAreLive(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxConnections = 1 })
	first := f.connect()
	c := f.dial(config.StartTLS)
	c.expect(tooMany)
	f.set(func(s *Settings) { s.Limits.MaxConnections = 2 })
	f.connect()
	f.set(func(s *Settings) { s.Limits.MaxConnections = 1 })
	first.login()
}

func TestConnectionsOfAMailbox(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxConnectionsPerMailbox = 1 })
	first := f.login()
	c := f.connect()
	const refused = "-ERR Too many connections to this mailbox. Try again later."
	c.script("C: USER alice@example.com\nS: +OK\nC: PASS secret\nS: " + refused)
	c.expectClosed()
	f.connect().script("C: AUTH PLAIN " + plainOf(alice, "secret") + "\nS: " + refused)
	f.connect().script("C: AUTH PLAIN " + plainOf(bob, " two  words ") + "\nS: +OK…") // another mailbox
	first.script("C: QUIT\nS: +OK…")
	first.expectClosed()
	eventually(t, "end of the session", func() bool { return f.opened() == 0 })
	f.login()
}

// An IPv4 address is a client; of IPv6, its /64 is.
func TestClientOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64",
	} {
		if got := clientOf(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("clientOf(%s) = %s, want %s", address, got, want)
		}
	}
	if clientOf(netip.Addr{}).IsValid() {
		t.Error("an address that is not known stands for a client")
	}
}
