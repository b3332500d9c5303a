package popservice

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/popservice/popservice/api/v1alpha1"
	mailboxes "github.com/popservice/popservice/controllers/directory"
	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/fleet"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/control"
)

// pair makes a certificate with its key, valid for an hour around a time.
func pair(t *testing.T, at time.Time) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: at.Add(-30 * time.Minute),
		NotAfter: at.Add(30 * time.Minute)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}),
	}
}

func TestCheckCertificates(t *testing.T) {
	now := time.Now()
	good, other := pair(t, now), pair(t, now)
	before := map[string][]byte{"default.crt": other["tls.crt"], "default.key": other["tls.key"], "gone.crt": other["tls.crt"]}
	mixed := map[string][]byte{"tls.crt": good["tls.crt"], "tls.key": other["tls.key"]}
	spec := &v1alpha1.TLS{Certificates: []v1alpha1.Certificate{{Name: "default",
		SecretRef: v1alpha1.LocalSecretReference{Name: "s"}}}}
	for _, test := range []struct {
		name   string
		source map[string][]byte
		before map[string][]byte
		reason string
		serves map[string][]byte // nil for nothing
		says   string
	}{
		{"good", good, before, "", good, ""},
		{"missing at first", nil, nil, reasonSecretNotFound, nil, "kubectl create secret tls s"},
		{"missing later", nil, before, reasonSecretNotFound, other, "the one that they had"},
		{"key of another one", mixed, before, reasonInvalidCertificate, other, "private key does not match"},
		{"no key", map[string][]byte{"tls.crt": good["tls.crt"]}, before, reasonInvalidCertificate, other, "no tls.key"},
		{"expired", pair(t, now.Add(-time.Hour)), nil, reasonCertificateExpired, nil, "expired at"},
		{"of tomorrow", pair(t, now.Add(time.Hour)), nil, reasonCertificateNotYetValid, nil, "from"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sources := map[string]*corev1.Secret{}
			if test.source != nil {
				sources["s"] = &corev1.Secret{Data: test.source}
			}
			found, bundle := checkCertificates(spec, sources, test.before, now)
			if found[0].reason != test.reason || !strings.Contains(found[0].problem, test.says) {
				t.Errorf("%q: %q, want %q that says %q", found[0].reason, found[0].problem, test.reason, test.says)
			}
			if test.serves != nil && string(bundle["default.crt"]) != string(test.serves["tls.crt"]) {
				t.Error("the servers get another certificate")
			}
			if _, ok := bundle["gone.crt"]; ok {
				t.Error("a certificate that the spec names no more is still there")
			}
			if _, ok := bundle["default.crt"]; ok != (found[0].fingerprint != "") {
				t.Errorf("fingerprint %q, served %t", found[0].fingerprint, ok)
			}
		})
	}
}

