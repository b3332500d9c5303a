//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
	"github.com/popservice/popservice/test/kerberos/realm"
)

// allMechanisms are all that there are.
var allMechanisms = []v1alpha1.Mechanism{
	v1alpha1.MechanismUser, v1alpha1.MechanismPlain, v1alpha1.MechanismSCRAM, v1alpha1.MechanismSCRAMPlus,
	v1alpha1.MechanismNTLM, v1alpha1.MechanismGSSAPI, v1alpha1.MechanismOAuthBearer, v1alpha1.MechanismXOAuth2,
	v1alpha1.MechanismExternal,
}

const clientCASecret = "clients-ca"

// authenticated is a PopService with all mechanisms, and the authorities that vouch for its users.
type authenticated struct {
	*service
	realm   *realm.Realm
	issuer  *issuer
	clients *authority
}

// newAuthenticated makes one. Users of the realm and of the issuer are those of example.com.
func newAuthenticated(t *testing.T, name string, edit func(*v1alpha1.PopServiceSpec)) *authenticated {
	t.Helper()
	pop := newPopService(newNamespace(t, name))
	a := &authenticated{realm: newRealm(t, realmName), clients: newAuthority(t),
		issuer: newIssuer(t, pop.Namespace, "issuer-ca")}
	host := (&service{PopService: pop}).host()
	create(t, secretWithKeytab(pop.Namespace, newKeytab(t, a.realm, host)))
	create(t, authoritySecret(pop.Namespace, clientCASecret, a.clients))
	pop.Spec.Authentication = v1alpha1.Authentication{
		Mechanisms:         allMechanisms,
		ExtendedProtection: v1alpha1.ProtectionAllow,
		Domains:            []v1alpha1.Domain{{Name: "example.com", NetBIOSName: "EXAMPLE", Realm: realmName}},
		Kerberos:           &v1alpha1.Kerberos{KeytabSecretRef: v1alpha1.KeytabKeyReference{Name: keytabSecret}},
		OAuth:              &v1alpha1.OAuth{Issuers: []v1alpha1.Issuer{a.issuer.spec()}},
		ClientCASecretRef:  &v1alpha1.LocalSecretReference{Name: clientCASecret},
	}
	// mpop sends a token on the line of AUTH OAUTHBEARER, though RFC 5034 §4 has a long one sent on a line of its own.
	pop.Spec.Limits.MaxCommandOctets = 1024
	if edit != nil {
		edit(&pop.Spec)
	}
	a.service = startService(t, pop)
	awaitReady(t, pop)
	a.awaitReachable(t)
	return a
}

// TestAuthentication has real clients log in by all mechanisms, to one PopService, each to a mailbox of its own. Then the
// service's settings become stricter, in flight.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	a := newAuthenticated(t, "auth", nil)
	before := a.pod(t)
	weak := awaitCondition(t, a.PopService, v1alpha1.ConditionStrongAuthentication, metav1.ConditionFalse, "WeakMechanisms")
	checkHelpful(t, weak, "NTLM", "extendedProtection")
	t.Run("clients", a.testMechanismClients)
	t.Run("delegates", a.testDelegates)
	t.Run("principals", a.testPrincipals)
	t.Run("bindings are required", a.testBindingsRequired)
	t.Run("NTLM is taken away", a.testNTLMIsTakenAway)
	a.checkNotRestarted(t, before)
}

