package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/pop3server/directory"
)

// CertificateKey is the key, and so the file name, of a certificate's chain.
func CertificateKey(name string) string { return name + ".crt" }

// PrivateKey is the key of a certificate's private key.
func PrivateKey(name string) string { return name + ".key" }

// Keys of what the LMTP port makes TLS with. No certificate can be named like that.
const (
	LMTPCertificateKey = "_lmtp.crt"
	LMTPPrivateKey     = "_lmtp.key"
	LMTPClientCAKey    = "_lmtp-ca.crt"
)

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

// BucketFile is one bucket of the directory: the file that the servers look for, and what its Secret tells of it.
type BucketFile struct {
	Bucket   int
	Text     []byte
	Revision int64
	// Defaults is what FormatDefaults gives.
	Defaults string
}

// Bucket holds one bucket of the directory.
func Bucket(in Input, b BucketFile) *corev1ac.SecretApplyConfiguration {
	data := map[string][]byte{directory.BucketFile(b.Bucket): b.Text}
	return in.secret(names.Bucket(in.name(), b.Bucket), corev1.SecretTypeOpaque, data).
		WithLabels(map[string]string{names.LabelBucket: directory.BucketName(b.Bucket)}).
		WithAnnotations(map[string]string{names.AnnotationRevision: strconv.FormatInt(b.Revision, 10),
			names.AnnotationDefaults: b.Defaults})
}

// DefaultsHash tells versions apart of what a PopService says for all its Mailboxes: mailboxDefaults, and in which forms the
// servers need their passwords.
func DefaultsHash(spec *v1alpha1.PopServiceSpec) string {
	text, _ := json.Marshal([]any{spec.MailboxDefaults, FormsOf(spec.Authentication)}) // it came from JSON
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// FormatDefaults says which mailboxDefaults a bucket has had since which revision.
func FormatDefaults(hash string, since int64) string {
	return hash + "/" + strconv.FormatInt(since, 10)
}

// ParseDefaults reads what FormatDefaults gives; of anything else the hash is empty.
func ParseDefaults(text string) (hash string, since int64) {
	hash, number, _ := strings.Cut(text, "/")
	since, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return "", 0
	}
	return hash, since
}
