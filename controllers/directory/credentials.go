package directory

import (
	"bytes"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
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

// resolver makes verifiers of credentials, reusing those that stand in the bucket as long as their Secrets stay the same. Where
// the budget is used up, they stay until the next pass.
type resolver struct {
	metadata client.Reader
	live     client.Reader
	// budget is how many verifiers may be made in one pass: each takes some 30 ms of a core.
	budget int
	// short says that the budget did not suffice for the Mailbox at hand.
	short bool
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
	r.short = false
	for i := range m.Spec.Credentials {
		c := &m.Spec.Credentials[i]
		credential, problem := r.one(ctx, m.Namespace, c, known[c.Name])
		if credential.Verifier != "" {
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

// one gives a credential; without a verifier if there is a problem. old is what stands in the bucket under its name,
// if anything.
func (r *resolver) one(
	ctx context.Context, namespace string, c *v1alpha1.Credential, old directory.Credential,
) (directory.Credential, Problem) {
	ref := referenceOf(c)
	key := client.ObjectKey{Namespace: namespace, Name: ref.secret}
	var metadata metav1.PartialObjectMetadata
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := r.metadata.Get(ctx, key, &metadata)
	if err == nil && old.Verifier != "" && old.Source == source(&metadata, ref) {
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

// source says what a verifier was made from. It changes with every write of the Secret, and tells nothing of what is in it.
func source(secret metav1.Object, ref reference) string {
	return fmt.Sprintf("%s/%s/%s/%t", secret.GetUID(), secret.GetResourceVersion(), ref.key, ref.isPassword)
}

func (ref reference) what() string {
	if ref.isPassword {
		return "password"
	}
	return "verifier"
}

// verifierOf makes the verifier that a Secret asks for.
func (r *resolver) verifierOf(
	secret *corev1.Secret, ref reference, name string, old directory.Credential,
) (directory.Credential, Problem) {
	made := directory.Credential{Name: name, Source: source(secret, ref)}
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
	case ref.isPassword:
		r.budget--
		return derive(made, value, old), Problem{}
	}
	if _, err := verifier.Parse(string(value)); err != nil {
		return directory.Credential{}, Problem{ReasonInvalidVerifier, fmt.Sprintf(
			"Secret %q, key %q: %v. Use what `pop3d hash` prints", secret.Name, ref.key, err)}
	}
	made.Verifier = string(value)
	return made, Problem{}
}

// derive makes a verifier of a password, unless the old one is of the same password.
func derive(made directory.Credential, password []byte, old directory.Credential) directory.Credential {
	if v, err := verifier.Parse(old.Verifier); err == nil && v.Matches(password) {
		made.Verifier = old.Verifier
		return made
	}
	made.Verifier = verifier.Derive(password)
	return made
}