// testDelegates: with every mechanism that can name a mailbox, a delegate opens that of the boss, and nobody else does.
func (a *authenticated) testDelegates(t *testing.T) {
	boss, delegate, stranger := a.createMailbox(t, "boss"), a.createMailbox(t, "delegate"), a.createMailbox(t, "stranger")
	change(t, boss.Mailbox, func(m *v1alpha1.Mailbox) { m.Spec.Delegates = []v1alpha1.Address{delegate.Spec.Address} })
	for _, m := range []*mailbox{boss, delegate, stranger} {
		awaitReady(t, m.Mailbox)
	}
	a.send(t, boss, "for the boss")
	for _, m := range []*mailbox{delegate, stranger} {
		for name, open := range a.waysTo(t, m, boss.address()) {
			t.Run(m.Name+" "+name, func(t *testing.T) {
				t.Parallel() // refusals come late
				subject, err := open(t)
				switch {
				case m == delegate && (err != nil || subject != "for the boss"):
					t.Errorf("the delegate opens %q, %v", subject, err)
				case m == stranger && (err == nil || err.Error() != logonFailure):
					t.Errorf("somebody who is no delegate opens %q, and is told %v", subject, err)
				}
			})
		}
	}
}

// waysTo are logins of a user that ask for a mailbox. Each gives the subject of the first message there.
func (a *authenticated) waysTo(t *testing.T, m *mailbox, wanted string) map[string]func(*testing.T) (string, error) {
	t.Helper()
	token := a.issuer.token(t, m.address(), audience)
	ways := map[string]func(*testing.T) (string, error){
		"USER": func(t *testing.T) (string, error) { return a.openByUser(t, m.address()+"/boss", m.password) },
		"NTLM": a.firstSubject("NTLM", ntlmClient("", m.address()+"/boss", m.password)),
		"EXTERNAL": func(t *testing.T) (string, error) {
			return a.subjectOf(a.dialAs(t, m.address()), "EXTERNAL", externalClient(wanted))
		},
	}
	for mechanism, client := range map[string]func(*session) saslClient{
		"PLAIN":              plainClient(wanted, m.address(), m.password),
		"SCRAM-SHA-256":      scramClient(wanted, m.address(), m.password),
		"SCRAM-SHA-256-PLUS": scramPlusClient(wanted, m.address(), m.password),
		"OAUTHBEARER":        bearerClient(wanted, token),
		"XOAUTH2":            xoauth2Client(wanted, token),
	} {
		ways[mechanism] = a.firstSubject(mechanism, client)
	}
	u := newUser(t, a.service, m, pop3s)
	u.trust(t, a.authority)
	u.kinit(t, a.realm, m.Name, enroll(t, a.realm, m.Name))
	ways["GSSAPI"] = func(t *testing.T) (string, error) {
		if said := u.gssapi(t, "authzid="+wanted); !strings.HasPrefix(said, "+OK") {
			return "", fmt.Errorf("%s", said)
		}
		u.checkHasBeen(t, wanted)
		return "for the boss", nil
	}
	return ways
}

// checkHasBeen asks curl, which can name another mailbox too, for the message: the other client only logs in.
func (u *mailUser) checkHasBeen(t *testing.T, wanted string) {
	t.Helper()
	u.curlrc(t, "")
	said, err := u.run(t, "", u.inRealm("curl", "--silent", "--show-error", "--login-options", "AUTH=GSSAPI",
		"--sasl-authzid", wanted, u.url("1"))...)
	if err != nil || !strings.Contains(said, "Subject: for the boss\r\n") {
		t.Errorf("curl, by GSSAPI as %s: %v; it said\n%s", wanted, err, said)
	}
}

func (a *authenticated) openByUser(t *testing.T, name, password string) (string, error) {
	p := a.dial(t, quickly)
	p.must(t, "USER %s", name)
	if err := p.PrintfLine("PASS %s", password); err != nil {
		return "", err
	}
	line, err := p.ReadLine()
	return p.subject(line, err)
}

func (a *authenticated) firstSubject(mechanism string, client func(*session) saslClient) func(*testing.T) (string, error) {
	return func(t *testing.T) (string, error) {
		p := a.dial(t, quickly)
		return a.subjectOf(p, mechanism, client(p))
	}
}

func (*authenticated) subjectOf(p *session, mechanism string, client saslClient) (string, error) {
	return p.subject(p.authenticate(mechanism, client))
}

