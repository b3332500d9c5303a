//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/directory"
)

// told has what these tests gave to the cluster and must find nowhere but in Secrets.
var told struct {
	sync.Mutex
	secrets []string
}

func noteSecret(secret string) {
	told.Lock()
	defer told.Unlock()
	told.secrets = append(told.secrets, secret)
}

// noteKey notes the lines of a private key.
func noteKey(text []byte) {
	for _, line := range keyLines(text) {
		noteSecret(line)
	}
}

// keyLines are the lines of a PEM private key that are long enough to be recognized.
func keyLines(text []byte) []string {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") {
			lines = append(lines, line)
		}
	}
	return lines
}

// checkNothingSecretIsTold looks for everything secret in everything that is no Secret: in a namespace, and in what the
// operator says.
func checkNothingSecretIsTold(t *testing.T, namespace string) {
	t.Helper()
	secrets := secretsOf(t, namespace)
	for place, text := range everythingTold(t, namespace) {
		for _, leak := range leaks(text, secrets) {
			t.Errorf("%s holds a secret: …%s…", place, leak)
		}
	}
}

// leaks gives the surroundings of each secret that stands in a text, as it is or in base64.
func leaks(text string, secrets []string) []string {
	var found []string
	for _, secret := range append(secrets, "PRIVATE KEY") {
		for _, form := range append(withinBase64(secret), secret) {
			if at := strings.Index(text, form); at >= 0 {
				found = append(found, text[max(0, at-80):min(len(text), at+len(form)+20)])
			}
		}
	}
	return found
}

// withinBase64 gives what is seen of a secret in the base64 of something that has it in it, as SASL messages have: that depends
// on where in a group of three octets it begins. The characters at its ends, which its neighbours have a part in, are left out.
func withinBase64(secret string) (forms []string) {
	for before := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + secret))
		first, last := (before*8+5)/6, (before+len(secret))*8/6
		forms = append(forms, text[first:last])
	}
	return forms
}

// formsOf are the forms in which octets that are no text may be told. Base64 is looked for anyway.
func formsOf(octets []byte) []string {
	return []string{string(octets), hex.EncodeToString(octets), strings.ToUpper(hex.EncodeToString(octets))}
}

// secretsOf gives what was noted, and what the operator has put into Secrets.
func secretsOf(t *testing.T, namespace string) []string {
	t.Helper()
	told.Lock()
	secrets := append([]string{}, told.secrets...)
	told.Unlock()
	var list corev1.SecretList
	if err := kube.List(background(t), &list, client.InNamespace(namespace)); err != nil {
		t.Fatalf("list Secrets: %v", err)
	}
	for _, secret := range list.Items {
		for key, value := range secret.Data {
			switch {
			case bytes.Contains(value, []byte("PRIVATE KEY-----")):
				secrets = append(secrets, keyLines(value)...)
			case strings.HasSuffix(key, ".jsonl"):
				secrets = append(secrets, hashes(t, key, value)...)
			case key == resources.SCRAMKey:
				secrets = append(secrets, formsOf(value)...)
			}
		}
	}
	return secrets
}

// hashes are the salts, hashes and keys of the verifiers in a bucket of the directory.
func hashes(t *testing.T, key string, value []byte) []string {
	t.Helper()
	bucket, err := directory.Decode(key, value)
	if err != nil {
		t.Fatalf("bucket %s: %v", key, err)
	}
	var found []string
	for _, record := range bucket.Records {
		for _, credential := range record.Credentials {
			for _, text := range []string{credential.Verifier, credential.SCRAM, credential.NT} {
				found = append(found, partsOf(text)...)
			}
		}
	}
	return found
}

// partsOf gives the parts of a verifier that are long enough to be recognized, and what they stand for.
func partsOf(text string) (parts []string) {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("${},", r) }) {
		if len(part) < 20 {
			continue
		}
		parts = append(parts, part)
		if octets, err := hex.DecodeString(part); err == nil {
			parts = append(parts, formsOf(octets)...)
		} else if octets, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(part, "=")); err == nil {
			parts = append(parts, formsOf(octets)...)
		}
	}
	return parts
}

// everythingTold is all that a namespace, its pods and the operator say, by place.
func everythingTold(t *testing.T, namespace string) map[string]string {
	t.Helper()
	told := podLogs(t, namespace)
	told["all objects"] = kubectl(t, "--namespace", namespace, "get", allKinds(t), "-o", "json")
	addMetrics(t, told, namespace)
	for name, log := range podLogs(t, systemNamespace) {
		told["log of "+name] = log
	}
	told["events of the operator"] = kubectl(t, "--namespace", systemNamespace, "get", "events", "-o", "json")
	addMetrics(t, told, systemNamespace)
	return told
}