// world is a PopService in whose way nothing is; a test changes one thing.
func world(change ...func(*state)) *state {
	service := &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: "mail", UID: "u"}}
	service.Spec.Limits.MaxCommandOctets = 512
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")}
	s := &state{
		service:      service,
		input:        resources.Input{Service: service},
		config:       resources.Config{Revision: "r1"},
		certificates: []certificate{{name: "default", fingerprint: "f1"}},
		claim: &corev1.PersistentVolumeClaim{
			Spec:   corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{Requests: size}},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: size},
		},
		deployment: &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: "u",
			Controller: new(true)}}}, Status: appsv1.DeploymentStatus{Replicas: 1, ReadyReplicas: 1, UpdatedReplicas: 1}},
		servers: []fleet.Server{{Name: "pod-1", Ready: true, Status: &control.Status{
			Config:       control.Config{Revision: "r1"},
			Directory:    control.Directory{Revisions: map[string]int64{"2a": 7}},
			Certificates: []control.Certificate{{Name: "default", Fingerprint: "f1"}},
		}}},
		directory: written{revisions: map[string]int64{"2a": 7}, since: map[string]int64{"2a": 3}},
		failures:  map[string]error{},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func TestConditions(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "persistentvolumeclaims"}, "pop-maildrops",
		errors.New("no expansion"))
	for _, test := range []struct {
		name   string
		change func(*state)
		// condition is false for the reason, which Ready tells too, with Reconciling or Stalled beside it.
		condition, reason, also string
	}{
		{"all is well", func(*state) {}, "", "Serving", ""},
		{"missing Secret", func(s *state) { s.certificates[0].reason = reasonSecretNotFound }, "CertificatesReady",
			"SecretNotFound", "Stalled"},
		{"no authorities of MTAs", func(s *state) {
			s.lmtpTLS = []certificate{{use: useLMTP}, {use: useClientCA, reason: reasonInvalidCertificate}}
		}, "CertificatesReady", "InvalidCertificate", "Stalled"},
		{"certificate on its way", func(s *state) { s.certificates[0].fingerprint = "f2" }, "CertificatesReady",
			"NotServedYet", "Reconciling"},
		{"claim waits", func(s *state) { s.claim.Status.Phase = corev1.ClaimPending }, "StorageReady", "ClaimPending", "Reconciling"},
		{"volume without locks", func(s *state) { s.servers[0].Status.Store.Error = "locks keep nobody out" }, "StorageReady",
			"VolumeUnfit", "Stalled"},
		{"claim lost", func(s *state) { s.claim.Status.Phase = corev1.ClaimLost }, "StorageReady", "ClaimLost", "Stalled"},
		{"claim deleted", func(s *state) { s.claim.DeletionTimestamp = new(metav1.Now()) }, "StorageReady", "ClaimDeleting",
			"Stalled"},
		{"claim refused", func(s *state) { s.failures["PersistentVolumeClaim pop-maildrops"] = forbidden }, "StorageReady",
			"ClaimRefused", "Stalled"},
		{"no pod", func(s *state) { s.deployment.Status = appsv1.DeploymentStatus{} }, "Available", "Starting", "Reconciling"},
		{"pod fails", func(s *state) {
			s.deployment.Status = appsv1.DeploymentStatus{}
			s.pods = []corev1.Pod{{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull"}}}}}}}
		}, "Available", "PodFailing", "Reconciling"},
		{"no node", func(s *state) {
			s.deployment.Status = appsv1.DeploymentStatus{}
			s.pods = []corev1.Pod{{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable"}}}}}
		}, "Available", "PodFailing", "Reconciling"},
		{"no pod before the directory is there", func(s *state) {
			s.deployment, s.servers = nil, nil
			s.certificates = nil
			s.directory.missing = map[string]bool{"2b": true}
		}, "Available", "Starting", "Reconciling"},
		{"a Deployment of the one that had the name before", func(s *state) {
			s.deployment.OwnerReferences[0].UID, s.deployment.Status = "other", appsv1.DeploymentStatus{}
			s.directory.missing = map[string]bool{"2b": true}
		}, "Available", "Starting", "Reconciling"},
		{"other defaults, and a bucket that cannot be written", func(s *state) {
			s.directory.outdated, s.trouble.Reason = map[string]bool{"2a": true}, mailboxes.ReasonRefused
		}, "DirectorySynced", "Syncing", "Reconciling"},
		{"a Deployment that has just been written", func(s *state) { s.rollsOut = true }, "", "Updating", "Reconciling"},
		{"a bucket of other defaults", func(s *state) { s.directory.outdated = map[string]bool{"2a": true} }, "DirectorySynced",
			"Syncing", "Reconciling"},
		{"a server with other defaults", func(s *state) { s.directory.since["2a"] = 8 }, "DirectorySynced", "Syncing",
			"Reconciling"},
		{"a bucket that cannot be written, for the first time", func(s *state) {
			s.trouble.Reason = mailboxes.ReasonRefused
			s.certificates, s.config, s.servers[0].Status.Config = nil, resources.Config{}, control.Config{}
			s.deployment = nil
			s.directory.missing = map[string]bool{"2b": true}
		}, "DirectorySynced", "RefusedByAPIServer", "Stalled"},
		{"pods are replaced", func(s *state) { s.deployment.Status.UpdatedReplicas = 0 }, "", "Updating", "Reconciling"},
		{"replicas 0", func(s *state) { s.service.Spec.Replicas = new(int32(0)) }, "Available", "ScaledToZero", "Stalled"},
		{"bad configuration", func(s *state) { s.configErr = errors.New("banner: no") }, "ConfigurationApplied",
			"InvalidConfiguration", "Stalled"},
		{"configuration on its way", func(s *state) { s.config.Revision = "r2" }, "ConfigurationApplied", "Applying", "Reconciling"},
		{"configuration refused", func(s *state) {
			s.config.Revision = "r2"
			s.servers[0].Status.Config.Error = "no"
		}, "ConfigurationApplied", "ConfigurationRefused", "Reconciling"},
		{"server cannot be asked", func(s *state) {
			s.servers[0].Status = nil
			s.certificates = nil
		}, "ConfigurationApplied", "ServerUnreachable", "Reconciling"},
		{"bucket refused", func(s *state) { s.servers[0].Status.Directory.Errors = map[string]string{"2a": "no"} },
			"DirectorySynced", "BucketRefused", "Reconciling"},
		{"object of somebody else", func(s *state) {
			s.failures["Service pop"] = &apply.ForeignError{Kind: "Service", Name: "pop"}
		}, "", "ObjectExists", "Stalled"},
		{"no answer", func(s *state) { s.failures["Service pop"] = errors.New("timeout") }, "", "ApplyFailed", "Reconciling"},
		{"what needs the user comes first", func(s *state) {
			s.claim.Status.Phase = corev1.ClaimPending
			s.configErr = errors.New("banner: no")
		}, "ConfigurationApplied", "InvalidConfiguration", "Stalled"},
		{"growing is no hindrance", func(s *state) {
			s.claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
		}, "", "Serving", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkConditions(t, summarize(world(test.change).findings()), test.condition, test.reason, test.also)
		})
	}
}

func checkConditions(t *testing.T, got []metav1.Condition, condition, reason, also string) {
	t.Helper()
	ready := meta.FindStatusCondition(got, v1alpha1.ConditionReady)
	if ready.Reason != reason || (ready.Status == metav1.ConditionTrue) != (also == "") {
		t.Errorf("Ready is %s %s: %s; want %s", ready.Status, ready.Reason, ready.Message, reason)
	}
	if c := meta.FindStatusCondition(got,
		condition); condition != "" && (c.Status != metav1.ConditionFalse || c.Reason != reason) {
		t.Errorf("%s is %s %s", condition, c.Status, c.Reason)
	}
	for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if (meta.FindStatusCondition(got, kind) != nil) != (kind == also) {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}

func TestShortCommandsAreToldAndServed(t *testing.T) {
	got := summarize(world(func(s *state) { s.service.Spec.Limits.MaxCommandOctets = 254 }).findings())
	if !meta.IsStatusConditionTrue(got, v1alpha1.ConditionReady) || !meta.IsStatusConditionFalse(got,
		v1alpha1.ConditionRFC2449Conformant) {
		t.Errorf("%+v", got)
	}
}

func TestServedCertificates(t *testing.T) {
	if got := world().servedCertificates(); len(got) != 1 || got[0].Fingerprint != "f1" {
		t.Errorf("%+v", got)
	}
	if got := world(func(s *state) { s.certificates[0].fingerprint = "f2" }).servedCertificates(); len(got) != 0 {
		t.Errorf("a certificate that is not served yet is told: %+v", got)
	}
}

// Mailboxes that change all the time do not make the PopService come and go.
func TestDirectoryOnItsWay(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name   string
		age    time.Duration
		synced metav1.ConditionStatus
	}{
		{"just written", time.Second, metav1.ConditionTrue},
		{"written some time ago", time.Minute, metav1.ConditionFalse},
	} {
		s := world(func(s *state) { s.now, s.directory.revisions["2a"] = now, now.Add(-test.age).UnixMilli() })
		got := summarize(s.findings())
		c := meta.FindStatusCondition(got, v1alpha1.ConditionDirectorySynced)
		if c.Status != test.synced || !meta.IsStatusConditionTrue(got, v1alpha1.ConditionReady) || !s.isSyncing() {
			t.Errorf("%s: %+v, looked at again soon: %t", test.name, got, s.isSyncing())
		}
	}
}

// A bucket that cannot be written is told; it is no hindrance to those who are served.
func TestTroubledBucket(t *testing.T) {
	got := summarize(world(func(s *state) { s.trouble.Reason = mailboxes.ReasonRefused }).findings())
	if !meta.IsStatusConditionTrue(got, v1alpha1.ConditionReady) ||
		!meta.IsStatusConditionFalse(got, v1alpha1.ConditionDirectorySynced) {
		t.Errorf("%+v", got)
	}
}

// What does not come is looked at ever more rarely; a new change begins anew.
func TestPatience(t *testing.T) {
	now := time.Now()
	for _, test := range []struct{ reconciling, written, want time.Duration }{
		{time.Second, time.Hour, whileChanging},
		{2 * time.Minute, time.Hour, whenSlow},
		{time.Hour, time.Hour, whenSettled},
		{time.Hour, time.Second, whileChanging},
	} {
		s := world(func(s *state) { s.now = now })
		s.service.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue,
			LastTransitionTime: metav1.NewTime(now.Add(-test.reconciling))}}
		if got, err := s.result(now.Add(-test.written)); err != nil || got.RequeueAfter != test.want {
			t.Errorf("reconciling for %s, written %s ago: %s (%v), want %s", test.reconciling, test.written, got.RequeueAfter, err,
				test.want)
		}
	}
}

