package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/go-ntlmssp"
	"github.com/go-jose/go-jose/v4"
	"github.com/xdg-go/scram"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
	"github.com/popservice/popservice/pop3server/sasl/binding"
	"github.com/popservice/popservice/pop3server/tlstest"
)

// credentialOf has a password in all forms.
func credentialOf(t *testing.T, name, password string) directory.Credential {
	t.Helper()
	nt, err := verifier.DeriveAs(verifier.NT, []byte(password))
	must(t, err)
	return directory.Credential{Name: name, Verifier: verifier.Derive([]byte(password)),
		SCRAM: verifier.DeriveSCRAM([]byte(password)), NT: nt}
}

// beside adds an application password, as the operator makes it.
func beside(t *testing.T, first directory.Credential, name, password string) directory.Credential {
	t.Helper()
	c := credentialOf(t, name, password)
	c.Verifier = verifier.DeriveBeside(first.Verifier, []byte(password))
	c.SCRAM = verifier.DeriveSCRAMBeside(first.SCRAM, []byte(password))
	return c
}

// newMechanisms starts a server with all mechanisms but GSSAPI. Alice has two passwords and is Bob's delegate.
func newMechanisms(t *testing.T, change func(*program)) *program {
	t.Helper()
	p := newProgram(t)
	p.config.Authentication = config.Authentication{
		Mechanisms: []config.Mechanism{config.MechanismUser, config.MechanismPlain, config.MechanismSCRAM,
			config.MechanismSCRAMPlus, config.MechanismNTLM, config.MechanismExternal},
		Domains:      []config.Domain{{Name: "example.com", NetBIOSName: "EXAMPLE"}},
		ClientCAFile: p.tlsFiles.path + "/clients.crt",
	}
	main := credentialOf(t, "main", "secret-of-alice")
	alice := recordOf("alice@example.com", main, beside(t, main, "phone", "secret-of-phone"))
	bob := recordOf("bob@example.com", credentialOf(t, "main", "secret-of-bob"))
	bob.Delegates = []string{alice.Address}
	p.writeRecords(alice, bob)
	files := pairs(map[string]tlstest.Pair{"default": p.ca.Issue(t, "", "pop.example.com")})
	files["clients.crt"] = string(p.ca.PEM)
	if change != nil {
		change(p)
	}
	p.tlsFiles.write(files)
	p.writeConfig()
	p.start()
	if reply := p.deliver(bob.Address, "Subject: for Bob\r\n\r\n"); reply != "250" {
		t.Fatal(reply)
	}
	return p
}

func recordOf(address string, credentials ...directory.Credential) directory.Record {
	return directory.Record{ID: directory.MailboxID(address), Address: address, Owner: "mail/" + address,
		State: directory.Enabled, Credentials: credentials}
}

// writeRecords declares mailboxes.
func (p *program) writeRecords(records ...directory.Record) {
	p.t.Helper()
	buckets := make(map[int][]directory.Record)
	for _, r := range records {
		buckets[directory.Bucket(r.ID)] = append(buckets[directory.Bucket(r.ID)], r)
	}
	files := make(map[string]string)
	for number, records := range buckets {
		header := directory.Header{Version: directory.Version, Bucket: directory.BucketName(number), Revision: time.Now().UnixMilli()}
		text, err := directory.Encode(header, records)
		must(p.t, err)
		files[directory.BucketFile(number)] = string(text)
	}
	p.mailboxes.write(files)
}

// authenticate holds an exchange, in which answer gives the client's messages, and gives the last reply.
func (c *popClient) authenticate(mechanism string, answer func(challenge []byte) ([]byte, error)) string {
	c.t.Helper()
	_, err := fmt.Fprintf(c, "AUTH %s\r\n", mechanism)
	must(c.t, err)
	for {
		line := c.line()
		text, ok := strings.CutPrefix(line, "+ ")
		if !ok {
			return line
		}
		challenge, err := base64.StdEncoding.DecodeString(text)
		must(c.t, err)
		response, err := answer(challenge)
		if err != nil {
			_, _ = fmt.Fprintf(c, "*\r\n")
			continue
		}
		_, err = fmt.Fprintf(c, "%s\r\n", base64.StdEncoding.EncodeToString(response))
		must(c.t, err)
	}
}

