package resources

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/controllers/internal/names"
)

// CertificateKey is the key, and so the file name, of a certificate's chain.
func CertificateKey(name string) string { return name + ".crt" }

// PrivateKey is the key of a certificate's private key.
func PrivateKey(name string) string { return name + ".key" }

// Certificates holds what the servers serve: a checked copy of each TLS Secret that the spec refers to. So no bad pair ever
// reaches a server, and the pods stay as they are when certificates come and go.
func Certificates(in Input, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return in.secret(names.Certificates(in.name()), corev1.SecretTypeOpaque, data)
}

// ControlCA holds the CA of the control port.
func ControlCA(in Input, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return in.secret(names.ControlCA(in.name()), corev1.SecretTypeTLS, data)
}

// ControlTLS holds the servers' certificate for the control port, and the CA that its clients must have.
func ControlTLS(in Input, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return in.secret(names.ControlTLS(in.name()), corev1.SecretTypeTLS, data)
}

func (in Input) secret(name string, kind corev1.SecretType, data map[string][]byte) *corev1ac.SecretApplyConfiguration {
	return corev1ac.Secret(name, in.namespace()).
		WithLabels(in.labels()).
		WithOwnerReferences(in.owner()).
		WithType(kind).
		WithData(data)
}

// Bucket holds one bucket of the directory, in the file whose name the servers look for.
func Bucket(in Input, bucket int, file, revision string, text []byte) *corev1ac.SecretApplyConfiguration {
	return in.secret(names.Bucket(in.name(), bucket), corev1.SecretTypeOpaque, map[string][]byte{file: text}).
		WithLabels(map[string]string{names.LabelBucket: file[:2]}).
		WithAnnotations(map[string]string{names.AnnotationRevision: revision})
}