// A bad certificate of the LMTP port takes neither the one before it away nor the authorities of the clients.
func TestLMTPTLSKeepsWhatThereIs(t *testing.T) {
	now := time.Now()
	good := pair(t, now)
	spec := &v1alpha1.LMTPTLS{SecretRef: v1alpha1.LocalSecretReference{Name: "s"},
		ClientCASecretRef: &v1alpha1.LocalSecretReference{Name: "ca"}}
	sources := map[string]*corev1.Secret{"s": {Data: good}, "ca": {Data: map[string][]byte{"ca.crt": good["tls.crt"]}}}
	before := make(map[string][]byte)
	first := addLMTPTLS(before, spec, sources, nil, now)
	if len(first) != 2 || first[0].reason+first[1].reason != "" || len(before) != 3 {
		t.Fatalf("%+v, %d files", first, len(before))
	}
	for name, reason := range map[string]string{"s": reasonSecretNotFound, "ca": reasonInvalidCertificate} {
		left := map[string]*corev1.Secret{"s": sources["s"], "ca": sources["ca"]}
		delete(left, name)
		after := make(map[string][]byte)
		kept := addLMTPTLS(after, spec, left, before, now)
		if kept[0].reason+kept[1].reason != reason || len(after) != 3 {
			t.Errorf("without %s: %+v, %d files are left", name, kept, len(after))
		}
		if kept[0].fingerprint != first[0].fingerprint || kept[1].fingerprint != first[1].fingerprint {
			t.Errorf("without %s: %+v are to be served, want those of before: %+v", name, kept, first)
		}
	}
	if late := addLMTPTLS(before, spec, sources, nil, now.Add(time.Hour)); late[0].reason != reasonCertificateExpired {
		t.Errorf("an hour later: %+v", late)
	}
}

