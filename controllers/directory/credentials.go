package directory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// resolved are the credentials of a Mailbox that can be used, and what is wrong with the first of those that cannot.
type resolved struct {
	usable  []directory.Credential
	problem Problem
	// short says that a verifier is still to be made, in the next pass.
	short bool
}

// reference is the key of a Secret that a credential refers to.
type reference struct {
	secret, key string
	isPassword  bool
}

func referenceOf(c *v1alpha1.Credential) reference {
	if c.PasswordSecretRef != nil {
		return reference{c.PasswordSecretRef.Name, c.PasswordSecretRef.Key, true}
	}
	return reference{secret: c.VerifierSecretRef.Name, key: c.VerifierSecretRef.Key}
}

// principalOf gives the principal of a credential; empty where it has none.
func principalOf(c *v1alpha1.Credential) directory.Principal {
	if c.Principal == nil {
		return directory.Principal{}
	}
	p := directory.Principal{Kind: directory.PrincipalKind(c.Principal.Kind), Name: c.Principal.Name, Issuer: c.Principal.Issuer}
	if p.Kind == directory.Certificate { // of which servers compare the domain in lower case
		at := strings.LastIndexByte(p.Name, '@') + 1
		p.Name = p.Name[:at] + strings.ToLower(p.Name[at:])
	}
	return p
}

// resolver makes verifiers of credentials, in the forms that the servers need, reusing those that stand in the bucket
// as long as their Secrets and the forms stay the same. Where the budget is used up, they stay until the next pass.
type resolver struct {
	metadata client.Reader
	live     client.Reader
	forms    resources.Forms
	// budget is how many verifiers may be made in one pass: each takes some 30 ms of a core.
	budget int
	// short says that the budget did not suffice for the Mailbox at hand.
	short bool
	// beside has the last verifiers of the Mailbox at hand, with whose salts further ones are made.
	beside directory.Credential
	// failure is what went wrong with the last Secret that could not be read.
	failure error
}

// resolve gives the credentials of a Mailbox. before are those of its record as it stands in the bucket.
func (r *resolver) resolve(ctx context.Context, m *v1alpha1.Mailbox, before []directory.Credential) resolved {
	known := make(map[string]directory.Credential, len(before))
	for _, c := range before {
		known[c.Name] = c
	}
	var all resolved
	r.short, r.beside = false, directory.Credential{}
	for _, c := range before {
		r.beside.Verifier, r.beside.SCRAM = cmp.Or(c.Verifier, r.beside.Verifier), cmp.Or(c.SCRAM, r.beside.SCRAM)
	}
	for i := range m.Spec.Credentials {
		c := &m.Spec.Credentials[i]
		credential, problem := r.one(ctx, m.Namespace, c, known[c.Name])
		if err := affordable(all.usable, credential); err != nil {
			credential, problem = directory.Credential{}, Problem{ReasonInvalidVerifier, err.Error()}
		}
		if credential.Name != "" {
			all.usable = append(all.usable, credential)
		}
		if problem.Reason != "" && all.problem.Reason == "" {
			problem.Message = fmt.Sprintf("credential %q: %s", c.Name, problem.Message)
			all.problem = problem
		}
	}
	all.short = r.short
	return all
}

// affordable refuses a credential that the servers would not look at, since checking a password would take too long with it.
func affordable(others []directory.Credential, c directory.Credential) error {
	v, err := verifier.Parse(c.Verifier)
	if err != nil { // it has none, for one that is not valid does not come so far
		return nil //nolint:nilerr // see above
	}
	var before []verifier.Verifier
	for _, other := range others {
		if v, err := verifier.Parse(other.Verifier); err == nil {
			before = append(before, v)
		}
	}
	return verifier.Affordable(before, v)
}

// one gives a credential, without a name if there is none that could be used. old is what stands in the bucket under
// its name, if anything.
func (r *resolver) one(
	ctx context.Context, namespace string, c *v1alpha1.Credential, old directory.Credential,
) (directory.Credential, Problem) {
	if c.Principal != nil {
		return directory.Credential{Name: c.Name, Principal: principalOf(c)}, Problem{}
	}
	ref := referenceOf(c)
	key := client.ObjectKey{Namespace: namespace, Name: ref.secret}
	var metadata metav1.PartialObjectMetadata
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := r.metadata.Get(ctx, key, &metadata)
	if err == nil && old.Name != "" && old.Source == r.source(&metadata, ref) {
		return old, Problem{}
	}
	var secret corev1.Secret
	if err == nil && r.budget == 0 {
		r.short = true
		return old, Problem{}
	}
	if err == nil {
		err = r.live.Get(ctx, key, &secret)
	}
	switch {
	case apierrors.IsNotFound(err):
		return directory.Credential{}, Problem{ReasonSecretNotFound, fmt.Sprintf(
			"Secret %q does not exist: make it, with the %s under the key %q", ref.secret, ref.what(), ref.key)}
	case err != nil: // what stands in the bucket stays until it can be read
		r.failure = fmt.Errorf("read Secret %q: %w", ref.secret, err)
		return old, Problem{ReasonSecretUnreadable, fmt.Sprintf("Secret %q cannot be read: %v; trying again", ref.secret, err)}
	}
	return r.verifierOf(&secret, ref, c.Name, old)
}

