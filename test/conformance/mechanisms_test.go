package conformance

import (
	"crypto/tls"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-ntlmssp"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/xdg-go/scram"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

const bob = "bob@example.com"

// allOfExchange are the mechanisms that Exchange has, and SCRAM. Bob's password is there in the form of each.
func allOfExchange(t *testing.T) *server {
	t.Helper()
	nt, err := verifier.DeriveAs(verifier.NT, []byte(password))
	must(t, err)
	both := verifier.DeriveSCRAM([]byte(password))
	file := writeKeytab(t)
	return serverWith(t, "the mechanisms and a keytab", func(c *config.Config) {
		c.Authentication.Mechanisms = []config.Mechanism{config.MechanismUser, config.MechanismPlain, config.MechanismNTLM,
			config.MechanismGSSAPI, config.MechanismSCRAM, config.MechanismSCRAMPlus}
		c.Authentication.Domains = []config.Domain{{Name: "example.com", NetBIOSName: "EXAMPLE"}}
		c.Authentication.Kerberos.KeytabFile = file
	}, directory.Record{Address: bob, Credentials: []directory.Credential{
		{Name: "default", Verifier: both, SCRAM: both, NT: nt}},
	}).own.mailbox(bob)
}

// writeKeytab makes a key of the service pop/pop.example.com.
func writeKeytab(t *testing.T) (path string) {
	t.Helper()
	const aes256 = 18
	file := keytab.New()
	must(t, file.AddEntry("pop/pop.example.com", "EXAMPLE.COM", "secret of the service", time.Now(), 1, aes256))
	data, err := file.Marshal()
	must(t, err)
	path = filepath.Join(t.TempDir(), "keytab")
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

// authenticate holds an exchange, in which answer gives the client's messages, and gives the reply at its end.
func (c *client) authenticate(mechanism string, answer func(challenge []byte) ([]byte, error)) string {
	c.t.Helper()
	c.send("AUTH " + mechanism + "\r\n")
	for {
		line := c.line()
		text, ok := strings.CutPrefix(line, "+ ")
		if !ok {
			return line
		}
		challenge, err := base64.StdEncoding.DecodeString(text)
		must(c.t, err)
		response, err := answer(challenge)
		must(c.t, err)
		c.send(base64.StdEncoding.EncodeToString(response) + "\r\n")
	}
}

// checkLogin checks the reply at the end of an exchange, and that the mailbox is open just then.
func (c *client) checkLogin(what, reply string, right bool) {
	c.t.Helper()
	if strings.HasPrefix(reply, "+OK") != right {
		c.errorf("%s: %q", what, reply)
	}
	if right {
		c.ok("STAT")
	} else {
		c.refused("STAT")
	}
}

// [MS-STANXPOP3] E0002: NTLM ([MS-OXPOP3]), by a client that is not ours.
func TestE0002_NTLM(t *testing.T) {
	t.Parallel()
	s := allOfExchange(t)
	for _, test := range []struct {
		name, password string
		right          bool
	}{{`EXAMPLE\bob`, password, true}, {bob, password, true}, {`EXAMPLE\bob`, "wrong", false}, {nobody, password, false}} {
		c := s.secure()
		reply := c.authenticate("NTLM", func(challenge []byte) ([]byte, error) {
			if len(challenge) == 0 {
				return ntlmssp.NewNegotiateMessage("", "")
			}
			return ntlmssp.NewAuthenticateMessage(challenge, test.name, test.password, nil)
		})
		c.checkLogin("NTLM of "+test.name, reply, test.right)
	}
}

// [MS-STANXPOP3] E0002: GSSAPI is offered where there is a keytab, and what is no ticket opens nothing. Tickets of a real KDC
// are tried in test/kerberos.
func TestE0002_GSSAPI(t *testing.T) {
	t.Parallel()
	s := allOfExchange(t)
	c := s.secure()
	if mechanisms := saslOf(c.capa()); !slices.Contains(mechanisms, "GSSAPI") {
		c.errorf("CAPA has %q", mechanisms)
	}
	c.challenged("AUTH GSSAPI")
	c.refused("*")
	c.challenged("AUTH GSSAPI")
	c.checkLogin("no ticket", c.say(base64.StdEncoding.EncodeToString([]byte("no ticket"))), false)
}

// [MS-STANXPOP3] E0002: SCRAM-SHA-256 (RFC 7677), and bound to the connection (RFC 9266), by a client that is not ours.
// Exchange has none of it.
func TestE0002_SCRAM(t *testing.T) {
	t.Parallel()
	s := allOfExchange(t)
	other := exporterOf(s.secure())
	for _, test := range []struct {
		mechanism, name, password string
		binding                   func(*client) []byte
		right                     bool
	}{
		{"SCRAM-SHA-256", bob, password, nil, true},
		{"SCRAM-SHA-256", bob, "wrong", nil, false},
		{"SCRAM-SHA-256", nobody, password, nil, false},
		{"SCRAM-SHA-256-PLUS", bob, password, exporterOf, true},
		{"SCRAM-SHA-256-PLUS", bob, password, func(*client) []byte { return other }, false},
	} {
		c := s.secure()
		user, err := scram.SHA256.NewClient(test.name, test.password, "")
		must(t, err)
		conversation := user.NewConversation()
		if test.binding != nil {
			conversation = user.NewConversationWithChannelBinding(scram.ChannelBinding{
				Type: scram.ChannelBindingTLSExporter, Data: test.binding(c)})
		}
		reply := c.authenticate(test.mechanism, func(challenge []byte) ([]byte, error) {
			if conversation.Valid() { // the server's proof was right: an empty response ends the exchange (RFC 5034 §4)
				return nil, nil
			}
			text, err := conversation.Step(string(challenge))
			return []byte(text), err
		})
		c.checkLogin(test.mechanism+" of "+test.name, reply, test.right)
	}
}

// exporterOf is the binding tls-exporter of a connection (RFC 9266 §2).
func exporterOf(c *client) []byte {
	c.t.Helper()
	const octets = 32
	state := c.conn.(*tls.Conn).ConnectionState()
	material, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, octets)
	must(c.t, err)
	return material
}

// [MS-STANXPOP3] E0002: all of Exchange's mechanisms are offered at the same time, as EnableGSSAPIAndNTLMAuth has it.
func TestE0002_AllOfExchange(t *testing.T) {
	t.Parallel()
	capa := allOfExchange(t).secure().capa()
	for _, mechanism := range []string{"NTLM", "GSSAPI", "PLAIN"} {
		if !slices.Contains(saslOf(capa), mechanism) {
			t.Errorf("CAPA has %q", capa)
		}
	}
	if !slices.Contains(capa, "USER") {
		t.Errorf("CAPA has %q", capa)
	}
}

// [MS-STANXPOP3] C0010: whose mailbox is not open to the user is not told apart from whoever does not exist.
func TestC0010_AMailboxOfSomebodyElse(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "delegates", usual, directory.Record{Address: bob, Delegates: []string{alice}},
		directory.Record{Address: small})
	c := s.secure()
	c.ok("AUTH PLAIN " + plain(bob, alice, password))
	c = s.secure()
	c.ok("USER " + alice + "/bob")
	c.ok("PASS " + password)
	refused, unknown := s.secure(), s.secure()
	if a, b := refused.refused("AUTH PLAIN "+plain(small, alice, password)),
		unknown.refused("AUTH PLAIN "+plain(nobody, alice, password)); a != b {
		t.Errorf("%q and %q", a, b)
	}
	c = s.secure()
	c.refused("AUTH PLAIN " + plain(alice, bob, password)) // a delegate's own mailbox stays its own
}
