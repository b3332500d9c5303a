package conformance

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
)

// [MS-STANXPOP3] E0001: each port can be chosen, and is no longer taken once another one is.
func TestE0001_PortsCanBeChosen(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "another port", func(c *config.Config) {
		c.Listeners = append(c.Listeners, config.Listener{Name: "clear", Address: "127.0.0.1:0", Security: config.Plaintext})
	})
	for name, connect := range map[string]func() *client{
		"pop3":  func() *client { return dial(t, s.pop3) },
		"pop3s": func() *client { return dialTLS(t, s.pop3s) },
		"clear": func() *client { return dial(t, s.own.ports["pop3/clear"]) },
	} {
		if greeting := connect().status(); !strings.HasPrefix(greeting, "+OK") {
			t.Errorf("%s greets with %q", name, greeting)
		}
	}
	chosen := freeAddress(t)
	s.own.restart(func(c *config.Config) { c.Listeners = c.Listeners[:1]; c.Listeners[0].Address = chosen })
	dial(t, chosen).status()
	for _, address := range []string{s.pop3, s.pop3s} {
		if listens(address) {
			t.Errorf("%s is still taken", address)
		}
	}
}

// freeAddress gives an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close())
	return listener.Addr().String()
}

// [MS-STANXPOP3] E0001: 110 and 995 by default. That is the Service's; the server by itself has no default.
func TestE0001_PortsByDefault(t *testing.T) {
	t.Parallel()
	want := []any{
		map[string]any{"name": "pop3", "port": float64(110), "security": "StartTLS"},
		map[string]any{"name": "pop3s", "port": float64(995), "security": "ImplicitTLS"},
	}
	if got := defaultOf(t, "listeners"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("listeners by default: %v", got)
	}
}

// defaultOf gives the default of a field of the kind PopService.
func defaultOf(t *testing.T, path ...string) any {
	t.Helper()
	text, err := os.ReadFile("../../config/crd/popservice.io_popservices.yaml")
	must(t, err)
	var crd any
	must(t, yaml.Unmarshal(text, &crd))
	at := func(key string) { crd = crd.(map[string]any)[key] }
	at("spec")
	at("versions")
	crd = crd.([]any)[0]
	at("schema")
	at("openAPIV3Schema")
	for _, field := range append([]string{"spec"}, path...) {
		at("properties")
		at(field)
	}
	at("default")
	return crd
}

// [MS-STANXPOP3] E0002: USER and PASS.
func TestE0002_UserAndPass(t *testing.T) {
	t.Parallel()
	s := served(t)
	c := s.secure()
	if !slices.Contains(c.capa(), "USER") {
		c.errorf("CAPA does not have USER")
	}
	c.ok("USER " + s.user)
	c.ok("PASS " + s.password)
	c.ok("STAT")
}

// plain gives the message of PLAIN (RFC 4616) in base64.
func plain(authorize, user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(authorize + "\x00" + user + "\x00" + password))
}

// [MS-STANXPOP3] E0002: PLAIN, with an initial response and with a challenge (RFC 5034 §4).
func TestE0002_Plain(t *testing.T) {
	t.Parallel()
	s := served(t)
	c := s.secure()
	if !slices.Contains(saslOf(c.capa()), "PLAIN") {
		c.errorf("CAPA does not have SASL PLAIN")
	}
	c.ok("AUTH PLAIN " + plain("", s.user, s.password))
	c.ok("STAT")
	c = s.secure()
	c.challenged("auth plain")
	c.ok(plain("", s.user, s.password))
	c.ok("STAT")
}

// challenged sends a command to which the answer is an empty challenge, with the space that RFC 5034 §4 wants.
func (c *client) challenged(command string) {
	c.t.Helper()
	c.send(command + "\r\n")
	if line := c.line(); line != "+ " {
		c.fatalf("%q is no empty challenge", line)
	}
}

// [MS-STANXPOP3] E0002: a client may give up, and try again. To give up is no failed login: otherwise the connection would be
// closed after a few times (C0005).
func TestE0002_AnExchangeCanBeGivenUp(t *testing.T) {
	t.Parallel()
	s := served(t)
	c := s.secure()
	for range 5 {
		c.challenged("AUTH PLAIN")
		c.refused("*")
		c.refused("AUTH PLAIN no-base64!")
	}
	c.challenged("AUTH PLAIN")
	c.refused("STAT") // a response, no command
	c.ok("AUTH PLAIN " + plain("", s.user, s.password))
}

