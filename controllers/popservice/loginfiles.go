package popservice

import (
	"crypto/rand"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/jcmturner/gokrb5/v8/keytab"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
)

// loginFile is a file that logins need, out of a Secret that the spec refers to.
type loginFile struct {
	field       string // of the spec that refers to the Secret
	secret, key string
	file        string // the servers' name of it: a key in the bundle
	told        string // what a server calls it
	check       func([]byte) error
	hint        string // what to do where it is wrong
}

const authoritiesHint = "put the authorities of the certificates there, in PEM form"

// loginFilesOf gives those that a spec refers to.
func loginFilesOf(spec *v1alpha1.Authentication) (all []loginFile) {
	if k := spec.Kerberos; k != nil {
		all = append(all, loginFile{"authentication.kerberos.keytabSecretRef", k.KeytabSecretRef.Name, k.KeytabSecretRef.Key,
			resources.KeytabKey, control.FileKeytab, checkKeytab,
			"put the keytab there: `kubectl create secret generic NAME --from-file=keytab=FILE`"})
	}
	if ref := spec.ClientCASecretRef; ref != nil {
		all = append(all, loginFile{"authentication.clientCASecretRef", ref.Name, corev1.ServiceAccountRootCAKey,
			resources.ClientCAKey, control.FileClientCA, checkAuthorities, authoritiesHint})
	}
	if spec.OAuth == nil {
		return all
	}
	for i := range spec.OAuth.Issuers {
		issuer := &spec.OAuth.Issuers[i]
		if ref := issuer.CASecretRef; ref != nil {
			all = append(all, loginFile{fmt.Sprintf("authentication.oauth.issuers[%d].caSecretRef", i), ref.Name,
				corev1.ServiceAccountRootCAKey, resources.IssuerCAKey(issuer.URL), control.FileIssuerCA + " " + issuer.URL,
				checkAuthorities, authoritiesHint})
		}
	}
	return all
}

// addLoginFiles checks them and adds them to what the servers get: the new files where they are good, and where they are not
// those that the servers have.
func addLoginFiles(
	bundle map[string][]byte, spec *v1alpha1.Authentication, sources map[string]*corev1.Secret, before map[string][]byte,
) (all []certificate) {
	for _, f := range loginFilesOf(spec) {
		all = append(all, f.add(bundle, sources[f.secret], before))
	}
	if resources.FormsOf(*spec).SCRAM {
		all = append(all, addSCRAMKey(bundle, before))
	}
	return all
}

func (f *loginFile) add(bundle map[string][]byte, source *corev1.Secret, before map[string][]byte) certificate {
	checked := certificate{name: f.told, secret: f.secret, use: useLogins}
	text := data(source)[f.key]
	if err := f.problem(source, text); err != nil {
		checked.reason = reasonInvalidLoginFile
		checked.problem = fmt.Sprintf("Secret %q of %s %v: %s", f.secret, f.field, err, f.hint)
		if source == nil {
			checked.reason = reasonSecretNotFound
		}
		keep(bundle, before, f.file)
	} else {
		bundle[f.file] = text
	}
	if file, ok := bundle[f.file]; ok {
		checked.fingerprint = control.Fingerprint(file)
	}
	return checked
}

func (f *loginFile) problem(source *corev1.Secret, text []byte) error {
	switch {
	case source == nil:
		return fmt.Errorf("does not exist; under the key %q", f.key)
	case len(text) == 0:
		return fmt.Errorf("has nothing under the key %q", f.key)
	}
	if err := f.check(text); err != nil {
		return fmt.Errorf("cannot be used, key %q: %w", f.key, err)
	}
	return nil
}

func checkAuthorities(text []byte) error {
	_, err := config.Authorities(text)
	return err
}

// checkKeytab looks whether it is a keytab at all. Whether its keys will do, a server says.
func checkKeytab(text []byte) error {
	if err := keytab.New().Unmarshal(text); err != nil {
		return errors.New("it is no keytab") // the library's error quotes keys
	}
	return nil
}

// scramKeyOctets is the length of the secret that tells nobody which users exist.
const scramKeyOctets = 32

// addSCRAMKey makes a secret once, which stays for as long as SCRAM is on: users who do not exist are to look the same to
// whoever asks twice, whichever server answers.
func addSCRAMKey(bundle, before map[string][]byte) certificate {
	secret := before[resources.SCRAMKey]
	if len(secret) != scramKeyOctets {
		secret = make([]byte, scramKeyOctets)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
	}
	bundle[resources.SCRAMKey] = secret
	return certificate{name: control.FileSCRAMKey, use: useLogins, fingerprint: control.Fingerprint(secret)}
}