// A server that does not run the configuration that names LMTP's TLS does not serve it, whatever it tells.
func TestLMTPTLSWithoutItsConfiguration(t *testing.T) {
	for _, told := range []*control.LMTPTLS{nil, {Certificate: control.Certificate{Fingerprint: "f2"}}} {
		s := world(func(s *state) {
			s.lmtpTLS = []certificate{{name: "l", use: useLMTP, fingerprint: "f2"}}
			s.servers[0].Status.LMTPTLS, s.servers[0].Status.Config.Revision = told, "before"
		})
		if f := s.certificatesReady(); f.Reason != reasonNotServedYet {
			t.Errorf("told %+v: %+v", told, f)
		}
	}
}

// Servers are asked for what the LMTP port makes TLS with as for the listeners' certificates; of one that is of a version which
// does not tell, nothing is waited for.
func TestLMTPTLSOnItsWay(t *testing.T) {
	told := func(certificate string, ca *control.ClientCA) *control.LMTPTLS {
		return &control.LMTPTLS{Certificate: control.Certificate{Fingerprint: certificate}, ClientCA: ca}
	}
	for _, test := range []struct {
		name   string
		told   *control.LMTPTLS
		loaded bool
	}{
		{"both loaded", told("f2", &control.ClientCA{Fingerprint: "f3"}), true},
		{"the certificate of before", told("f1", &control.ClientCA{Fingerprint: "f3"}), false},
		{"the authorities of before", told("f2", &control.ClientCA{Fingerprint: "f1", Error: "no"}), false},
		{"nothing could be read", told("", &control.ClientCA{}), false},
		{"a server that does not tell", nil, true},
	} {
		s := world(func(s *state) {
			s.lmtpTLS = []certificate{{name: "l", use: useLMTP, fingerprint: "f2"}, {name: "c", use: useClientCA, fingerprint: "f3"}}
			s.servers[0].Status.LMTPTLS = test.told
		})
		if got := s.isCurrent(s.servers[0].Status); got != test.loaded {
			t.Errorf("%s: current is %t", test.name, got)
		}
		condition, reason, also := "", "Serving", ""
		if !test.loaded {
			condition, reason, also = "CertificatesReady", "NotServedYet", "Reconciling"
		}
		checkConditions(t, summarize(s.findings()), condition, reason, also)
		if served := s.servedCertificates(); len(served) != 1 {
			t.Errorf("%s: the status tells of %+v, want the listeners' alone", test.name, served)
		}
	}
}
