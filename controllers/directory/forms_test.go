package directory

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// formsOf tells which forms a credential has.
func formsOf(c directory.Credential) resources.Forms {
	return resources.Forms{Password: c.Verifier != "", SCRAM: c.SCRAM != "", NT: c.NT != ""}
}

func matches(t *testing.T, text, password string) bool {
	t.Helper()
	v, err := verifier.Parse(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return v.Matches([]byte(password))
}

// Servers get a password in those forms alone that a mechanism needs, and not a form more when one is taken away.
func TestFormsOfAPassword(t *testing.T) {
	r := newResolver(secretOf("alice", "one"))
	var before []directory.Credential
	for _, forms := range []resources.Forms{
		{Password: true}, {Password: true, SCRAM: true}, {Password: true, SCRAM: true, NT: true}, {SCRAM: true}, {NT: true},
		{Password: true},
	} {
		r.forms = forms
		got := r.resolve(t.Context(), withPassword("alice"), before)
		if len(got.usable) != 1 || formsOf(got.usable[0]) != forms {
			t.Fatalf("%+v: %+v", forms, got)
		}
		c := got.usable[0]
		for _, text := range []string{c.Verifier, c.SCRAM, c.NT} {
			if text != "" && !matches(t, text, "one") {
				t.Errorf("%+v: a form is of another password", forms)
			}
		}
		if len(before) == 1 && before[0].SCRAM != "" && c.SCRAM != "" && before[0].SCRAM != c.SCRAM {
			t.Errorf("%+v: a verifier was made again of the same password", forms)
		}
		before = got.usable
	}
	r.forms = resources.Forms{}
	if got := r.resolve(t.Context(), withPassword("alice"),
		before); len(got.usable) != 0 || got.problem.Reason != ReasonUnusedCredential {
		t.Errorf("no forms: %+v", got)
	}
}

// A mailbox's passwords have one salt, so that a login costs one hash.
func TestPasswordsOfAMailboxShareTheirSalt(t *testing.T) {
	r := newResolver(secretOf("alice", "one"), secretOf("phone", "two"), secretOf("tablet", "three"))
	r.forms = resources.Forms{Password: true, SCRAM: true}
	m := withPassword("alice")
	m.Spec.Credentials = append(m.Spec.Credentials, application("phone"))
	first := r.resolve(t.Context(), m, nil)
	m.Spec.Credentials = append(m.Spec.Credentials, application("tablet"))
	second := r.resolve(t.Context(), m, first.usable)
	if len(second.usable) != 3 || second.usable[0] != first.usable[0] || second.usable[1] != first.usable[1] {
		t.Fatalf("%+v", second)
	}
	salt := func(c directory.Credential) string {
		s, _ := c.SCRAMVerifier()
		return c.Verifier[:strings.LastIndexByte(c.Verifier, '$')] + string(s.Salt)
	}
	for _, c := range second.usable[1:] {
		if salt(c) != salt(second.usable[0]) {
			t.Errorf("credential %s has a salt of its own", c.Name)
		}
	}
}

func application(name string) v1alpha1.Credential {
	return v1alpha1.Credential{Name: name, PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: name, Key: "password"}}
}

// A verifier that a user brings is given to the mechanisms that can use it; one that none can use is a mistake.
func TestVerifiersServeWhatTheyCan(t *testing.T) {
	nt, err := verifier.DeriveAs(verifier.NT, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"argon2id": verifier.Derive([]byte("one")), "scram": verifier.DeriveSCRAM([]byte("one")), "nt": nt}
	for _, test := range []struct {
		kind        string
		forms, want resources.Forms
	}{
		{"argon2id", resources.Forms{Password: true, SCRAM: true, NT: true}, resources.Forms{Password: true}},
		{"scram", resources.Forms{Password: true, SCRAM: true}, resources.Forms{Password: true, SCRAM: true}},
		{"nt", resources.Forms{NT: true}, resources.Forms{NT: true}},
		{"argon2id", resources.Forms{SCRAM: true}, resources.Forms{}},
		{"scram", resources.Forms{NT: true}, resources.Forms{}},
	} {
		r := newResolver(secretOf("alice", texts[test.kind]))
		r.forms = test.forms
		m := withPassword("alice")
		m.Spec.Credentials[0] = v1alpha1.Credential{Name: "v",
			VerifierSecretRef: &v1alpha1.VerifierKeyReference{Name: "alice", Key: "verifier"}}
		got := r.resolve(t.Context(), m, nil)
		if test.want == (resources.Forms{}) {
			if len(got.usable) != 0 || got.problem.Reason != ReasonInvalidVerifier || strings.Contains(got.problem.Message,
				texts[test.kind]) {
				t.Errorf("%+v: %+v", test, got)
			}
			continue
		}
		if len(got.usable) != 1 || formsOf(got.usable[0]) != test.want {
			t.Errorf("%+v: %+v", test, got)
		}
	}
}

// Verifiers with which the check of a password would take too long together are told at the Mailbox; those before them count.
func TestVerifiersAreAffordable(t *testing.T) {
	const dear = "{ARGON2ID}$argon2id$v=19$m=262144,t=4,p=1$c2FsdHNhbHRzYWx0%d$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	m := withPassword("alice")
	m.Spec.Credentials = nil
	var secrets []client.Object
	for i := range 4 {
		name := fmt.Sprint("v", i)
		secrets = append(secrets, secretOf(name, fmt.Sprintf(dear, 1000+i)))
		m.Spec.Credentials = append(m.Spec.Credentials, v1alpha1.Credential{Name: name,
			VerifierSecretRef: &v1alpha1.VerifierKeyReference{Name: name, Key: "verifier"}})
	}
	got := newResolver(secrets...).resolve(t.Context(), m, nil)
	if len(got.usable) != 2 || got.usable[0].Name != "v0" || got.usable[1].Name != "v1" {
		t.Errorf("%d are usable, want two", len(got.usable))
	}
	if p := got.problem; p.Reason != ReasonInvalidVerifier || !strings.HasPrefix(p.Message, `credential "v2": `) ||
		!strings.Contains(p.Message, "fewer verifiers") {
		t.Errorf("the problem is %+v", p)
	}
}

func TestDomainOfACertificatesAddressIsLowerCase(t *testing.T) {
	c := v1alpha1.Credential{Principal: &v1alpha1.Principal{Kind: v1alpha1.PrincipalCertificate, Name: "Alice@EXAMPLE.com"}}
	if got := principalOf(&c).Name; got != "Alice@example.com" {
		t.Errorf("%q", got)
	}
}

func TestPrincipalsNeedNoSecret(t *testing.T) {
	r := newResolver()
	m := withPassword("alice")
	m.Spec.Credentials[0] = v1alpha1.Credential{Name: "k", Principal: &v1alpha1.Principal{Kind: v1alpha1.PrincipalKerberos,
		Name: "a@R"}}
	want := directory.Credential{Name: "k", Principal: directory.Principal{Kind: directory.Kerberos, Name: "a@R"}}
	if got := r.resolve(t.Context(), m, nil); len(got.usable) != 1 || got.usable[0] != want {
		t.Errorf("%+v", got)
	}
}
