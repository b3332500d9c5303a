//go:build envtest

package envtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers"
)

// patch changes an object's spec as kubectl patch --type=merge does.
func (w *world) patch(object client.Object, name string, change any) {
	w.Helper()
	text, err := json.Marshal(change)
	w.must(err)
	object.SetNamespace(w.namespace)
	object.SetName(name)
	w.must(kube.Patch(w.ctx, object, client.RawPatch(types.MergePatchType, text)))
}

type fields = map[string]any

func TestServesMailboxes(t *testing.T) {
	w := newWorld(t)
	w.running()
	if !w.logsIn("alice@example.com", "one") || !w.logsIn("bob@example.com", "one") {
		t.Error("a right password was refused")
	}
	if w.logsIn("alice@example.com", "two") {
		t.Error("a wrong password was taken")
	}
	w.await("the count of mailboxes", func() string {
		var s v1alpha1.PopService
		w.get("pop", &s)
		if s.Status.Mailboxes.Total != 2 || s.Status.Mailboxes.Ready != 2 || s.Status.ReadyReplicas != 1 {
			return fmt.Sprintf("%+v", s.Status)
		}
		return ""
	})
}

// ornate uses every field whose value the API server may give back in another form.
func ornate(s *v1alpha1.PopServiceSpec) {
	peers := []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "192.0.2.0/24"}},
		{PodSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}}
	s.Delivery.LMTP.From, s.NetworkPolicy.MetricsFrom = peers, peers
	s.Storage.Volume.Size = resource.MustParse("1024Mi")
	s.Service = v1alpha1.ServiceTemplate{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: "Local",
		LoadBalancerClass: new("example.com/lb"), LoadBalancerSourceRanges: []string{"192.0.2.0/24", "198.51.100.0/24"},
		Annotations: map[string]string{"example.com/lb": "x"}}
	s.Pod = v1alpha1.PodTemplate{
		Resources: v1alpha1.Resources{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0.05"),
				corev1.ResourceMemory: resource.MustParse("0.1234Gi")},
			Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000m"),
				corev1.ResourceMemory: resource.MustParse("1024Mi")},
		},
		NodeSelector: map[string]string{"kubernetes.io/os": "linux"},
		Tolerations: []corev1.Toleration{{Key: "mail", Operator: corev1.TolerationOpExists},
			{Operator: corev1.TolerationOpExists}},
		PriorityClassName: "system-cluster-critical",
		Labels:            map[string]string{"example.com/team": "mail"},
		Annotations:       map[string]string{"example.com/note": "x"},
	}
	s.Image = v1alpha1.Image{Reference: "example.com/pop3d:1", PullPolicy: corev1.PullAlways,
		PullSecrets: []v1alpha1.LocalSecretReference{{Name: "a"}, {Name: "b"}}}
}

// A steady state writes nothing: neither in the time of two looks at the servers, nor when the operator starts anew.
func TestSteadyStateWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.running(ornate)
	w.await("two looks at the servers without a write", func() string {
		before := watched.count()
		select {
		case <-time.After(35 * time.Second): // the operator looks every 30 seconds
		case <-w.ctx.Done():
		}
		if written := watched.in(w.namespace, before); len(written) > 0 {
			return strings.Join(written, ", ")
		}
		return ""
	})
	var second writes
	stop, err := startOperator(config, second.record)
	w.must(err)
	defer stop()
	before := watched.count()
	select {
	case <-time.After(5 * time.Second): // it has seen everything by then
	case <-w.ctx.Done():
	}
	if written := slices.Concat(second.in(w.namespace, 0), watched.in(w.namespace, before)); len(written) > 0 {
		t.Errorf("an operator that was started anew wrote %s", strings.Join(written, ", "))
	}
}

func TestMissingCertificateIsToldAndHeals(t *testing.T) {
	w := newWorld(t)
	w.create(service())
	w.awaitService("pop", metav1.ConditionFalse, "SecretNotFound")
	var s v1alpha1.PopService
	w.get("pop", &s)
	if text := message(s.Status.Conditions, v1alpha1.ConditionReady); !strings.Contains(text,
		"kubectl create secret tls pop-tls") {
		t.Errorf("the message does not say what to do: %s", text)
	}
	w.awaitEvent("PopService", "SecretNotFound")
	w.create(certificate(t))
	w.awaitReady("pop")
}

