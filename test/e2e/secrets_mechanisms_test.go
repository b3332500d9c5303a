//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

// TestNoMechanismTellsSecrets logs in by every mechanism, rightly and wrongly, while the protocol is logged, and has the server
// crash in the midst of logins. The search follows when the namespace is given up.
func TestNoMechanismTellsSecrets(t *testing.T) {
	t.Parallel()
	a := newAuthenticated(t, "auth-secrets", func(spec *v1alpha1.PopServiceSpec) { spec.ProtocolLog.Enabled = true })
	m := a.newMailbox(t, "alice")
	server := a.pod(t)
	a.useAllMechanisms(t, m, m.password, "+OK")
	a.useAllMechanisms(t, m, newPassword(), "-ERR")
	a.useTickets(t, m)
	a.checkProtocolIsLogged(t, server)
	a.crashAmidLogins(t, m, server)
}

// useAllMechanisms logs in by all mechanisms that take a password or a token.
func (a *authenticated) useAllMechanisms(t *testing.T, m *mailbox, password, want string) {
	t.Helper()
	user := m.address()
	if want != "+OK" {
		user = "other@example.com"
	}
	token := a.issuer.token(t, user, audience)
	for mechanism, client := range map[string]func(*session) saslClient{
		"PLAIN":              plainClient("", m.address(), password),
		"SCRAM-SHA-256":      scramClient("", m.address(), password),
		"SCRAM-SHA-256-PLUS": scramPlusClient("", m.address(), password),
		"NTLM":               ntlmClient("EXAMPLE", m.Name, password),
		"OAUTHBEARER":        bearerClient(m.address(), token),
		"XOAUTH2":            xoauth2Client(m.address(), token),
	} {
		p := a.dial(t, quickly)
		line, err := p.authenticate(mechanism, client(p))
		if err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("%s: %q, %v; want %s", mechanism, line, err, want)
		}
	}
	if err := a.login(m.address(), password); (err == nil) != (want == "+OK") {
		t.Errorf("USER: %v, want %s", err, want)
	}
	a.sayTooMuch(t, m, password, token)
}

// sayTooMuch puts secrets where they do not belong, as clients do that are set wrongly.
func (a *authenticated) sayTooMuch(t *testing.T, m *mailbox, password, token string) {
	t.Helper()
	p := a.dial(t, quickly)
	for _, command := range []string{
		"PASS " + password, "AUTH XOAUTH2 =" + password, "AUTH PLAIN " + password, "APOP " + m.address() + " " + password,
		"AUTH OAUTHBEARER " + token[:100],
	} {
		if line, err := p.ask("%s", command); err == nil {
			t.Errorf("the server takes %q: %q", command, line)
		}
	}
}

// useTickets logs in by a ticket and by a certificate, and notes what it has of them.
func (a *authenticated) useTickets(t *testing.T, m *mailbox) {
	t.Helper()
	u := newUser(t, a.service, m, pop3s)
	u.trust(t, a.authority)
	u.kinit(t, a.realm, m.Name, enroll(t, a.realm, m.Name))
	for options, want := range map[string]string{"": "+OK", "authzid=other": logonFailure, "binding=22": logonFailure} {
		if said := u.gssapi(t, strings.Fields(options)...); !strings.HasPrefix(said, want) {
			t.Errorf("GSSAPI, %s: %q, want %q", options, said, want)
		}
	}
	for _, part := range u.ticketParts(t) {
		for _, form := range formsOf(part) {
			noteSecret(form)
		}
	}
	if err := a.tryExternal(t, m); err != nil {
		t.Errorf("EXTERNAL: %v", err)
	}
}

// checkProtocolIsLogged: a search of logs that have nothing of all that would find nothing. All mechanisms must be there.
func (a *authenticated) checkProtocolIsLogged(t *testing.T, server corev1.Pod) {
	t.Helper()
	for _, mechanism := range allMechanisms[1:] {
		a.awaitLogged(t, server, fmt.Sprintf("AUTH %s", mechanism), func(l logLine) bool {
			return l.Log == "protocol" && strings.HasPrefix(l.Command, "AUTH "+string(mechanism))
		})
	}
}

// crashAmidLogins has Go's runtime write all stacks down, while clients are in the midst of logins.
func (a *authenticated) crashAmidLogins(t *testing.T, m *mailbox, server corev1.Pod) {
	t.Helper()
	user := a.dial(t, quickly)
	user.must(t, "USER %s", m.address())
	half := a.dial(t, quickly)
	if err := half.PrintfLine("AUTH SCRAM-SHA-256"); err != nil {
		t.Fatal(err)
	}
	if line, err := half.ReadLine(); err != nil || !strings.HasPrefix(line, "+ ") {
		t.Fatalf("%q, %v", line, err)
	}
	if err := user.PrintfLine("PASS %s", m.password); err != nil {
		t.Fatal(err)
	}
	if err := signalProcess(server, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	await(t, settling, "the crash of the server", func() (bool, string) {
		said, err := try(t, "", "kubectl", "--namespace", a.Namespace, "logs", server.Name, "--previous")
		return err == nil && strings.Contains(said, "goroutine ") && strings.Contains(said, "SIGQUIT"), fmt.Sprint(err)
	})
	awaitReady(t, a.PopService)
	a.awaitReachable(t)
}