// expectLogin checks the last reply of an exchange, and whose mailbox is open: Bob's has one message, Alice's none.
func (c *popClient) expectLogin(what, reply, mailbox string) {
	c.t.Helper()
	if mailbox == "" {
		if !strings.HasPrefix(reply, "-ERR Logon failure: unknown user name or bad password.") {
			c.t.Errorf("%s: %q, want a failed login", what, reply)
		}
		return
	}
	if reply != "+OK User successfully authenticated." {
		c.t.Errorf("%s: %q, want success", what, reply)
		return
	}
	c.do("STAT", map[string]string{"alice": "+OK 0 ", "bob": "+OK 1 "}[mailbox])
}

// scramClient is xdg-go's client.
func scramClient(t *testing.T, name, password, authzid string, cb *scram.ChannelBinding) func([]byte) ([]byte, error) {
	t.Helper()
	client, err := scram.SHA256.NewClient(name, password, authzid)
	must(t, err)
	conversation := client.NewConversation()
	if cb != nil {
		conversation = client.NewConversationWithChannelBinding(*cb)
	}
	return func(challenge []byte) ([]byte, error) {
		if conversation.Valid() { // the server's proof was right: RFC 5034 §4 wants an empty response
			return nil, nil
		}
		text, err := conversation.Step(string(challenge))
		return []byte(text), err
	}
}

func TestSCRAM(t *testing.T) {
	t.Parallel()
	p := newMechanisms(t, func(p *program) { p.config.Limits.LockoutSeconds = 1 }) // or else many failures take longer and longer
	for _, test := range []struct{ name, password, authzid, mailbox string }{
		{"alice@example.com", "secret-of-alice", "", "alice"},
		{"ALICE", "secret-of-phone", "", "alice"},
		{"alice", "secret-of-alice", "bob", "bob"},
		{"alice@example.com/bob", "secret-of-phone", "", "bob"},
		{"alice@example.com/bob", "secret-of-alice", "bob", ""}, // named twice
		{"bob", "secret-of-bob", "alice", ""},
		{"alice", "secret-of-bob", "", ""},
		{"nobody", "secret-of-alice", "", ""},
	} {
		clear := p.pops()
		reply := clear.authenticate("SCRAM-SHA-256", scramClient(t, test.name, test.password, test.authzid, nil))
		clear.expectLogin(fmt.Sprintf("SCRAM-SHA-256 %+v", test), reply, test.mailbox)
		for kind, cb := range p.bindings(clear) {
			c := p.pops()
			if kind == "tls-exporter" {
				cb = p.bindings(c)[kind]
			}
			reply := c.authenticate("SCRAM-SHA-256-PLUS", scramClient(t, test.name, test.password, test.authzid, &cb))
			c.expectLogin(fmt.Sprintf("SCRAM-SHA-256-PLUS with %s %+v", kind, test), reply, test.mailbox)
		}
	}
	c := p.pops()
	wrong := p.bindings(p.pops())["tls-exporter"]
	reply := c.authenticate("SCRAM-SHA-256-PLUS", scramClient(t, "alice", "secret-of-alice", "", &wrong))
	c.expectLogin("another connection's binding", reply, "")
}

// bindings are the channel bindings of a connection, as its client computes them.
func (p *program) bindings(c *popClient) map[string]scram.ChannelBinding {
	p.t.Helper()
	state := c.Conn.(*tls.Conn).ConnectionState()
	exported, err := binding.Exporter(&state)
	must(p.t, err)
	hash, err := binding.EndPoint(state.PeerCertificates[0])
	must(p.t, err)
	return map[string]scram.ChannelBinding{
		"tls-exporter":         {Type: scram.ChannelBindingTLSExporter, Data: exported},
		"tls-server-end-point": {Type: scram.ChannelBindingTLSServerEndpoint, Data: hash},
	}
}

// ntlmClient is Azure's client.
func ntlmClient(domain, name, password string) func([]byte) ([]byte, error) {
	return func(challenge []byte) ([]byte, error) {
		if len(challenge) == 0 {
			return ntlmssp.NewNegotiateMessage(domain, "")
		}
		return ntlmssp.NewAuthenticateMessage(challenge, name, password, &ntlmssp.AuthenticateMessageOptions{WorkstationName: "PC"})
	}
}

func TestNTLM(t *testing.T) {
	t.Parallel()
	p := newMechanisms(t, nil)
	for _, test := range []struct{ name, password, mailbox string }{
		{"alice", "secret-of-alice", "alice"}, {"Alice", "secret-of-phone", "alice"},
		{"alice@example.com", "secret-of-alice", "alice"},
		{"alice", "secret-of-bob", ""}, {"nobody", "secret-of-alice", ""}, {"alice@example.com/bob", "secret-of-alice", "bob"},
		{"bob@example.com/alice", "secret-of-bob", ""},
	} {
		c := p.pops()
		reply := c.authenticate("NTLM", ntlmClient("EXAMPLE", test.name, test.password))
		c.expectLogin(fmt.Sprintf("%+v", test), reply, test.mailbox)
	}
}