func (w *world) awaitEvent(kind, reason string) {
	w.Helper()
	w.await("event "+reason, func() string {
		var events corev1.EventList
		w.must(kube.List(w.ctx, &events, client.InNamespace(w.namespace)))
		for _, e := range events.Items {
			if e.InvolvedObject.Kind == kind && e.Reason == reason && e.Type == corev1.EventTypeWarning {
				return ""
			}
		}
		return fmt.Sprintf("%d events, none of them", len(events.Items))
	})
}

// A bad Secret never takes the certificate away that is served.
func TestCertificateRotates(t *testing.T) {
	w := newWorld(t)
	w.running()
	open, _ := w.dial()
	first := open.ConnectionState().PeerCertificates[0].Raw
	pod := w.pod().UID

	w.patch(&corev1.Secret{}, "pop-tls", fields{"data": certificate(t).Data})
	w.await("another certificate", func() string {
		p, _ := w.dial()
		if slices.Equal(p.ConnectionState().PeerCertificates[0].Raw, first) {
			return "the first one is served"
		}
		return ""
	})
	w.awaitReady("pop")
	if answer := open.do("CAPA"); !strings.HasPrefix(answer, "+OK") {
		t.Errorf("the session that was open got %q", answer)
	}
	w.patch(&corev1.Secret{}, "pop-tls", fields{"data": fields{"tls.key": certificate(t).Data["tls.key"]}})
	w.awaitService("pop", metav1.ConditionFalse, "InvalidCertificate")
	w.dial()
	var served corev1.Secret
	if w.get("pop-certificates", &served); len(served.Data["default.crt"]) == 0 {
		t.Error("the good certificate was taken away from the servers, which a new pod would miss")
	}
	if w.pod().UID != pod {
		t.Error("the pod was replaced")
	}
	w.patch(&corev1.Secret{}, "pop-tls", fields{"data": certificate(t).Data})
	w.awaitReady("pop")
}

// Settings that are live reach the servers without a new pod.
func TestSettingsChangeLive(t *testing.T) {
	w := newWorld(t)
	w.running()
	pod := w.pod().UID
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"banner": "Hello there.",
		"limits": fields{"maxCommandOctets": 100}}})
	w.awaitReady("pop")
	if _, greeting := w.dial(); greeting != "+OK Hello there." {
		t.Errorf("the greeting is %q", greeting)
	}
	var s v1alpha1.PopService
	w.get("pop", &s)
	if text := message(s.Status.Conditions, v1alpha1.ConditionRFC2449Conformant); !strings.Contains(text, "255") {
		t.Errorf("a limit of 100 octets is not told: %q", text)
	}
	if w.pod().UID != pod {
		t.Error("the pod was replaced")
	}
}

func TestListenersChangeThePods(t *testing.T) {
	w := newWorld(t)
	w.running()
	pod := w.pod().UID
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"listeners": []fields{
		{"name": "pop3s", "port": 995, "security": "ImplicitTLS"}, {"name": "plain", "port": 1110, "security": "Plaintext"}}}})
	w.awaitReady("pop")
	if w.pod().UID == pod {
		t.Error("the PopService is ready for a generation that its pod has never seen")
	}
	w.dial()
}

// A PopService is at no time ready for a generation that its pods have never seen, also where the configuration is the same.
func TestReadyWaitsForTheRollout(t *testing.T) {
	w := newWorld(t)
	w.running()
	watching, err := client.NewWithWatch(config, client.Options{Scheme: controllers.Scheme()})
	w.must(err)
	seen, err := watching.Watch(w.ctx, &v1alpha1.PopServiceList{}, client.InNamespace(w.namespace))
	w.must(err)
	defer seen.Stop()
	held.Store(w.namespace, true) // the new pod does not start
	defer held.Delete(w.namespace)
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"pod": fields{"labels": fields{"example.com/team": "mail"}}}})
	w.awaitService("pop", metav1.ConditionFalse, "Starting")
	for observed := int64(0); observed < 2; {
		s := (<-seen.ResultChan()).Object.(*v1alpha1.PopService)
		ready := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady)
		if observed = s.Status.ObservedGeneration; observed == 2 && ready.Status == metav1.ConditionTrue {
			t.Error("it was ready while the new pod had not started")
		}
	}
	held.Delete(w.namespace)
	w.awaitReady("pop")
}