// saslOf gives the mechanisms that CAPA names.
func saslOf(capa []string) []string {
	for _, line := range capa {
		if names, ok := strings.CutPrefix(line, "SASL "); ok {
			return strings.Fields(names)
		}
	}
	return nil
}

// [MS-STANXPOP3] E0002: CAPA names those mechanisms that there are, NTLM and GSSAPI if they are among them, and no other one.
func TestE0002_CapaNamesTheMechanismsThatThereAre(t *testing.T) {
	t.Parallel()
	c := served(t).secure()
	named := saslOf(c.capa())
	for _, mechanism := range []string{
		"NTLM", "GSSAPI", "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
		"OAUTHBEARER", "XOAUTH2", "EXTERNAL", "ANONYMOUS",
	} {
		c.send("AUTH " + mechanism + "\r\n")
		line := c.line()
		there := strings.HasPrefix(line, "+ ")
		if there {
			c.refused("*")
		}
		if there != slices.Contains(named, mechanism) {
			c.errorf("CAPA names %q, AUTH %s gives %q", named, mechanism, line)
		}
	}
}

// [MS-STANXPOP3] E0002: which ones there are is a setting, and both AUTH without an argument and CAPA follow it.
func TestE0002_MechanismsCanBeChosen(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the mechanisms", func(c *config.Config) {
		c.Authentication.Mechanisms = []config.Mechanism{config.MechanismPlain}
	})
	c := s.secure()
	c.refused("USER " + alice)
	if capa, list := c.capa(), c.lines("AUTH"); slices.Contains(capa, "USER") || !slices.Equal(list, saslOf(capa)) {
		c.errorf("CAPA has %q, AUTH %q", capa, list)
	}
	c.ok("AUTH PLAIN " + plain("", alice, password))
	c = s.own.restart(func(c *config.Config) {
		c.Authentication.Mechanisms = []config.Mechanism{config.MechanismUser}
	}).secure()
	c.refused("AUTH PLAIN " + plain("", alice, password))
	if capa := c.capa(); saslOf(capa) != nil || !slices.Contains(capa, "USER") {
		c.errorf("CAPA has %q", capa)
	}
}

const small = "small@example.com"

// [MS-STANXPOP3] E0003: a mailbox at its quota takes no more mail; others do, and it does again when there is room.
func TestE0003_QuotaOfAMailbox(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "a quota", usual, directory.Record{Address: small, Quota: directory.Quota{ProhibitReceive: 800}})
	c := lmtp(t, s.lmtp)
	c.want("250", c.deliver(small, hello))
	c.want("250", c.deliver(small, hello)) // which reaches it
	c.want("552 5.2.2", c.deliver(small, hello))
	c.want("250", c.deliver(alice, hello))
	session := s.own.mailbox(small).login()
	if n, _ := session.numbers("STAT"); n != 2 {
		session.errorf("%d messages are there", n)
	}
	session.ok("DELE 1")
	session.quit()
	c.want("250", c.deliver(small, hello))
}

// [MS-STANXPOP3] E0003: a quota that is changed counts at once.
func TestE0003_QuotaCanBeChanged(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "a quota", usual, directory.Record{Address: small, Quota: directory.Quota{ProhibitReceive: 500}})
	c := lmtp(t, s.lmtp)
	c.want("250", c.deliver(small, hello))
	c.want("552 5.2.2", c.deliver(small, hello))
	s.own.declare(directory.Record{Address: small}) // without any
	eventually(t, "room", func() bool { return strings.HasPrefix(c.deliver(small, hello), "250") })
}

// [MS-STANXPOP3] E0004: who comes near the quota finds a message about it in the maildrop, once.
func TestE0004_WarningOfTheQuota(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "a quota", func(c *config.Config) {
		c.Maildrop.QuotaWarning = config.QuotaWarning{Subject: "nearly full", Text: "Dear {address}, make room."}
	}, directory.Record{Address: small, Quota: directory.Quota{IssueWarning: 600, ProhibitReceive: 5000}})
	c := lmtp(t, s.lmtp)
	for range 4 {
		c.want("250", c.deliver(small, hello))
	}
	session := s.own.mailbox(small).login()
	warnings := 0
	for _, line := range session.lines("UIDL") {
		number, _, _ := strings.Cut(line, " ")
		text := session.message("RETR " + number)
		if strings.Contains(text, "\r\nSubject: nearly full\r\n") && strings.Contains(text, "Dear "+small+", make room.") {
			warnings++
		}
	}
	if warnings != 1 {
		session.errorf("%d warnings", warnings)
	}
}

