package pop3

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/keytab"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/sasl/gssapi"
)

// newKeytab has a key of the service.
func newKeytab(t *testing.T) *gssapi.Keytab {
	t.Helper()
	const aes256 = 18
	file := keytab.New()
	if err := file.AddEntry("pop/pop.example.com", "EXAMPLE.COM", "secret", time.Now(), 1, aes256); err != nil {
		t.Fatal(err)
	}
	text, err := file.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := gssapi.LoadKeytab(text)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// TestMatrix is what may be used where: by login type, TLS and extended protection, with all mechanisms enabled and a client
// without a certificate (Exchange's authentication options; [MS-STANXPOP3] E0002, V0010).
func TestMatrix(t *testing.T) {
	const (
		nothing   = ""
		proofs    = "SCRAM-SHA-256 NTLM GSSAPI" // show no password
		all       = "USER PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS NTLM GSSAPI OAUTHBEARER XOAUTH2"
		allBound  = "USER PLAIN SCRAM-SHA-256-PLUS NTLM GSSAPI OAUTHBEARER XOAUTH2"
		passwords = "USER PLAIN"
	)
	for _, row := range []struct {
		loginType  config.LoginType
		protection config.ExtendedProtection
		clear, tls string
	}{
		{config.PlainTextLogin, config.ProtectionNone, passwords + " " + proofs, all},
		{config.PlainTextLogin, config.ProtectionAllow, passwords + " " + proofs, all},
		{config.PlainTextLogin, config.ProtectionRequire, passwords, allBound},
		{config.PlainTextAuthentication, config.ProtectionNone, proofs, all},
		{config.PlainTextAuthentication, config.ProtectionAllow, proofs, all},
		{config.PlainTextAuthentication, config.ProtectionRequire, nothing, allBound},
		{config.SecureLogin, config.ProtectionNone, nothing, all},
		{config.SecureLogin, config.ProtectionAllow, nothing, all},
		{config.SecureLogin, config.ProtectionRequire, nothing, allBound},
	} {
		t.Run(string(row.loginType)+", "+string(row.protection), func(t *testing.T) {
			f := newFixture(t)
			f.useTLS()
			f.keytab = newKeytab(t)
			f.set(func(s *Settings) {
				s.Authentication.Mechanisms = config.Mechanisms()
				s.Authentication.LoginType, s.Authentication.ExtendedProtection = row.loginType, row.protection
				s.Limits.MaxBadCommands = 100
			})
			for connect, want := range map[string]string{"clear": row.clear, "plaintext": row.clear, "STLS": row.tls, "TLS": row.tls} {
				c := map[string]func(*fixture) *client{"clear": (*fixture).connect, "plaintext": (*fixture).connectPlaintext,
					"STLS": (*fixture).connectSTLS, "TLS": (*fixture).connectTLS}[connect]
				c(f).expectMechanisms(connect, strings.Fields(want))
			}
		})
	}
}

// expectMechanisms looks at CAPA, at AUTH without an argument, and at what happens to each mechanism.
func (c *client) expectMechanisms(connection string, want []string) {
	c.t.Helper()
	var told []string
	for _, line := range c.list("CAPA") {
		if names, ok := strings.CutPrefix(line, "SASL "); ok {
			told = append(told, strings.Fields(names)...)
		} else if line == "USER" {
			told = append([]string{"USER"}, told...)
		}
	}
	if !slices.Equal(told, want) {
		c.t.Errorf("%s: CAPA tells %q, want %q", connection, told, want)
	}
	withSASL := slices.DeleteFunc(slices.Clone(want), func(name string) bool { return name == "USER" })
	if len(withSASL) > 0 {
		if listed := c.list("AUTH"); !slices.Equal(listed, withSASL) {
			c.t.Errorf("%s: AUTH lists %q, want %q", connection, listed, withSASL)
		}
	}
	for _, name := range config.Mechanisms() {
		if began := c.begins(name); began != slices.Contains(want, string(name)) {
			c.t.Errorf("%s: %s begins: %v", connection, name, began)
		}
	}
}

// list sends a command and gives the lines of its multi-line reply.
func (c *client) list(command string) (lines []string) {
	c.t.Helper()
	if reply := c.ask(command); !strings.HasPrefix(reply, "+OK") {
		c.t.Fatalf("%s: %q", command, reply)
	}
	for {
		line := c.line()
		if line == "." {
			return lines
		}
		lines = append(lines, line)
	}
}

// begins tells whether a way to log in is taken, and gives it up again.
func (c *client) begins(name config.Mechanism) bool {
	c.t.Helper()
	if name == config.MechanismUser {
		return strings.HasPrefix(c.ask("USER alice@example.com"), "+OK")
	}
	if !strings.HasPrefix(c.ask("AUTH "+string(name)), "+ ") {
		return false
	}
	if reply := c.ask("*"); !strings.HasPrefix(reply, "-ERR") {
		c.t.Errorf("%s: a client that cancels is told %q", name, reply)
	}
	return true
}

// ask sends a command and gives the status line of its reply.
func (c *client) ask(command string) string {
	c.t.Helper()
	c.say(command + "\r\n")
	return c.line()
}