// source says what a credential was made from, and in which forms. It changes with every write of the Secret, and
// tells nothing of what is in it.
func (r *resolver) source(secret metav1.Object, ref reference) string {
	text := fmt.Sprintf("%s/%s/%s/%t", secret.GetUID(), secret.GetResourceVersion(), ref.key, ref.isPassword)
	for _, form := range []struct {
		needed bool
		mark   string
	}{{r.forms.Password, "/password"}, {r.forms.SCRAM, "/scram"}, {r.forms.NT, "/nt"}} {
		if form.needed {
			text += form.mark
		}
	}
	return text
}

func (ref reference) what() string {
	if ref.isPassword {
		return "password"
	}
	return "verifier"
}

// verifierOf makes the credential that a Secret asks for.
func (r *resolver) verifierOf(
	secret *corev1.Secret, ref reference, name string, old directory.Credential,
) (directory.Credential, Problem) {
	made := directory.Credential{Name: name, Source: r.source(secret, ref)}
	// A file that an editor or `echo` wrote ends in a line end, which is no part of a password: no client can send one.
	value := bytes.TrimRight(secret.Data[ref.key], "\r\n")
	switch {
	case len(value) == 0:
		return directory.Credential{}, Problem{ReasonKeyNotFound,
			fmt.Sprintf("Secret %q has nothing under the key %q: put the %s there",
				secret.Name, ref.key, ref.what())}
	case ref.isPassword && bytes.ContainsAny(value, "\r\n\x00"):
		return directory.Credential{}, Problem{ReasonInvalidPassword, fmt.Sprintf(
			"the password in Secret %q has a line end or a NUL within, which no client can send", secret.Name)}
	case ref.isPassword && r.forms == (resources.Forms{}):
		return directory.Credential{}, Problem{ReasonUnusedCredential,
			"no mechanism of the PopService takes passwords: name a principal in place of it, or enable one that does"}
	case ref.isPassword:
		r.derive(&made, value, old)
		return made, Problem{}
	}
	if problem := r.adopt(&made, string(value)); problem != "" {
		return directory.Credential{}, Problem{ReasonInvalidVerifier, fmt.Sprintf(
			"Secret %q, key %q: %s", secret.Name, ref.key, problem)}
	}
	return made, Problem{}
}

// derive makes a password's verifiers in the forms that are needed; an old one that is of the same password stays.
func (r *resolver) derive(made *directory.Credential, password []byte, old directory.Credential) {
	if r.forms.Password {
		made.Verifier = r.deriveUnless(old.Verifier, &r.beside.Verifier, password, verifier.DeriveBeside)
	}
	if r.forms.SCRAM {
		made.SCRAM = r.deriveUnless(old.SCRAM, &r.beside.SCRAM, password, verifier.DeriveSCRAMBeside)
	}
	if r.forms.NT {
		made.NT, _ = verifier.DeriveAs(verifier.NT, password) // a password that is not UTF-8 has none, and cannot be sent either
	}
}

// deriveUnless keeps the old verifier if it is of the password, or makes one beside the mailbox's last one.
func (r *resolver) deriveUnless(old string, beside *string, password []byte, derive func(string, []byte) string) string {
	if v, err := verifier.Parse(old); err == nil && v.Matches(password) {
		*beside = old
		return old
	}
	r.budget = max(0, r.budget-1)
	*beside = derive(*beside, password)
	return *beside
}

// adopt takes a verifier for what it is good for, and says what is wrong where that is nothing.
func (r *resolver) adopt(made *directory.Credential, text string) (problem string) {
	v, err := verifier.Parse(text)
	if err != nil {
		return err.Error() + ". Use what `pop3d hash` prints"
	}
	if r.forms.Password && v.Methods().Has(verifier.MethodPassword) {
		made.Verifier = text
	}
	if _, ok := v.SCRAM(); ok && r.forms.SCRAM {
		made.SCRAM = text
	}
	if _, ok := v.NTHash(); ok && r.forms.NT {
		made.NT = text
	}
	if made.Verifier == "" && made.SCRAM == "" && made.NT == "" {
		return "no mechanism of the PopService can use this kind of verifier: SCRAM needs one of {SCRAM-SHA-256}, " +
			"NTLM one of {NT}, " +
			"USER and PLAIN take any. See `pop3d hash --help`"
	}
	return ""
}