// awaitOtherPod waits until another pod than this one serves, alone.
func (w *world) awaitOtherPod(uid types.UID) {
	w.Helper()
	w.await("another pod", func() string {
		var pods corev1.PodList
		w.must(kube.List(w.ctx, &pods, client.InNamespace(w.namespace)))
		if len(pods.Items) != 1 || pods.Items[0].UID == uid {
			return fmt.Sprintf("%d pods", len(pods.Items))
		}
		for _, c := range pods.Items[0].Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return ""
			}
		}
		return "it is not ready"
	})
}

// A claim outlives its PopService, and is taken up again by the next one.
func TestDeletedServiceLeavesTheMail(t *testing.T) {
	w := newWorld(t)
	w.running()
	var claim corev1.PersistentVolumeClaim
	w.get("pop-maildrops", &claim)
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}}))
	for name, object := range map[string]client.Object{
		"pop-pop3d": &appsv1.Deployment{}, "pop": &corev1.Service{}, "pop-lmtp": &corev1.Service{}, "pop-config": &corev1.ConfigMap{},
		"pop-control-ca": &corev1.Secret{}, "pop-certificates": &corev1.Secret{},
	} {
		w.awaitGone(name, object)
	}
	w.awaitMailbox("alice", metav1.ConditionFalse, "ServiceNotFound")
	var left corev1.PersistentVolumeClaim
	w.get("pop-maildrops", &left)
	if left.UID != claim.UID || left.DeletionTimestamp != nil || left.Status.Phase != corev1.ClaimBound {
		t.Fatalf("the claim did not stay: %+v", left.Status)
	}
	w.create(service())
	w.awaitReady("pop")
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.get("pop-maildrops", &left)
	if left.UID != claim.UID || !w.logsIn("alice@example.com", "one") {
		t.Error("the claim was not taken up again")
	}
}

func (w *world) awaitGone(name string, object client.Object) {
	w.Helper()
	w.await(fmt.Sprintf("the end of %T %s", object, name), func() string {
		if err := kube.Get(w.ctx, w.key(name), object); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("it is there (%v)", err)
		}
		return ""
	})
}

func TestClaimGoesWhereAsked(t *testing.T) {
	w := newWorld(t)
	w.running(func(s *v1alpha1.PopServiceSpec) { s.Storage.OnDelete = v1alpha1.Delete })
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}}))
	w.awaitGone("pop-maildrops", &corev1.PersistentVolumeClaim{})
}

// The last word counts: what onDelete says when the PopService is deleted.
func TestChangeOfMindKeepsTheMail(t *testing.T) {
	w := newWorld(t)
	w.running(func(s *v1alpha1.PopServiceSpec) { s.Storage.OnDelete = v1alpha1.Delete })
	var claim corev1.PersistentVolumeClaim
	if w.get("pop-maildrops", &claim); len(claim.OwnerReferences) > 0 {
		t.Errorf("the claim has an owner, with which it would go whatever is said later: %+v", claim.OwnerReferences)
	}
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"storage": fields{"onDelete": "Retain"}}})
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}}))
	w.awaitGone("pop", &v1alpha1.PopService{})
	w.awaitGone("pop-config", &corev1.ConfigMap{}) // the garbage collector has been at work
	if w.get("pop-maildrops", &claim); claim.DeletionTimestamp != nil || len(claim.OwnerReferences) > 0 {
		t.Errorf("the claim goes: %+v", claim.ObjectMeta)
	}
}

// So does whoever asks for the objects of a PopService to stay.
func TestOrphaningKeepsTheMail(t *testing.T) {
	w := newWorld(t)
	w.running(func(s *v1alpha1.PopServiceSpec) { s.Storage.OnDelete = v1alpha1.Delete })
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}},
		client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	w.awaitGone("pop", &v1alpha1.PopService{})
	var claim corev1.PersistentVolumeClaim
	if w.get("pop-maildrops", &claim); claim.DeletionTimestamp != nil {
		t.Error("the claim goes")
	}
}

// A claim of another class than the spec's, which cannot be applied, does not hold up a deletion either.
func TestClaimOfAnotherClass(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}}))
	w.awaitGone("pop", &v1alpha1.PopService{})
	w.create(service(func(s *v1alpha1.PopServiceSpec) {
		s.Storage.OnDelete, s.Storage.Volume.StorageClassName = v1alpha1.Delete, new("other")
	}))
	w.awaitService("pop", metav1.ConditionFalse, "ClaimRefused")
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}}))
	w.awaitGone("pop", &v1alpha1.PopService{})
	w.awaitGone("pop-maildrops", &corev1.PersistentVolumeClaim{})
}

