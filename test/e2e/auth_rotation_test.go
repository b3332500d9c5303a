//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

// TestLoginFilesAreReplaced replaces, under a running server, all that logins need beside the directory.
func TestLoginFilesAreReplaced(t *testing.T) {
	t.Parallel()
	a := newAuthenticated(t, "auth-rotation", nil)
	m := a.newMailbox(t, "alice")
	password := enroll(t, a.realm, m.Name)
	before := a.pod(t)
	t.Run("keytab", func(t *testing.T) { a.testKeytabIsReplaced(t, m, password) })
	t.Run("bad keytab", func(t *testing.T) { a.testBadKeytab(t, m, password) })
	t.Run("signing key", func(t *testing.T) { a.testSigningKeyIsReplaced(t, m) })
	t.Run("issuers", func(t *testing.T) { a.testIssuersAreReplaced(t, m) })
	t.Run("authorities of clients", func(t *testing.T) { a.testClientAuthorityIsReplaced(t, m) })
	a.checkNotRestarted(t, before)
	awaitReady(t, a.PopService)
}

// withTicket is a user who gets a ticket of the service, and uses no newer one until the next call.
func (a *authenticated) withTicket(t *testing.T, m *mailbox, password string) *mailUser {
	t.Helper()
	u := newUser(t, a.service, m, pop3s)
	u.trust(t, a.authority)
	u.kinit(t, a.realm, m.Name, password)
	u.must(t, "", u.inRealm("kvno", "pop/"+a.host())...)
	return u
}

// testKeytabIsReplaced: a ticket is good for as long as the keytab has the key that it was made with.
func (a *authenticated) testKeytabIsReplaced(t *testing.T, m *mailbox, password string) {
	first := a.withTicket(t, m, password)
	if said := first.gssapi(t); !strings.HasPrefix(said, "+OK") {
		t.Fatalf("with the first keytab: %s", said)
	}
	a.rekey(t, true)
	second := a.withTicket(t, m, password)
	second.untilGSSAPI(t, "a ticket of the second key")
	if said := first.gssapi(t); !strings.HasPrefix(said, "+OK") {
		t.Errorf("the keytab has the old key still, and its ticket is answered %q", said)
	}
	a.rekey(t, false)
	a.withTicket(t, m, password).untilGSSAPI(t, "a ticket of the third key")
	for _, u := range []*mailUser{first, second} {
		if said := u.gssapi(t); said != logonFailure {
			t.Errorf("the keytab has lost a key, and a ticket of it is answered %q", said)
		}
	}
}

// rekey puts a keytab with a newer key into the Secret.
func (a *authenticated) rekey(t *testing.T, keepOld bool) {
	t.Helper()
	text, err := a.realm.Rekey("pop/"+a.host(), keepOld)
	if err != nil {
		t.Fatal(err)
	}
	noteKeytab(t, text)
	a.changeSecret(t, keytabSecret, "keytab", text)
}

func (s *service) changeSecret(t *testing.T, name, key string, text []byte) {
	t.Helper()
	change(t, get(t, s.Namespace, name, &corev1.Secret{}), func(secret *corev1.Secret) {
		secret.Data = map[string][]byte{key: text}
	})
}

// untilGSSAPI tries until the user is let in, and logs how long that took.
func (u *mailUser) untilGSSAPI(t *testing.T, what string) {
	t.Helper()
	start := time.Now()
	await(t, settling, what+" to be taken", func() (bool, string) {
		said := u.gssapi(t)
		return strings.HasPrefix(said, "+OK"), said
	})
	t.Logf("%s was taken %s after the Secret was written", what, time.Since(start).Round(time.Millisecond))
}

// testBadKeytab: what cannot be a keytab is told of, and the one that was there stays in force.
func (a *authenticated) testBadKeytab(t *testing.T, m *mailbox, password string) {
	good := get(t, a.Namespace, keytabSecret, &corev1.Secret{}).Data["keytab"]
	bad := []byte(newPassword())
	a.changeSecret(t, keytabSecret, "keytab", bad)
	c := awaitCondition(t, a.PopService, v1alpha1.ConditionCertificatesReady, metav1.ConditionFalse, "InvalidLoginFile")
	checkHelpful(t, c, keytabSecret, "authentication.kerberos.keytabSecretRef")
	u := a.withTicket(t, m, password)
	if said := u.gssapi(t); !strings.HasPrefix(said, "+OK") {
		t.Errorf("while the Secret has a bad keytab: %s", said)
	}
	a.changeSecret(t, keytabSecret, "keytab", good)
	awaitCondition(t, a.PopService, v1alpha1.ConditionCertificatesReady, metav1.ConditionTrue, "")
	if said := u.gssapi(t); !strings.HasPrefix(said, "+OK") {
		t.Errorf("with the good keytab again: %s", said)
	}
}