// [MS-STANXPOP3] E0005: mail is removed for its age, unread and read by different ages. An open session keeps its numbers.
func TestE0005_RetentionByAge(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the retention", usual)
	s.deliver(hello, hello)
	c := s.login()
	c.message("RETR 1")
	c.message("TOP 2 0") // which is no reading
	c.quit()
	open := s.login()
	s.own.configure(func(c *config.Config) { c.Maildrop.Retention.ReadMaxAgeSeconds = 1 })
	eventually(t, "removal of what was read", func() bool {
		return slices.Equal(s.listed(), []string{"1 2"})
	})
	open.refused("RETR 1")
	open.message("RETR 2")
}

// [MS-STANXPOP3] E0005: the age of what nobody has read.
func TestE0005_RetentionOfUnreadMail(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the retention", usual)
	s.deliver(hello, hello)
	c := s.login()
	c.message("RETR 1")
	c.quit()
	s.own.configure(func(c *config.Config) { c.Maildrop.Retention.UnreadMaxAgeSeconds = 1 })
	eventually(t, "removal of what nobody has read", func() bool {
		return slices.Equal(s.listed(), []string{"1 1"})
	})
}

// listed gives UIDL in a session of its own.
func (s *server) listed() []string {
	s.t.Helper()
	c := s.login()
	lines := c.lines("UIDL")
	c.quit()
	return lines
}

// longest sets the longest command.
func longest(octets int) func(*config.Config) {
	return func(c *config.Config) { c.Limits.MaxCommandOctets = octets }
}

// [MS-STANXPOP3] E0006: 512 octets with CRLF by default; 40 to 1024 may be set. What is longer ends the connection.
func TestE0006_LongestCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		set    func(*config.Config)
		octets int
	}{
		"by default": {usual, 512}, "least": {longest(40), 40}, "2007": {longest(47), 47}, "most": {longest(1024), 1024},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serverWith(t, "the longest command", test.set)
			for _, c := range []*client{s.secure(), s.login()} {
				c.say(commandOf(test.octets))
				c.ok("QUIT")
			}
			for _, c := range []*client{s.secure(), s.login()} {
				c.refused(commandOf(test.octets + 1))
				c.closed()
			}
		})
	}
}

// commandOf gives a command that has so many octets with its CRLF.
func commandOf(octets int) string {
	return "USER " + strings.Repeat("x", octets-len("USER \r\n"))
}

// [MS-STANXPOP3] E0006: nothing else may be set.
func TestE0006_RangeOfTheLongestCommand(t *testing.T) {
	t.Parallel()
	_ = serverWith(t, "the longest command", longest(40))
	for octets, want := range map[int]bool{39: false, 40: true, 1024: true, 1025: false} {
		if check(t, longest(octets)) != want {
			t.Errorf("%d octets are taken: %v", octets, !want)
		}
	}
	if got := defaultOf(t, "limits", "maxCommandOctets"); got != float64(512) {
		t.Errorf("%v by default", got)
	}
}

// [MS-STANXPOP3] E0007; RFC 2449 §4: with CAPA come commands of 255 octets, in both states.
func TestE0007_CommandsOf255Octets(t *testing.T) {
	t.Parallel()
	s := served(t)
	c := s.secure()
	c.capa()
	c.ok(commandOf(255))
	c = s.login()
	c.capa()
	c.say("NOOP" + strings.Repeat(" ", 255-len("NOOP\r\n")))
	c.ok("STAT")
}

// [MS-STANXPOP3] E0007: Exchange's setting goes below what RFC 2449 asks for, and so does this one.
func TestE0007_LessThan255OctetsMayBeSet(t *testing.T) {
	t.Parallel()
	c := serverWith(t, "the longest command", longest(100)).secure()
	c.capa()
	c.ok(commandOf(100))
	c.refused(commandOf(101))
	c.closed()
}
