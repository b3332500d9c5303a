//go:build envtest

package envtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
)

const (
	patience     = time.Minute // for what must come; it never passes when all is well
	storageClass = "envtest"
	volumes      = 80
)

// makeVolumes makes what claims are bound to.
func makeVolumes(ctx context.Context) error {
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: storageClass,
		Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: "kubernetes.io/no-provisioner"}
	if err := kube.Create(ctx, class); err != nil {
		return err
	}
	for i := range volumes {
		volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("volume-%02d", i)},
			Spec: corev1.PersistentVolumeSpec{
				StorageClassName: storageClass,
				Capacity:         corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadWriteMany},
				PersistentVolumeSource: corev1.PersistentVolumeSource{
					HostPath: &corev1.HostPathVolumeSource{Path: "/unused"}},
			}}
		if err := kube.Create(ctx, volume); err != nil {
			return err
		}
	}
	return nil
}

// world is a namespace of a test's own.
type world struct {
	*testing.T
	ctx       context.Context
	namespace string
}

// newWorld makes a namespace, and lets the test run beside others.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	w := &world{T: t, ctx: t.Context()}
	w.must(kube.Create(w.ctx, namespace))
	w.namespace = namespace.Name
	t.Cleanup(func() {
		if t.Failed() {
			w.dump()
		}
		_ = kube.Delete(context.Background(), namespace)
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// dump shows what there is at a failure.
func (w *world) dump() {
	ctx := context.Background()
	var services v1alpha1.PopServiceList
	var mailboxes v1alpha1.MailboxList
	var pods corev1.PodList
	_ = kube.List(ctx, &services, client.InNamespace(w.namespace))
	_ = kube.List(ctx, &mailboxes, client.InNamespace(w.namespace))
	_ = kube.List(ctx, &pods, client.InNamespace(w.namespace))
	for _, s := range services.Items {
		w.Logf("PopService %s: %s", s.Name, describe(s.Status.Conditions))
	}
	for _, m := range mailboxes.Items {
		w.Logf("Mailbox %s: %s", m.Name, describe(m.Status.Conditions))
	}
	for _, p := range pods.Items {
		w.Logf("Pod %s: %s %v %v", p.Name, p.Status.Phase, p.Status.PodIP, p.Annotations)
	}
}

func describe(conditions []metav1.Condition) string {
	var text strings.Builder
	for _, c := range conditions {
		fmt.Fprintf(&text, "\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return text.String()
}

// await waits until f finds nothing to say.
func (w *world) await(what string, f func() string) {
	w.Helper()
	deadline := time.Now().Add(patience)
	for {
		missing := f()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s did not come: %s", what, missing)
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

func (w *world) create(objects ...client.Object) {
	w.Helper()
	for _, object := range objects {
		object.SetNamespace(w.namespace)
		w.must(kube.Create(w.ctx, object))
	}
}

func (w *world) get(name string, object client.Object) {
	w.Helper()
	w.must(kube.Get(w.ctx, w.key(name), object))
}

func (w *world) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: w.namespace, Name: name}
}

// service makes a PopService named pop that refers to the TLS Secret pop-tls.
func service(change ...func(*v1alpha1.PopServiceSpec)) *v1alpha1.PopService {
	s := &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop"}, Spec: v1alpha1.PopServiceSpec{
		TLS: &v1alpha1.TLS{Certificates: []v1alpha1.Certificate{{
			Name: "default", SecretRef: v1alpha1.LocalSecretReference{Name: "pop-tls"}}}},
		Timeouts: v1alpha1.Timeouts{DrainSeconds: 1},
	}}
	for _, c := range change {
		c(&s.Spec)
	}
	return s
}

// mailbox makes NAME@example.com with the password in the Secret NAME.
func mailbox(name string, change ...func(*v1alpha1.MailboxSpec)) *v1alpha1.Mailbox {
	m := &v1alpha1.Mailbox{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.MailboxSpec{
		ServiceRef: v1alpha1.ServiceReference{Name: "pop"},
		Address:    v1alpha1.Address(name + "@example.com"),
		Credentials: []v1alpha1.Credential{{
			Name: "default", PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: name}}},
	}}
	for _, c := range change {
		c(&m.Spec)
	}
	return m
}

func password(name, text string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"password": text}}
}

// certificate makes the Secret pop-tls with a new certificate.
func certificate(t *testing.T) *corev1.Secret {
	t.Helper()
	chain, key := selfSigned(t, time.Now().Add(time.Hour))
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pop-tls"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: key}}
}

