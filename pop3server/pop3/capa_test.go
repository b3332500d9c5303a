package pop3

import (
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
)

// connection is a way to be connected, and Exchange's capabilities on it.
type connection struct {
	name      string
	loginType config.LoginType
	connect   func(*fixture) *client
	before    string // login
	after     string // empty where nobody can log in
}

func (f *fixture) connectPlaintext() *client {
	c := f.dial(config.Plaintext)
	c.expect("+OK ready")
	return c
}

func (f *fixture) connectSTLS() *client {
	c := f.connect()
	c.script("C: STLS\nS: +OK Begin TLS negotiation.")
	c.startTLS(f)
	return c
}

func (f *fixture) connectTLS() *client {
	c := f.dial(config.ImplicitTLS)
	c.startTLS(f)
	c.expect("+OK ready")
	return c
}

var connections = []connection{
	{"in the clear", config.PlainTextLogin, (*fixture).connect, "TOP UIDL SASL PLAIN USER STLS", "TOP UIDL SASL PLAIN USER"},
	{"in the clear, SecureLogin", config.SecureLogin, (*fixture).connect, "TOP UIDL STLS", ""},
	{"without TLS", config.PlainTextLogin, (*fixture).connectPlaintext, "TOP UIDL SASL PLAIN USER", "TOP UIDL SASL PLAIN USER"},
	{"after STLS", config.SecureLogin, (*fixture).connectSTLS, "TOP UIDL SASL PLAIN USER", "TOP UIDL SASL PLAIN USER"},
	{"TLS from the start", config.SecureLogin, (*fixture).connectTLS, "TOP UIDL SASL PLAIN USER", "TOP UIDL SASL PLAIN USER"},
}

// extensionSets are settings, and what CAPA tells for them behind Exchange's capabilities.
var extensionSets = []struct {
	capabilities  []config.Capability
	before, after string // login
}{
	{nil, "", ""},
	{[]config.Capability{config.CapabilityRespCodes}, " RESP-CODES", " RESP-CODES"},
	{[]config.Capability{config.CapabilityAuthRespCode, config.CapabilityRespCodes},
		" RESP-CODES AUTH-RESP-CODE", " RESP-CODES AUTH-RESP-CODE"},
	{[]config.Capability{config.CapabilityPipelining}, " PIPELINING", " PIPELINING"},
	{[]config.Capability{config.CapabilityExpire}, " EXPIRE 7", " EXPIRE 7"},
	{[]config.Capability{config.CapabilityLoginDelay}, " LOGIN-DELAY 1", " LOGIN-DELAY 1"},
	{[]config.Capability{config.CapabilityImplementation}, "", " IMPLEMENTATION PopService-pop3d-1.2.3"},
	{[]config.Capability{config.CapabilityUTF8}, " UTF8 USER", " UTF8 USER"},
	{[]config.Capability{config.CapabilityLang}, " LANG", " LANG"},
	{config.Capabilities(),
		" RESP-CODES AUTH-RESP-CODE PIPELINING EXPIRE 7 LOGIN-DELAY 1 UTF8 USER LANG",
		" RESP-CODES AUTH-RESP-CODE PIPELINING EXPIRE 7 LOGIN-DELAY 1 IMPLEMENTATION PopService-pop3d-1.2.3 UTF8 USER LANG"},
}

// RFC 2449 §5, §6: CAPA for each connection and state, and for each of the capabilities that the settings may add.
func TestCapabilities(t *testing.T) {
	for _, way := range connections {
		f := newFixture(t)
		f.useTLS()
		f.set(func(s *Settings) {
			s.Authentication.LoginType = way.loginType
			s.Limits.LoginDelaySeconds = 1
			s.Retention = config.Retention{UnreadMaxAgeSeconds: 60 * secondsADay, ReadMaxAgeSeconds: 7 * secondsADay}
		})
		for _, set := range extensionSets {
			t.Run(way.name+set.after, func(t *testing.T) {
				f.extend(set.capabilities...)
				f.logins.forget(recordOf(alice).ID)
				c := way.connect(f)
				c.t = t
				c.expectCapabilities(way.before + set.before)
				if way.after == "" {
					return
				}
				c.login()
				c.expectCapabilities(way.after + set.after)
			})
		}
	}
}

func (c *client) expectCapabilities(want string) {
	c.t.Helper()
	if got := c.capabilities(); got != "+OK "+want+" ." {
		c.t.Errorf("CAPA gives %q, want %q", got, want)
	}
}

// RFC 2449 §6.7 EXPIRE: whole days of the shorter age, as the store goes by it now, on older connections too.
func TestExpire(t *testing.T) {
	f := newFixture(t)
	f.extend(config.CapabilityExpire)
	c := f.connect()
	for _, test := range []struct {
		retention config.Retention
		want      string
	}{
		{config.Retention{}, "EXPIRE NEVER"},
		{config.Retention{DeletedItemRetentionSeconds: secondsADay}, "EXPIRE NEVER"},
		{config.Retention{UnreadMaxAgeSeconds: 60 * secondsADay}, "EXPIRE 60"},
		{config.Retention{ReadMaxAgeSeconds: 7 * secondsADay}, "EXPIRE 7"},
		{config.Retention{UnreadMaxAgeSeconds: 60 * secondsADay, ReadMaxAgeSeconds: 7*secondsADay - 1}, "EXPIRE 6"},
		{config.Retention{UnreadMaxAgeSeconds: 2 * secondsADay, ReadMaxAgeSeconds: 7 * secondsADay}, "EXPIRE 2"},
		{config.Retention{ReadMaxAgeSeconds: secondsADay - 1}, "EXPIRE 0"},
	} {
		f.set(func(s *Settings) { s.Retention = test.retention })
		if got := c.capabilities(); !strings.HasSuffix(got, " USER "+test.want+" .") {
			t.Errorf("%+v gives %q, want %s", test.retention, got, test.want)
		}
	}
}

// The settings of a configuration come to the server.
func TestSettingsOf(t *testing.T) {
	c := config.Config{ExtendedCapabilities: config.Capabilities(), SortOrder: config.Descending}
	c.Maildrop.Retention.ReadMaxAgeSeconds, c.Limits.LoginDelaySeconds = 7, 8
	s := SettingsOf(&c)
	if len(s.Capabilities) != 8 || s.Retention.ReadMaxAgeSeconds != 7 || s.Limits.LoginDelaySeconds != 8 ||
		s.SortOrder != config.Descending {
		t.Errorf("%+v", s)
	}
	if len(capabilities) != len(s.Capabilities) {
		t.Error("CAPA does not know all capabilities")
	}
}