// A size that the class does not allow is told, can be taken back, and does not hold up a deletion.
func TestRefusedGrowth(t *testing.T) {
	w := newWorld(t)
	w.running(func(s *v1alpha1.PopServiceSpec) { s.Storage.OnDelete = v1alpha1.Delete })
	size := func(size string) {
		w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"storage": fields{"volume": fields{"size": size}}}})
	}
	size("20Gi")
	w.awaitService("pop", metav1.ConditionFalse, "ClaimRefused")
	size("5Gi")
	w.awaitReady("pop")
	var s v1alpha1.PopService
	w.get("pop", &s)
	if text := message(s.Status.Conditions, v1alpha1.ConditionStorageReady); !strings.Contains(text, "cannot shrink") {
		t.Errorf("that the claim stays as it is is not told: %s", text)
	}
	size("20Gi")
	w.awaitService("pop", metav1.ConditionFalse, "ClaimRefused")
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}}))
	w.awaitGone("pop-maildrops", &corev1.PersistentVolumeClaim{})
}

// What is ours stays ours when some other tool has taken its labels.
func TestLabelsThatAreTakenAwayComeBack(t *testing.T) {
	w := newWorld(t)
	w.running()
	gone := fields{"metadata": fields{"labels": fields{"app.kubernetes.io/managed-by": "Helm", "popservice.io/service": nil}}}
	for name, object := range map[string]client.Object{"pop-config": &corev1.ConfigMap{}, "pop-lmtp": &corev1.Service{},
		"pop-certificates": &corev1.Secret{}} {
		w.patch(object, name, gone)
	}
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"banner": "Anew."}}) // no watch tells of what has no label
	w.await("the labels", func() string {
		for name, object := range map[string]client.Object{"pop-config": &corev1.ConfigMap{}, "pop-lmtp": &corev1.Service{},
			"pop-certificates": &corev1.Secret{}} {
			w.get(name, object)
			if object.GetLabels()["popservice.io/service"] != "pop" {
				return fmt.Sprintf("%s has %v", name, object.GetLabels())
			}
		}
		return ""
	})
	w.awaitReady("pop")
}

// What is there already and is not ours stays as it is.
func TestForeignObjectIsNotTakenOver(t *testing.T) {
	w := newWorld(t)
	foreign := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "pop-lmtp"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	w.create(foreign, certificate(t), service())
	w.awaitService("pop", metav1.ConditionFalse, "ObjectExists")
	w.awaitEvent("PopService", "ObjectExists")
	var left corev1.Service
	w.get("pop-lmtp", &left)
	if left.ResourceVersion != foreign.ResourceVersion {
		t.Error("the Service of somebody else was written")
	}
	w.must(kube.Delete(w.ctx, foreign))
	w.awaitReady("pop")
}

// Nor a Secret, which the operator reads whoever made it; and of two PopServices none takes what the other has.
func TestForeignSecretAndRivalService(t *testing.T) {
	w := newWorld(t)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pop-certificates"},
		StringData: map[string]string{"theirs": "x"}}
	w.create(foreign, certificate(t), service())
	w.awaitService("pop", metav1.ConditionFalse, "ObjectExists")
	var left corev1.Secret
	if w.get("pop-certificates", &left); left.ResourceVersion != foreign.ResourceVersion {
		t.Error("the Secret of somebody else was written")
	}
	w.must(kube.Delete(w.ctx, foreign))
	w.awaitReady("pop")
	rival := service()
	rival.Name = "pop-lmtp"
	w.create(rival)
	w.awaitService("pop-lmtp", metav1.ConditionFalse, "ObjectExists")
	w.awaitReady("pop")
}

// What the operator has set is set again when somebody changes it; what others have added stays.
func TestDriftIsCorrected(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.patch(&appsv1.Deployment{}, "pop-pop3d", fields{
		"metadata": fields{"annotations": fields{"example.com/theirs": "stays"},
			"labels": fields{"app.kubernetes.io/part-of": "theirs"}},
		"spec": fields{"replicas": 0},
	})
	w.await("the Deployment as it was", func() string {
		var d appsv1.Deployment
		w.get("pop-pop3d", &d)
		if *d.Spec.Replicas != 1 || d.Labels["app.kubernetes.io/part-of"] != "popservice" {
			return fmt.Sprintf("%d replicas, labels %v", *d.Spec.Replicas, d.Labels)
		}
		if d.Annotations["example.com/theirs"] != "stays" {
			t.Fatal("an annotation that somebody else has added is gone")
		}
		return ""
	})
	w.awaitReady("pop")
}