// testSigningKeyIsReplaced: the token of a new key makes the server ask for the keys again, and the old one is none of them.
func (a *authenticated) testSigningKeyIsReplaced(t *testing.T, m *mailbox) {
	old := a.issuer.token(t, m.address(), audience)
	mustSay(t, "a token of the first key", a.tryToken(m, old), "")
	a.issuer.rotate(t)
	a.untilTaken(t, m, a.issuer, "a token of the second key")
	mustSay(t, "a token of a key that is withdrawn", a.tryToken(m, old), logonFailure)
}

func (s *service) tryToken(m *mailbox, token string) error {
	return s.tryMechanism(s.address(995), "OAUTHBEARER", bearerClient(m.address(), token))
}

// untilTaken tries until a token of an issuer is taken.
func (s *service) untilTaken(t *testing.T, m *mailbox, i *issuer, what string) {
	t.Helper()
	start, token := time.Now(), i.token(t, m.address(), audience)
	await(t, settling, what+" to be taken", func() (bool, string) {
		err := s.tryToken(m, token)
		return err == nil, fmt.Sprint(err)
	})
	t.Logf("%s was taken after %s", what, time.Since(start).Round(time.Millisecond))
}

// testIssuersAreReplaced puts another issuer in the place of the first one, then takes both.
func (a *authenticated) testIssuersAreReplaced(t *testing.T, m *mailbox) {
	second := newIssuer(t, a.Namespace, "second-issuer")
	old := a.issuer.token(t, m.address(), audience)
	mustSay(t, "a token of the first issuer", a.tryToken(m, old), "")
	mustSay(t, "a token of one that is no issuer yet", a.tryToken(m, second.token(t, m.address(), audience)), logonFailure)
	a.changeIssuers(t, second)
	a.untilTaken(t, m, second, "a token of the second issuer")
	mustSay(t, "a token of one that is an issuer no more", a.tryToken(m, old), logonFailure)
	a.changeIssuers(t, a.issuer, second)
	a.untilTaken(t, m, a.issuer, "a token of the first of two issuers")
	a.untilTaken(t, m, second, "a token of the second of two issuers")
}

func (s *service) changeIssuers(t *testing.T, issuers ...*issuer) {
	t.Helper()
	s.changeAuthentication(t, func(spec *v1alpha1.Authentication) {
		spec.OAuth = &v1alpha1.OAuth{}
		for _, i := range issuers {
			spec.OAuth.Issuers = append(spec.OAuth.Issuers, i.spec())
		}
	})
}

// testClientAuthorityIsReplaced: with a certificate of the old authority there is no session.
func (a *authenticated) testClientAuthorityIsReplaced(t *testing.T, m *mailbox) {
	first, second := a.clients, newAuthority(t)
	if err := a.tryExternal(t, m); err != nil {
		t.Fatalf("with the first authority: %v", err)
	}
	a.clients = second
	a.changeSecret(t, clientCASecret, corev1.ServiceAccountRootCAKey, encodePEM("CERTIFICATE", second.certificate.Raw))
	await(t, settling, "a certificate of the second authority to be taken", func() (bool, string) {
		err := a.tryExternal(t, m)
		return err == nil, fmt.Sprint(err)
	})
	a.clients = first
	if a.tryExternal(t, m) == nil {
		t.Error("a certificate of an authority that was taken away is taken")
	}
}

// tryExternal logs in by a client certificate.
func (a *authenticated) tryExternal(t *testing.T, m *mailbox) error {
	t.Helper()
	p, err := a.connectAs(t, m.address())
	if err != nil {
		return err
	}
	line, err := p.authenticate("EXTERNAL", externalClient(""))
	if err == nil && !strings.HasPrefix(line, "+OK") {
		err = errors.New(line)
	}
	return err
}
