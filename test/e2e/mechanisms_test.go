//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// mechanismClient is a program that logs in by a mechanism, of those that Debian's builds know.
type mechanismClient struct {
	program, mechanism string
	// fetch runs it for the user of a mailbox, by the right password, ticket or token.
	fetch func(t *testing.T, u *mailUser, mechanism, secret string) (string, error)
}

// complaints are what programs tell of a failed login: curl and fetchmail show what the server said, mpop does not.
var complaints = map[string]string{
	"curl": logonFailure[len("-ERR "):], "fetchmail": logonFailure[len("-ERR "):], "mpop": "authentication failed",
}

// mechanismClients: fetchmail 6.4 knows nothing of OAuth, and neither it nor Debian's curl know SCRAM. mpop's
// mechanisms but for USER, OAUTHBEARER and XOAUTH2 are those of GNU SASL, a library that it depends on. fetchmail and
// GNU SASL have no NTLMv2, and the server takes nothing less: testOldNTLM.
var mechanismClients = []mechanismClient{
	{"curl", "PLAIN", curlBy}, {"curl", "NTLM", curlBy}, {"curl", "GSSAPI", curlBy},
	{"curl", "OAUTHBEARER", curlBy}, {"curl", "XOAUTH2", curlBy},
	{"mpop", "PLAIN", mpopBy}, {"mpop", "SCRAM-SHA-256", mpopBy}, {"mpop", "GSSAPI", mpopBy},
	{"mpop", "OAUTHBEARER", mpopBy}, {"mpop", "XOAUTH2", mpopBy}, {"fetchmail", "GSSAPI", fetchmailBy},
}

// testMechanismClients: each fetches a message with the right secret, and is refused with a wrong one.
func (a *authenticated) testMechanismClients(t *testing.T) {
	stranger := newRealm(t, "OTHER.EXAMPLE")
	newKeytab(t, stranger, a.host())
	other := &authenticated{service: a.service, realm: stranger, issuer: newIssuer(t, a.Namespace, "other-issuer")}
	t.Run("all", func(t *testing.T) { // ends when those in parallel have ended
		for _, c := range mechanismClients {
			t.Run(c.program+" "+c.mechanism, func(t *testing.T) {
				t.Parallel()
				a.checkMechanismClient(t, other, c)
			})
		}
		t.Run("python3-gssapi", func(t *testing.T) { t.Parallel(); a.testPython(t, other) })
		t.Run("go-ntlmssp", func(t *testing.T) { t.Parallel(); a.testAzure(t) })
		t.Run("NTLMv1", func(t *testing.T) { t.Parallel(); a.testOldNTLM(t) })
		t.Run("tokens", func(t *testing.T) { t.Parallel(); a.testTokens(t, other) })
	})
}

// checkMechanismClient: wrong is a wrong password, a ticket of a realm that the servers have no key of, or the token of an
// issuer that they do not know.
func (a *authenticated) checkMechanismClient(t *testing.T, other *authenticated, c mechanismClient) {
	t.Helper()
	m := a.newMailbox(t, c.program+"-"+strings.ToLower(c.mechanism))
	a.send(t, m, "first")
	u := newUser(t, a.service, m, pop3s)
	u.trust(t, a.authority)
	said, err := c.fetch(t, u, c.mechanism, a.secretFor(t, u, c.mechanism))
	if mail := u.takeMail(t); err != nil || len(mail) != 1 || !strings.Contains(mail[0], "\nSubject: first\n") {
		t.Errorf("fetched %q, %v; it said\n%s", mail, err, said)
	}
	said, err = c.fetch(t, u, c.mechanism, other.secretFor(t, u, c.mechanism))
	if mail := u.takeMail(t); err == nil || len(mail) != 0 || !strings.Contains(said, complaints[c.program]) {
		t.Errorf("by a wrong secret fetched %q, %v; it said\n%s", mail, err, said)
	}
}

// secretFor gives the user what a mechanism takes: the password or a token, or a ticket, which is a file. That is wrong for
// another PopService than the user's.
func (a *authenticated) secretFor(t *testing.T, u *mailUser, mechanism string) string {
	t.Helper()
	switch {
	case mechanism == "GSSAPI":
		u.kinit(t, a.realm, u.mailbox.Name, enroll(t, a.realm, u.mailbox.Name))
		return ""
	case strings.Contains(mechanism, "OAUTH"):
		return a.issuer.token(t, u.mailbox.address(), audience)
	case a.realm.Name == realmName:
		return u.mailbox.password
	}
	return newPassword()
}

// curlrc makes curl's settings.
func (u *mailUser) curlrc(t *testing.T, secret string) {
	t.Helper()
	u.write(t, ".curlrc", fmt.Sprintf("ssl-reqd\ncacert = %q\nuser = %q\n", filepath.Join(u.home, "ca.pem"),
		u.mailbox.address()+":"+secret))
}