// Azure's client sends neither a MIC nor a channel binding. Settings may ask for either.
func TestNTLMProtection(t *testing.T) {
	t.Parallel()
	p := newMechanisms(t, nil)
	auth := p.config.Authentication
	for i, test := range []struct {
		name    string
		set     func(*config.Authentication)
		mailbox string
	}{
		{"usual", func(*config.Authentication) {}, "alice"},
		{"MIC", func(a *config.Authentication) { a.NTLM.RequireMIC = true }, ""},
		{"binding allowed", func(a *config.Authentication) { a.ExtendedProtection = config.ProtectionAllow }, "alice"},
		{"binding", func(a *config.Authentication) { a.ExtendedProtection = config.ProtectionRequire }, ""},
		{"usual again", func(*config.Authentication) {}, "alice"},
	} {
		p.config.Revision, p.config.Authentication = fmt.Sprint(i+2), auth
		test.set(&p.config.Authentication)
		p.writeConfig()
		p.expectRevision(p.config.Revision, "")
		c := p.pops()
		c.expectLogin(test.name, c.authenticate("NTLM", ntlmClient("EXAMPLE", "alice", "secret-of-alice")), test.mailbox)
	}
}

// TestExternal logs in with the certificate that a client has shown in the handshake.
func TestExternal(t *testing.T) {
	t.Parallel()
	p := newMechanisms(t, nil)
	for _, test := range []struct{ address, authzid, mailbox string }{
		{"alice@example.com", "", "alice"}, {"alice@example.com", "bob", "bob"}, {"bob@example.com", "alice", ""},
		{"nobody@example.com", "", ""},
	} {
		c := p.popsAs(test.address)
		reply := c.authenticate("EXTERNAL", func([]byte) ([]byte, error) { return []byte(test.authzid), nil })
		c.expectLogin(fmt.Sprintf("%+v", test), reply, test.mailbox)
	}
	if reply := p.pops().do("AUTH EXTERNAL", "-ERR"); strings.Contains(reply, "Logon") {
		t.Errorf("without a certificate: %q", reply)
	}
}

// popsAs is pops with a client's certificate.
func (p *program) popsAs(address string) *popClient {
	p.t.Helper()
	config := p.tlsConfig("pop.example.com")
	config.Certificates = []tls.Certificate{p.ca.IssueMail(p.t, address).TLS(p.t)}
	conn, err := tls.Dial("tcp", p.ports["pop3/pop3s"], config)
	must(p.t, err)
	c := newPopClient(p.t, conn)
	c.expect("+OK")
	return c
}

// A certificate counts for what it is at the login, not for what it was in the handshake.
func TestExternalOfAnOpenConnection(t *testing.T) {
	t.Parallel()
	for name, withdraw := range map[string]func(*program){
		"another authority": func(p *program) {
			files := pairs(map[string]tlstest.Pair{"default": p.ca.Issue(p.t, "", "pop.example.com")})
			files["clients.crt"] = string(tlstest.NewCA(p.t).PEM)
			p.tlsFiles.write(files)
		},
		"mechanism taken out": func(p *program) {
			all := p.config.Authentication.Mechanisms
			p.config.Authentication.Mechanisms = slices.DeleteFunc(slices.Clone(all), func(m config.Mechanism) bool {
				return m == config.MechanismExternal
			})
			p.config.Revision = "2"
			p.writeConfig()
			p.expectRevision("2", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newMechanisms(t, nil)
			usual, tried := p.popsAs("alice@example.com"), p.popsAs("alice@example.com")
			reply := usual.authenticate("EXTERNAL", once("", ""))
			usual.expectLogin("before", reply, "alice")
			if offered := fmt.Sprint(tried.list("CAPA")); !strings.Contains(offered, " EXTERNAL") {
				t.Fatalf("CAPA gives %s", offered)
			}
			withdraw(p)
			p.eventually("CAPA without EXTERNAL", func() bool {
				return !strings.Contains(fmt.Sprint(tried.list("CAPA")), " EXTERNAL")
			})
			tried.do("AUTH EXTERNAL =", "-ERR Protocol error. 14") // as XYZZY
			tried.do("AUTH XYZZY =", "-ERR Protocol error. 14")
			usual.do("STAT", "+OK 0 ") // who is logged in stays
		})
	}
}

// issuer is an OAuth issuer with keys that change.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	mu     sync.Mutex
	key    jose.JSONWebKey
}

