package popservice

import (
	"crypto/x509"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/popservice/resources"
)

// problem is what the user has to put right; nothing if the reason is empty.
type problem struct{ reason, text string }

// addLMTPTLS adds to what the servers get what the LMTP port makes TLS with: the new files where they are good, and where
// they are not those that the servers have.
func addLMTPTLS(
	bundle map[string][]byte, spec *v1alpha1.LMTPTLS, sources map[string]*corev1.Secret, before map[string][]byte,
) problem {
	if spec == nil {
		return problem{}
	}
	keep := func(keys ...string) {
		for _, key := range keys {
			if old, ok := before[key]; ok {
				bundle[key] = old
			}
		}
	}
	pair := sources[spec.SecretRef.Name]
	checked := certificate{name: "of delivery.lmtp.tls", secret: spec.SecretRef.Name}
	if err := checkPair(data(pair)[corev1.TLSCertKey], data(pair)[corev1.TLSPrivateKeyKey]); pair == nil || err != nil {
		checked.explain(pair, err)
		keep(resources.LMTPCertificateKey, resources.LMTPPrivateKey)
	} else {
		maps.Copy(bundle, map[string][]byte{resources.LMTPCertificateKey: pair.Data[corev1.TLSCertKey],
			resources.LMTPPrivateKey: pair.Data[corev1.TLSPrivateKeyKey]})
	}
	if spec.ClientCASecretRef == nil {
		return problem{checked.reason, checked.problem}
	}
	authorities := data(sources[spec.ClientCASecretRef.Name])[corev1.ServiceAccountRootCAKey]
	if !x509.NewCertPool().AppendCertsFromPEM(authorities) {
		keep(resources.LMTPClientCAKey)
		return problem{reasonInvalidCertificate, fmt.Sprintf("Secret %q of delivery.lmtp.tls.clientCASecretRef does not exist or "+
			"has no PEM certificate under the key ca.crt: put the authorities of the MTAs' certificates there",
			spec.ClientCASecretRef.Name)}
	}
	bundle[resources.LMTPClientCAKey] = authorities
	return problem{checked.reason, checked.problem}
}