func curlBy(t *testing.T, u *mailUser, mechanism, secret string) (string, error) {
	t.Helper()
	u.curlrc(t, secret)
	if strings.Contains(mechanism, "OAUTH") {
		u.write(t, ".curlrc", fmt.Sprintf("ssl-reqd\ncacert = %q\nuser = %q\noauth2-bearer = %q\n",
			filepath.Join(u.home, "ca.pem"), u.mailbox.address(), secret))
	}
	return u.run(t, "", u.inRealm("curl", "--silent", "--show-error", "--verbose", "--output", "Maildir/new/first",
		"--login-options", "AUTH="+mechanism, u.url("1"))...)
}

// mpopBy takes the settings of docs/clients.md, and changes the mechanism in them. mpop's password may be a token.
func mpopBy(t *testing.T, u *mailUser, mechanism, secret string) (string, error) {
	t.Helper()
	settings := strings.Replace(u.settings(t, mpopClient.heading, 0), "auth plain", "auth "+strings.ToLower(mechanism), 1)
	u.write(t, mpopClient.file, strings.Replace(settings, u.mailbox.password, secret, 1))
	return u.run(t, "", u.inRealm("mpop")...)
}

// fetchmailBy takes the settings of docs/clients.md too. --auth is what the client is to try, and nothing else.
func fetchmailBy(t *testing.T, u *mailUser, mechanism, secret string) (string, error) {
	t.Helper()
	u.write(t, fetchmailClient.file, strings.Replace(u.settings(t, fetchmailClient.heading, 0), u.mailbox.password, secret, 1))
	return u.run(t, "", u.inRealm("fetchmail", "--verbose", "--auth", strings.ToLower(mechanism))...)
}

// testPython has MIT Kerberos log in with all that it can do in such a login.
func (a *authenticated) testPython(t *testing.T, other *authenticated) {
	m := a.newMailbox(t, "python")
	u := newUser(t, a.service, m, pop3s)
	u.trust(t, a.authority)
	u.kinit(t, a.realm, m.Name, enroll(t, a.realm, m.Name))
	for options, want := range map[string]string{
		"":                          "+OK",
		"mutual=no":                 "+OK",
		"seal=yes":                  "+OK",
		"authzid=" + m.address():    "+OK",
		"authzid=nobody":            logonFailure,
		"binding=own":               "+OK",
		"binding=own mutual=no":     "+OK",
		"binding=" + "00112233":     logonFailure,
		"authzid=other@example.com": logonFailure,
	} {
		if said := u.gssapi(t, strings.Fields(options)...); !strings.HasPrefix(said, want) {
			t.Errorf("python3-gssapi, %s: %q, want %q", options, said, want)
		}
	}
	u.kinit(t, other.realm, m.Name, enroll(t, other.realm, m.Name))
	if said := u.gssapi(t); said != logonFailure {
		t.Errorf("with a ticket of another realm: %q", said)
	}
}

// testAzure names the user in all ways that Windows does.
func (a *authenticated) testAzure(t *testing.T) {
	m := a.newMailbox(t, "azure")
	for _, test := range []struct{ domain, name, password, want string }{
		{"EXAMPLE", m.Name, m.password, ""},
		{"", m.address(), m.password, ""},
		{"", strings.ToUpper(m.Name), m.password, ""},
		{"EXAMPLE", m.Name, newPassword(), logonFailure},
		{"EXAMPLE", "nobody", m.password, logonFailure},
	} {
		err := a.tryMechanism(a.address(995), "NTLM", ntlmClient(test.domain, test.name, test.password))
		mustSay(t, fmt.Sprintf("NTLM as %s of %q", test.name, test.domain), err, test.want)
	}
}

// testOldNTLM: fetchmail and mpop answer by NTLMv1, which anybody can break who has heard it. It is refused, though the
// password is right.
func (a *authenticated) testOldNTLM(t *testing.T) {
	m := a.newMailbox(t, "old-ntlm")
	u := newUser(t, a.service, m, pop3s)
	u.trust(t, a.authority)
	for _, c := range []mechanismClient{{"fetchmail", "NTLM", fetchmailBy}, {"mpop", "NTLM", mpopBy}} {
		if said, err := c.fetch(t, u, c.mechanism, m.password); err == nil || !strings.Contains(said, complaints[c.program]) {
			t.Errorf("%s by NTLM: %v; it said\n%s", c.program, err, said)
		}
	}
}

// testTokens: a token is good for its user alone, and only where it is meant for this service.
func (a *authenticated) testTokens(t *testing.T, other *authenticated) {
	m := a.newMailbox(t, "tokens")
	for what, test := range map[string]struct{ token, want string }{
		"right":               {a.issuer.token(t, m.address(), audience), ""},
		"of another user":     {a.issuer.token(t, "other@example.com", audience), logonFailure},
		"for another service": {a.issuer.token(t, m.address(), "imap"), logonFailure},
		"of another issuer":   {other.issuer.token(t, m.address(), audience), logonFailure},
		"of another domain":   {a.issuer.token(t, "tokens@example.org", audience), logonFailure},
	} {
		for mechanism, client := range map[string]func(*session) saslClient{
			"OAUTHBEARER": bearerClient(m.address(), test.token), "XOAUTH2": xoauth2Client(m.address(), test.token),
		} {
			mustSay(t, mechanism+" with a token "+what, a.tryMechanism(a.address(995), mechanism, client), test.want)
		}
	}
}