func newIssuer(t *testing.T, pair tls.Certificate) *issuer {
	t.Helper()
	i := &issuer{t: t}
	i.rotate("first")
	i.server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	i.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	i.server.StartTLS()
	t.Cleanup(i.server.Close)
	return i
}

// rotate replaces the key.
func (i *issuer) rotate(id string) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(i.t, err)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.ES256), Use: "sig"}
}

// serve is OpenID Connect Discovery, and the keys.
func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var answer any = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}}
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		answer = map[string]any{"issuer": i.server.URL, "jwks_uri": i.server.URL + "/keys"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// token is one for a mailbox.
func (i *issuer) token(email, audience string) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, nil)
	must(i.t, err)
	claims, err := json.Marshal(map[string]any{"iss": i.server.URL, "aud": audience, "sub": "42", "email": email,
		"email_verified": true, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	must(i.t, err)
	signed, err := signer.Sign(claims)
	must(i.t, err)
	text, err := signed.CompactSerialize()
	must(i.t, err)
	return text
}

// bearer and xoauth2 are clients; the second challenge tells them of their failure.
func bearer(token, authzid string) func([]byte) ([]byte, error) {
	if authzid != "" {
		authzid = "a=" + authzid
	}
	return once("n,"+authzid+",\x01host=pop.example.com\x01port=995\x01auth=Bearer "+token+"\x01\x01", "\x01")
}

func xoauth2(token, user string) func([]byte) ([]byte, error) {
	return once("user="+user+"\x01auth=Bearer "+token+"\x01\x01", "")
}

func once(first, after string) func([]byte) ([]byte, error) {
	return func(challenge []byte) ([]byte, error) {
		if len(challenge) == 0 {
			return []byte(first), nil
		}
		return []byte(after), nil
	}
}

// newOAuth starts a server that takes an issuer's tokens.
func newOAuth(t *testing.T) (*program, *issuer) {
	t.Helper()
	var i *issuer
	p := newMechanisms(t, func(p *program) {
		i = newIssuer(t, p.ca.Issue(t, "", "127.0.0.1").TLS(t))
		p.config.Limits.LockoutSeconds = 1
		p.config.Authentication.Mechanisms = []config.Mechanism{config.MechanismOAuthBearer, config.MechanismXOAuth2}
		p.config.Authentication.OAuth.Issuers = []config.Issuer{{URL: i.server.URL, Audiences: []string{"pop"},
			Domains: []string{"example.com"}, CAFile: p.tlsFiles.path + "/clients.crt"}}
	})
	return p, i
}

func TestOAuth(t *testing.T) {
	t.Parallel()
	p, i := newOAuth(t)
	for _, test := range []struct{ email, audience, authzid, mailbox string }{
		{"alice@example.com", "pop", "alice@example.com", "alice"},
		{"alice@example.com", "pop", "bob@example.com", "bob"},
		{"bob@example.com", "pop", "alice@example.com", ""},
		{"alice@example.com", "imap", "alice@example.com", ""},
		{"alice@example.org", "pop", "alice@example.com", ""},
	} {
		token := i.token(test.email, test.audience)
		c := p.pops()
		c.expectLogin(fmt.Sprintf("OAUTHBEARER %+v", test), c.authenticate("OAUTHBEARER", bearer(token, test.authzid)), test.mailbox)
		c = p.pops()
		c.expectLogin(fmt.Sprintf("XOAUTH2 %+v", test), c.authenticate("XOAUTH2", xoauth2(token, test.authzid)), test.mailbox)
	}
	old := i.token("alice@example.com", "pop")
	i.rotate("second")
	c := p.pops()
	c.expectLogin("a token of a key that the server knows", c.authenticate("OAUTHBEARER", bearer(old, "")), "alice")
	p.eventually("a login with the new key", func() bool {
		return strings.HasPrefix(p.pops().authenticate("OAUTHBEARER", bearer(i.token("alice@example.com", "pop"), "")), "+OK")
	})
	c = p.pops()
	c.expectLogin("a token of a key that is withdrawn", c.authenticate("OAUTHBEARER", bearer(old, "")), "")
}

// An issuer that is down is no wrong password: the client may try again.
func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	p, i := newOAuth(t)
	i.server.Close()
	c := p.pops()
	if reply := c.authenticate("OAUTHBEARER", bearer(i.token("alice@example.com", "pop"), "")); !strings.HasPrefix(reply,
		"-ERR Login cannot be checked now.") {
		t.Errorf("reply %q, log %s", reply, p.log)
	}
}