// subject gives that of the first message, after the last line of a login.
func (p *session) subject(line string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(line, "+OK") {
		return "", fmt.Errorf("%s", line)
	}
	if _, err := p.ask("RETR 1"); err != nil {
		return "", err
	}
	text, err := p.ReadDotBytes()
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(text), "\nSubject: ")
	subject, _, _ := strings.Cut(rest, "\n")
	_, err = p.ask("QUIT")
	return subject, err
}

// dialAs opens a session with a client certificate of an address.
func (a *authenticated) dialAs(t *testing.T, address string) *session {
	t.Helper()
	p, err := a.connectAs(t, address)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// connectAs is dialAs, where the server may not like the certificate: a client is told so when it reads the greeting.
func (a *authenticated) connectAs(t *testing.T, address string) (*session, error) {
	t.Helper()
	config := a.authority.clientConfig(a.host())
	config.Certificates = []tls.Certificate{a.clients.issueMail(t, address)}
	conn, err := tls.Dial("tcp", a.address(995), config)
	if err != nil {
		return nil, err
	}
	p := sessionOn(t, conn)
	_, err = p.reply()
	return p, err
}

// issueMail gives a client's certificate with an e-mail address.
func (a *authority) issueMail(t *testing.T, address string) tls.Certificate {
	t.Helper()
	template := newTemplate(t, address)
	template.EmailAddresses = []string{address}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	key := newKey(t)
	noteSigningKey(t, key)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// testPrincipals: a mailbox without any password is opened by those whom it names, who have other names elsewhere.
func (a *authenticated) testPrincipals(t *testing.T) {
	const elsewhere = "Carol.Jones"
	address := "cj@elsewhere.example"
	m := &mailbox{Mailbox: mailboxOf(a.PopService, "carol")}
	m.Spec.Credentials = []v1alpha1.Credential{
		{Name: "realm", Principal: &v1alpha1.Principal{Kind: v1alpha1.PrincipalKerberos, Name: elsewhere + "@" + realmName}},
		{Name: "issuer", Principal: &v1alpha1.Principal{Kind: v1alpha1.PrincipalOAuth, Name: address, Issuer: a.issuer.server.URL}},
		{Name: "certificate", Principal: &v1alpha1.Principal{Kind: v1alpha1.PrincipalCertificate, Name: address}},
	}
	create(t, m.Mailbox)
	awaitReady(t, m.Mailbox)
	u := newUser(t, a.service, m, pop3s)
	u.trust(t, a.authority)
	u.kinit(t, a.realm, elsewhere, enroll(t, a.realm, elsewhere))
	if said := u.gssapi(t); !strings.HasPrefix(said, "+OK") {
		t.Errorf("GSSAPI: %s", said)
	}
	for user, want := range map[string]string{address: "", "dj@elsewhere.example": logonFailure} {
		token := a.issuer.token(t, user, audience)
		mustSay(t, "OAUTHBEARER as "+user, a.tryMechanism(a.address(995), "OAUTHBEARER", bearerClient("", token)), want)
		line, err := a.dialAs(t, user).authenticate("EXTERNAL", externalClient(""))
		if err != nil || strings.HasPrefix(line, "+OK") != (want == "") {
			t.Errorf("EXTERNAL as %s: %q, %v", user, line, err)
		}
	}
}

// testBindingsRequired: what is not tied to its connection lets nobody in any more.
func (a *authenticated) testBindingsRequired(t *testing.T) {
	m := a.newMailbox(t, "binding")
	u := newUser(t, a.service, m, pop3s)
	u.trust(t, a.authority)
	u.kinit(t, a.realm, m.Name, enroll(t, a.realm, m.Name))
	u.curlrc(t, m.password)
	if said := u.gssapi(t); !strings.HasPrefix(said, "+OK") {
		t.Errorf("GSSAPI, while no binding is required: %s", said)
	}
	a.changeAuthentication(t, func(spec *v1alpha1.Authentication) { spec.ExtendedProtection = v1alpha1.ProtectionRequire })
	for option, want := range map[string]string{"": logonFailure, "binding=22": logonFailure, "binding=own": "+OK"} {
		if said := u.gssapi(t, strings.Fields(option)...); !strings.HasPrefix(said, want) {
			t.Errorf("GSSAPI, %s: %q, want %q", option, said, want)
		}
	}
	said, err := u.curl(t, "", "--verbose", "--login-options", "AUTH=NTLM")
	if err == nil || !strings.Contains(said, "< "+logonFailure) {
		t.Errorf("curl logs in by NTLM, without a binding: %v; it said\n%s", err, said)
	}
	mustSay(t, "NTLM without a binding", a.tryMechanism(a.address(995), "NTLM", ntlmClient("", m.address(), m.password)),
		logonFailure)
	err = a.tryMechanism(a.address(995), "SCRAM-SHA-256", scramClient("", m.address(), m.password))
	if err == nil || !strings.HasPrefix(err.Error(), "-ERR") {
		t.Errorf("SCRAM-SHA-256 without a binding: %v", err)
	}
	mustSay(t, "SCRAM-SHA-256-PLUS",
		a.tryMechanism(a.address(995), "SCRAM-SHA-256-PLUS", scramPlusClient("", m.address(), m.password)), "")
}

// changeAuthentication changes settings in flight, and waits until they are in force.
func (s *service) changeAuthentication(t *testing.T, edit func(*v1alpha1.Authentication)) {
	t.Helper()
	change(t, s.PopService, func(pop *v1alpha1.PopService) { edit(&pop.Spec.Authentication) })
	awaitReady(t, s.PopService)
}

// testNTLMIsTakenAway: with it go the hashes that only it needs, and the warning.
func (a *authenticated) testNTLMIsTakenAway(t *testing.T) {
	m := a.newMailbox(t, "strong")
	if buckets := a.buckets(t); !strings.Contains(buckets, `"{NT}`) || !strings.Contains(buckets, ntHashOf(t, m.password)) {
		t.Error("the directory has no NT hash, while NTLM is on")
	}
	a.changeAuthentication(t, func(spec *v1alpha1.Authentication) {
		spec.Mechanisms = slices.DeleteFunc(slices.Clone(allMechanisms), func(m v1alpha1.Mechanism) bool {
			return m == v1alpha1.MechanismNTLM
		})
	})
	awaitCondition(t, a.PopService, v1alpha1.ConditionStrongAuthentication, metav1.ConditionTrue, "StrongMechanisms")
	await(t, settling, "the directory to lose its NT hashes", func() (bool, string) {
		buckets := a.buckets(t)
		return !strings.Contains(buckets, "{NT}") && !strings.Contains(buckets, ntHashOf(t, m.password)), "they are there"
	})
	if !strings.Contains(a.buckets(t), "argon2id") {
		t.Error("the directory has lost the verifiers that the other mechanisms need")
	}
	awaitReady(t, m.Mailbox)
	if err := a.login(m.address(), m.password); err != nil {
		t.Error(err)
	}
	line, err := a.dial(t, quickly).authenticate("NTLM", once("", ""))
	if err != nil || !strings.HasPrefix(line, "-ERR") {
		t.Errorf("AUTH NTLM: %q, %v", line, err)
	}
}

// buckets are the texts of the directory's Secrets.
func (s *service) buckets(t *testing.T) string {
	t.Helper()
	var list corev1.SecretList
	if err := kube.List(t.Context(), &list, client.InNamespace(s.Namespace)); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, secret := range list.Items {
		for key, value := range secret.Data {
			if !strings.HasSuffix(key, ".jsonl") {
				continue
			}
			if _, err := directory.Decode(key, value); err != nil {
				t.Fatal(err)
			}
			all.Write(value)
		}
	}
	return all.String()
}

// ntHashOf is what NTLM knows of a password, in hexadecimal digits.
func ntHashOf(t *testing.T, password string) string {
	t.Helper()
	text, err := verifier.DeriveAs(verifier.NT, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(text, "{NT}")
}
