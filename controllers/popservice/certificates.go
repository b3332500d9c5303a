package popservice

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/control"
)

// use is what servers have a certificate for.
type use int

const (
	useListeners use = iota // the POP3 listeners
	useLMTP                 // the LMTP port
	useClientCA             // its clients: they are authorities
	useLogins               // logins: a keytab, authorities, a secret
)

// certificate is what is known of a certificate in the spec.
type certificate struct {
	name, secret string
	use          use
	// fingerprint of what the servers are to serve; empty if there is nothing.
	fingerprint string
	notAfter    time.Time
	// reason and problem say what is wrong with it; empty if nothing is.
	reason, problem string
}

// checkCertificates checks the TLS Secrets of a spec and gives what the servers are to get: the new pair where it is good, and
// where it is not the one that they have.
func checkCertificates(
	spec *v1alpha1.TLS, sources map[string]*corev1.Secret, before map[string][]byte, now time.Time,
) ([]certificate, map[string][]byte) {
	bundle := make(map[string][]byte)
	if spec == nil {
		return nil, bundle
	}
	var all []certificate
	for _, c := range spec.Certificates {
		chain, key := resources.CertificateKey(c.Name), resources.PrivateKey(c.Name)
		checked := certificate{name: c.Name, secret: c.SecretRef.Name}
		source := sources[c.SecretRef.Name]
		if err := checkPair(data(source)[corev1.TLSCertKey], data(source)[corev1.TLSPrivateKeyKey]); source != nil && err == nil {
			bundle[chain], bundle[key] = source.Data[corev1.TLSCertKey], source.Data[corev1.TLSPrivateKeyKey]
		} else {
			checked.explain(source, err)
			keep(bundle, before, chain, key)
		}
		checked.describe(bundle[chain], bundle[key], now)
		all = append(all, checked)
	}
	return all, bundle
}

// keep adds to what the servers get what they have.
func keep(bundle, before map[string][]byte, keys ...string) {
	for _, key := range keys {
		if old, ok := before[key]; ok {
			bundle[key] = old
		}
	}
}

// checkPair says why a chain and a key do not make a certificate that can be served.
func checkPair(chain, key []byte) error {
	switch {
	case len(chain) == 0:
		return fmt.Errorf("it has no %s", corev1.TLSCertKey)
	case len(key) == 0:
		return fmt.Errorf("it has no %s", corev1.TLSPrivateKeyKey)
	}
	if _, err := tls.X509KeyPair(chain, key); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "tls: ")) // names no part of the key
	}
	return nil
}

// explain says what is wrong with a Secret and what to do.
func (c *certificate) explain(source *corev1.Secret, err error) {
	if source == nil {
		c.reason = reasonSecretNotFound
		c.problem = fmt.Sprintf("Secret %q of certificate %q does not exist: make it with "+
			"`kubectl create secret tls %s --cert=FILE --key=FILE`, or let cert-manager make it", c.secret, c.name, c.secret)
		return
	}
	c.reason = reasonInvalidCertificate
	c.problem = fmt.Sprintf("Secret %q of certificate %q cannot be served: %v. "+
		"Put a PEM chain into tls.crt and its key into tls.key", c.secret, c.name, err)
}

// describe takes from the pair that the servers get what the status tells, and says so if its time is not now.
func (c *certificate) describe(chain, key []byte, now time.Time) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return // there is none
	}
	c.fingerprint, c.notAfter = control.Fingerprint(pair.Certificate[0]), pair.Leaf.NotAfter
	if c.reason != "" {
		c.problem += fmt.Sprintf(". Until then the servers serve the one that they had, which is valid until %s", date(c.notAfter))
		return
	}
	switch {
	case now.After(pair.Leaf.NotAfter):
		c.reason = reasonCertificateExpired
		c.problem = fmt.Sprintf("the certificate in Secret %q expired at %s: renew it", c.secret, date(c.notAfter))
	case now.Before(pair.Leaf.NotBefore):
		c.reason = reasonCertificateNotYetValid
		c.problem = fmt.Sprintf("the certificate in Secret %q is valid from %s on only", c.secret, date(pair.Leaf.NotBefore))
	}
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
