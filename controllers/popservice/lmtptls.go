package popservice

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
)

// addLMTPTLS checks what the LMTP port makes TLS with and adds it to what the servers get: the new files where they are good,
// and where they are not those that the servers have.
func addLMTPTLS(
	bundle map[string][]byte, spec *v1alpha1.LMTPTLS, sources map[string]*corev1.Secret, before map[string][]byte, now time.Time,
) []certificate {
	if spec == nil {
		return nil
	}
	const chain, key = resources.LMTPCertificateKey, resources.LMTPPrivateKey
	pair := certificate{name: "delivery.lmtp.tls", secret: spec.SecretRef.Name, use: useLMTP}
	source := sources[pair.secret]
	if err := checkPair(data(source)[corev1.TLSCertKey], data(source)[corev1.TLSPrivateKeyKey]); source != nil && err == nil {
		bundle[chain], bundle[key] = source.Data[corev1.TLSCertKey], source.Data[corev1.TLSPrivateKeyKey]
	} else {
		pair.explain(source, err)
		keep(bundle, before, chain, key)
	}
	pair.describe(bundle[chain], bundle[key], now)
	if spec.ClientCASecretRef == nil {
		return []certificate{pair}
	}
	return []certificate{pair, addClientCA(bundle, spec.ClientCASecretRef.Name, sources, before)}
}

// addClientCA does the same with the authorities of the clients.
func addClientCA(
	bundle map[string][]byte, secret string, sources map[string]*corev1.Secret, before map[string][]byte,
) certificate {
	const key = resources.LMTPClientCAKey
	ca := certificate{name: "delivery.lmtp.tls.clientCASecretRef", secret: secret, use: useClientCA}
	authorities := data(sources[secret])[corev1.ServiceAccountRootCAKey]
	if _, err := config.Authorities(authorities); err == nil {
		bundle[key] = authorities
	} else {
		keep(bundle, before, key)
		ca.reason = reasonInvalidCertificate
		ca.problem = fmt.Sprintf("Secret %q of delivery.lmtp.tls.clientCASecretRef does not exist or has no PEM certificate under "+
			"the key ca.crt (%v): put the authorities of the MTAs' certificates there", secret, err)
	}
	if file, ok := bundle[key]; ok {
		ca.fingerprint = control.Fingerprint(file)
	}
	return ca
}