func TestNetworkPolicyIsOptional(t *testing.T) {
	w := newWorld(t)
	w.running()
	var policy networkingv1.NetworkPolicy
	w.get("pop-pop3d", &policy)
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"networkPolicy": fields{"mode": "None"}}})
	w.awaitGone("pop-pop3d", &policy)
	w.awaitReady("pop")
}

func TestScaleToNothing(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"replicas": 0}})
	w.awaitService("pop", metav1.ConditionFalse, "ScaledToZero")
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"replicas": 1}})
	w.awaitReady("pop")
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
}

// Secrets of the operator's own that somebody deletes or edits come back as they were, the CA of the control port included.
func TestOwnSecretsComeBack(t *testing.T) {
	w := newWorld(t)
	w.running()
	for _, name := range []string{"pop-control-ca", "pop-control-tls", "pop-certificates", "pop-directory-24"} {
		var before, after corev1.Secret
		w.get(name, &before)
		w.must(kube.Delete(w.ctx, &before))
		w.await(name, func() string {
			if err := kube.Get(w.ctx, w.key(name), &after); err != nil || after.UID == before.UID {
				return fmt.Sprint(err)
			}
			return ""
		})
		w.awaitReady("pop")
	}
	w.patch(&corev1.Secret{}, "pop-directory-24", fields{"data": fields{"24.jsonl": []byte("edited")}})
	w.await("the bucket as it was", func() string {
		var bucket corev1.Secret
		if w.get("pop-directory-24", &bucket); !strings.Contains(string(bucket.Data["24.jsonl"]), "@example.com") {
			return "it is not"
		}
		return ""
	})
	w.await("servers that can be asked", func() string {
		w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"banner": "Asked."}})
		if _, greeting := w.dial(); greeting != "+OK Asked." {
			return greeting
		}
		return ""
	})
	w.awaitReady("pop")
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.awaitLogin("alice@example.com", "one", true)
}

// A Mailbox that is made anew under the same name, for another address, is not taken for the one before.
func TestMailboxMadeAnew(t *testing.T) {
	w := newWorld(t)
	w.running()
	for i := range 5 {
		w.must(kube.Delete(w.ctx, &v1alpha1.Mailbox{ObjectMeta: metav1.ObjectMeta{Name: "alice", Namespace: w.namespace}}))
		address := fmt.Sprintf("alice-%d@example.com", i)
		w.create(mailbox("alice", func(s *v1alpha1.MailboxSpec) { s.Address = v1alpha1.Address(address) }))
		w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
		if !w.logsIn(address, "one") {
			t.Errorf("%s is ready and cannot log in", address)
		}
	}
}

// A PopService that is made anew before its objects are gone takes them over or makes them anew, and keeps the mail.
func TestServiceMadeAnewAtOnce(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}}))
	again := service()
	w.create(again)
	w.awaitReady("pop")
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.await("objects of the new one alone", func() string {
		for name, object := range map[string]client.Object{"pop-pop3d": &appsv1.Deployment{}, "pop": &corev1.Service{},
			"pop-config": &corev1.ConfigMap{}, "pop-control-ca": &corev1.Secret{}, "pop-directory-24": &corev1.Secret{}} {
			if err := kube.Get(w.ctx, w.key(name), object); err != nil {
				return err.Error()
			}
			if owners := object.GetOwnerReferences(); len(owners) != 1 || owners[0].UID != again.UID {
				return fmt.Sprintf("%s has owners %v", name, owners)
			}
		}
		return ""
	})
	w.awaitReady("pop")
	w.awaitLogin("alice@example.com", "one", true)
}

// In a namespace that is being deleted nothing new is tried.
func TestNamespaceGoes(t *testing.T) {
	w := newWorld(t)
	w.running()
	before := watched.count()
	w.must(kube.Delete(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}))
	w.awaitGone("pop", &v1alpha1.PopService{})
	w.awaitGone("pop-config", &corev1.ConfigMap{})
	w.awaitGone("pop-directory-24", &corev1.Secret{})
	if written := watched.in(w.namespace, before); len(written) > 20 {
		t.Errorf("the operator tried %d writes: %s", len(written), strings.Join(written, ", "))
	}
}