// allKinds are all kinds of objects that namespaces have, but for Secrets.
func allKinds(t *testing.T) string {
	t.Helper()
	kinds := strings.Fields(kubectl(t, "api-resources", "--namespaced", "--verbs=list", "--output=name"))
	return strings.Join(slices.DeleteFunc(kinds, func(kind string) bool { return kind == "secrets" }), ",")
}

// addMetrics adds the metrics of all pods that have some.
func addMetrics(t *testing.T, told map[string]string, namespace string) {
	t.Helper()
	for _, pod := range podsBy(t, namespace, labels.Everything()) {
		if isReady(pod) {
			told["metrics of "+pod.Name] = metricsOf(t, pod)
		}
	}
}

// metricsOf reads a pod's metrics, which both programs serve on the same port.
func metricsOf(t *testing.T, pod corev1.Pod) string {
	t.Helper()
	httpClient := http.Client{Timeout: 10 * time.Second}
	response, err := httpClient.Get("http://" + net.JoinHostPort(pod.Status.PodIP, "8080") + "/metrics")
	if err != nil {
		t.Fatalf("metrics of %s: %v", pod.Name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("metrics of %s: %s, %v", pod.Name, response.Status, err)
	}
	return string(body)
}

// TestSecretsWouldBeFound plants a password in a ConfigMap: a search that finds nothing there would find nothing anywhere.
func TestSecretsWouldBeFound(t *testing.T) {
	t.Parallel()
	namespace := restrictedNamespace("e2e-planted")
	namespace.Labels[testLabel] = "true"
	create(t, namespace)
	defer deleteNamespace(t, namespace)
	planted := "planted 0123456789"
	create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "talkative"},
		Data: map[string]string{
			"as-it-is": planted, "base64": base64.StdEncoding.EncodeToString([]byte(planted)),
			"within": base64.StdEncoding.EncodeToString([]byte("\x00ab\x00" + planted)), // with four octets before it, and with five
			"third":  base64.StdEncoding.EncodeToString([]byte("user=" + planted + "\x01")),
		},
	})
	text := everythingTold(t, namespace.Name)["all objects"]
	if found := leaks(text, []string{planted}); len(found) != 4 {
		t.Errorf("found %d of 4 forms of planted secrets: %q", len(found), found)
	}
}

// TestNothingSecretIsTold brings about what programs like to log: failed logins, a bad verifier, a certificate whose key
// does not fit. The search itself follows when the namespace is given up, as in every other test.
func TestNothingSecretIsTold(t *testing.T) {
	t.Parallel()
	s := newService(t, "secrets")
	alice := s.newMailbox(t, "alice")
	wrong := newPassword()
	if err := s.login(alice.address(), wrong); err == nil {
		t.Error("a wrong password was taken")
	}
	if err := s.login(alice.address(), alice.password); err != nil {
		t.Error(err)
	}
	s.checkBadVerifierIsNotQuoted(t)
	s.checkBadKeyIsNotQuoted(t)
}

func (s *service) checkBadVerifierIsNotQuoted(t *testing.T) {
	t.Helper()
	bad := newPassword()
	secret := passwordSecret(s.Namespace, "bad-verifier", bad)
	secret.StringData = map[string]string{"verifier": bad}
	create(t, secret)
	bob := mailboxOf(s.PopService, "bob")
	bob.Spec.Credentials = []v1alpha1.Credential{{
		Name: "default", VerifierSecretRef: &v1alpha1.VerifierKeyReference{Name: secret.Name},
	}}
	create(t, bob)
	awaitCondition(t, bob, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, "")
}

// checkBadKeyIsNotQuoted puts a key into the TLS Secret that is not the certificate's. What was served goes on being served.
func (s *service) checkBadKeyIsNotQuoted(t *testing.T) {
	t.Helper()
	certificate, _ := s.authority.issue(t, s.host(), s.ip)
	_, other := s.authority.issue(t, s.host(), s.ip)
	secret := get(t, s.Namespace, tlsSecret, &corev1.Secret{})
	change(t, secret, func(secret *corev1.Secret) {
		secret.Data = map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: other}
	})
	awaitCondition(t, s.PopService, v1alpha1.ConditionCertificatesReady, metav1.ConditionFalse, "")
	s.dial(t, time.Minute)
}