func selfSigned(t *testing.T, notAfter time.Time) (chain, private []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "pop.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter, DNSNames: []string{"pop.test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// running makes a PopService that serves alice and bob, whose passwords are "one", and waits until all is ready.
func (w *world) running(change ...func(*v1alpha1.PopServiceSpec)) {
	w.Helper()
	w.create(certificate(w.T), password("alice", "one"), password("bob", "one"))
	w.create(service(change...), mailbox("alice"), mailbox("bob"))
	w.awaitReady("pop")
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.awaitMailbox("bob", metav1.ConditionTrue, "Serving")
}

func (w *world) awaitReady(name string) {
	w.Helper()
	w.awaitService(name, metav1.ConditionTrue, "Serving")
}

// awaitService waits for a PopService's Ready condition, as of its present generation.
func (w *world) awaitService(name string, status metav1.ConditionStatus, reason string) {
	w.Helper()
	w.await("PopService "+name+" "+reason, func() string {
		var s v1alpha1.PopService
		w.get(name, &s)
		return mismatch(s.Status.Conditions, s.Generation, s.Status.ObservedGeneration, status, reason)
	})
}

func (w *world) awaitMailbox(name string, status metav1.ConditionStatus, reason string) {
	w.Helper()
	w.await("Mailbox "+name+" "+reason, func() string {
		var m v1alpha1.Mailbox
		w.get(name, &m)
		return mismatch(m.Status.Conditions, m.Generation, m.Status.ObservedGeneration, status, reason)
	})
}

// mismatch says what is missing, and fails on what kstatus would not understand.
func mismatch(all []metav1.Condition, generation, observed int64, status metav1.ConditionStatus, reason string) string {
	ready := meta.FindStatusCondition(all, v1alpha1.ConditionReady)
	reconciling := meta.FindStatusCondition(all, v1alpha1.ConditionReconciling)
	stalled := meta.FindStatusCondition(all, v1alpha1.ConditionStalled)
	switch {
	case ready == nil || observed != generation || ready.ObservedGeneration != generation:
		return "the status is not of this generation: " + describe(all)
	case ready.Status == metav1.ConditionTrue && (reconciling != nil || stalled != nil):
		return "Ready together with Reconciling or Stalled: " + describe(all)
	case ready.Status != metav1.ConditionTrue && (reconciling == nil) == (stalled == nil):
		return "not Ready, and not one of Reconciling and Stalled: " + describe(all)
	case ready.Status != status || ready.Reason != reason:
		return describe(all)
	}
	return ""
}

// message gives the message of a PopService's condition.
func message(conditions []metav1.Condition, kind string) string {
	if c := meta.FindStatusCondition(conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

// pod gives the one pod that there is; one that belonged to a PopService which was deleted may take a moment to go.
func (w *world) pod() *corev1.Pod {
	w.Helper()
	var pods corev1.PodList
	w.await("one pod", func() string {
		w.must(kube.List(w.ctx, &pods, client.InNamespace(w.namespace), client.MatchingLabels(names.SelectorLabels("pop"))))
		if len(pods.Items) != 1 {
			return fmt.Sprintf("%d pods", len(pods.Items))
		}
		return ""
	})
	return &pods.Items[0]
}

// pop3 is a client of the one pod.
type pop3 struct {
	*tls.Conn
	w *world
}

// dial connects with TLS from the start and takes the greeting.
func (w *world) dial() (*pop3, string) {
	w.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // the tests compare fingerprints
	conn, err := dialer.DialContext(w.ctx, "tcp", w.pod().Status.PodIP+":1995")
	w.must(err)
	w.must(conn.SetDeadline(time.Now().Add(patience)))
	p := &pop3{conn.(*tls.Conn), w}
	w.Cleanup(func() { _ = conn.Close() })
	return p, p.line()
}

func (p *pop3) line() string {
	p.w.Helper()
	var line []byte
	for octet := make([]byte, 1); ; {
		if _, err := p.Read(octet); err != nil {
			p.w.Fatalf("read a line: %v", err)
		}
		if octet[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r")
		}
		line = append(line, octet[0])
	}
}

func (p *pop3) do(command string) string {
	p.w.Helper()
	if _, err := p.Write([]byte(command + "\r\n")); err != nil {
		p.w.Fatal(err)
	}
	return p.line()
}

// logsIn tells whether a password is right.
func (w *world) logsIn(user, password string) bool {
	w.Helper()
	p, _ := w.dial()
	p.do("USER " + user)
	return strings.HasPrefix(p.do("PASS "+password), "+OK")
}
