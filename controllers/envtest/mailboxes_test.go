//go:build envtest

package envtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/index"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

func (w *world) awaitLogin(user, password string, right bool) {
	w.Helper()
	w.await(fmt.Sprintf("the password of %s being right: %t", user, right), func() string {
		if w.logsIn(user, password) != right {
			return "it is the other way"
		}
		return ""
	})
}

func TestPasswordChanges(t *testing.T) {
	w := newWorld(t)
	w.running()
	pod := w.pod().UID
	w.patch(&corev1.Secret{}, "alice", fields{"stringData": fields{"password": "two"}})
	w.awaitLogin("alice@example.com", "two", true)
	if w.logsIn("alice@example.com", "one") {
		t.Error("the old password is still right")
	}
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	if w.pod().UID != pod {
		t.Error("the pod was replaced")
	}
}

// A Mailbox is not ready before the servers have it, however long that takes.
func TestReadyWaitsForTheServers(t *testing.T) {
	w := newWorld(t)
	w.running()
	held.Store(w.namespace, true)
	w.patch(&corev1.Secret{}, "alice", fields{"stringData": fields{"password": "two"}})
	w.awaitMailbox("alice", metav1.ConditionFalse, "Syncing")
	w.await("DirectorySynced False", func() string {
		var s v1alpha1.PopService
		w.get("pop", &s)
		if !meta.IsStatusConditionFalse(s.Status.Conditions, v1alpha1.ConditionDirectorySynced) {
			return describe(s.Status.Conditions)
		}
		return ""
	})
	w.awaitReady("pop") // the others are served
	w.awaitMailbox("bob", metav1.ConditionTrue, "Serving")
	held.Delete(w.namespace)
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	if !w.logsIn("alice@example.com", "two") {
		t.Error("the Mailbox is ready, and its new password is not")
	}
}

// A Secret that is written anew with the same password changes nothing for the servers.
func TestSamePasswordKeepsItsVerifier(t *testing.T) {
	w := newWorld(t)
	w.running()
	before := w.verifiers()
	w.patch(&corev1.Secret{}, "alice", fields{"metadata": fields{"labels": fields{"example.com/touched": "yes"}}})
	w.await("the Secret's new version in the directory", func() string {
		if w.buckets() == before.text {
			return "the directory is the same"
		}
		return ""
	})
	if after := w.verifiers(); after.alice != before.alice {
		t.Error("the verifier was made anew")
	}
}

type verifiers struct{ text, alice string }

func (w *world) verifiers() verifiers {
	text := w.buckets()
	_, rest, _ := strings.Cut(text, `"owner":"`+w.namespace+`/alice"`)
	_, rest, _ = strings.Cut(rest, `"verifier":"`)
	found, _, _ := strings.Cut(rest, `"`)
	return verifiers{text, found}
}

// buckets gives the text of the whole directory.
func (w *world) buckets() string {
	w.Helper()
	var secrets corev1.SecretList
	w.must(kube.List(w.ctx, &secrets, client.InNamespace(w.namespace), client.HasLabels{"popservice.io/bucket"}))
	var text strings.Builder
	for _, secret := range secrets.Items {
		for _, file := range secret.Data {
			text.Write(file)
		}
	}
	return text.String()
}

func TestMissingSecretIsToldAndHeals(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.create(mailbox("carol"))
	w.awaitMailbox("carol", metav1.ConditionFalse, "SecretNotFound")
	w.awaitEvent("Mailbox", "SecretNotFound")
	var m v1alpha1.Mailbox
	w.get("carol", &m)
	if text := message(m.Status.Conditions, v1alpha1.ConditionCredentialsResolved); !strings.Contains(text, `Secret "carol"`) {
		t.Errorf("the message does not name the Secret: %s", text)
	}
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "carol"}})
	w.awaitMailbox("carol", metav1.ConditionFalse, "KeyNotFound")
	w.patch(&corev1.Secret{}, "carol", fields{"stringData": fields{"password": "one\n"}})
	w.awaitMailbox("carol", metav1.ConditionTrue, "Serving")
	w.awaitLogin("carol@example.com", "one", true)

	w.must(kube.Delete(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "carol", Namespace: w.namespace}}))
	w.awaitMailbox("carol", metav1.ConditionFalse, "SecretNotFound")
	w.awaitLogin("carol@example.com", "one", false)
}

func TestVerifierInsteadOfPassword(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "carol"}, StringData: map[string]string{"verifier": "{MD5}abc"}})
	w.create(mailbox("carol", func(s *v1alpha1.MailboxSpec) {
		s.Credentials = []v1alpha1.Credential{{Name: "v", VerifierSecretRef: &v1alpha1.VerifierKeyReference{Name: "carol"}}}
	}))
	w.awaitMailbox("carol", metav1.ConditionFalse, "InvalidVerifier")
	w.patch(&corev1.Secret{}, "carol", fields{"stringData": fields{"verifier": verifier.Derive([]byte("three"))}})
	w.awaitMailbox("carol", metav1.ConditionTrue, "Serving")
	w.awaitLogin("carol@example.com", "three", true)
}

// The older of two Mailboxes has the address; the other one gets it as soon as that is gone.
func TestTwoMailboxesWithOneAddress(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.create(password("second", "second"))
	var first v1alpha1.Mailbox
	w.get("alice", &first)
	time.Sleep(time.Until(first.CreationTimestamp.Add(time.Second))) // an object's age is told in whole seconds
	w.create(mailbox("second", func(s *v1alpha1.MailboxSpec) { s.Address = "alice@example.com" }))
	w.awaitMailbox("second", metav1.ConditionFalse, "AddressConflict")
	w.awaitEvent("Mailbox", "AddressConflict")
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.awaitLogin("alice@example.com", "one", true)
	w.awaitLogin("alice@example.com", "second", false)
	w.must(kube.Delete(w.ctx, &v1alpha1.Mailbox{ObjectMeta: metav1.ObjectMeta{Name: "alice", Namespace: w.namespace}}))
	w.awaitMailbox("second", metav1.ConditionTrue, "Serving")
	w.awaitLogin("alice@example.com", "second", true)
}

// A Mailbox that the format does not take, though the API server did, holds up no other one of its bucket.
func TestInvalidMailboxHoldsUpNobody(t *testing.T) {
	w := newWorld(t)
	w.running()
	bad := mailbox("bad")
	bad.Spec.Address = "É@example.com"
	for i := 0; index.BucketOf(bad.Spec.Address) != index.BucketOf("alice@example.com"); i++ {
		bad.Spec.Address = v1alpha1.Address(fmt.Sprintf("É%d@example.com", i))
	}
	w.create(bad)
	w.awaitMailbox("bad", metav1.ConditionFalse, "InvalidMailbox")
	w.patch(&corev1.Secret{}, "alice", fields{"stringData": fields{"password": "two"}})
	w.awaitLogin("alice@example.com", "two", true)
}

// An alias never takes away another mailbox's own address, and a mailbox that loses an alias is served all the same.
func TestAliasConflict(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.patch(&v1alpha1.Mailbox{}, "alice", fields{"spec": fields{"aliases": []string{"bob@example.com", "sales@example.com"}}})
	w.awaitMailbox("alice", metav1.ConditionFalse, "AliasConflict")
	w.awaitMailbox("bob", metav1.ConditionTrue, "Serving")
	w.awaitLogin("sales@example.com", "one", true)
	w.patch(&v1alpha1.Mailbox{}, "alice", fields{"spec": fields{"aliases": []string{"sales@example.com"}}})
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
}

func TestMailboxWithoutService(t *testing.T) {
	w := newWorld(t)
	w.create(password("alice", "one"), mailbox("alice"))
	w.awaitMailbox("alice", metav1.ConditionFalse, "ServiceNotFound")
	w.create(certificate(t), service())
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.awaitLogin("alice@example.com", "one", true)
}

func TestDisabledMailbox(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.patch(&v1alpha1.Mailbox{}, "alice", fields{"spec": fields{"state": "Disabled"}})
	w.awaitMailbox("alice", metav1.ConditionTrue, "Disabled")
	if w.logsIn("alice@example.com", "one") {
		t.Error("a disabled mailbox was opened")
	}
}

// Ready does not flap while a pod is replaced.
func TestReadyStaysWhilePodsCome(t *testing.T) {
	w := newWorld(t)
	w.running()
	before := w.transition("alice")
	pod := w.pod()
	w.must(kube.Delete(w.ctx, pod))
	w.awaitOtherPod(pod.UID)
	w.awaitReady("pop")
	w.awaitLogin("alice@example.com", "one", true)
	if after := w.transition("alice"); after != before {
		t.Errorf("Ready changed: %s, %s", before, after)
	}
}

func (w *world) transition(name string) string {
	w.Helper()
	var m v1alpha1.Mailbox
	w.get(name, &m)
	for _, c := range m.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return fmt.Sprintf("%s since %s", c.Status, c.LastTransitionTime)
		}
	}
	return "none"
}

// Many Mailboxes at once are few writes.
func TestManyMailboxes(t *testing.T) {
	w := newWorld(t)
	w.create(certificate(t), password("shared", "one"), service())
	const many = 200
	before := watched.count()
	for i := range many {
		w.create(mailbox(fmt.Sprintf("user-%03d", i),
			func(s *v1alpha1.MailboxSpec) { s.Credentials[0].PasswordSecretRef.Name = "shared" }))
	}
	for i := range many {
		w.awaitMailbox(fmt.Sprintf("user-%03d", i), metav1.ConditionTrue, "Serving")
	}
	w.awaitLogin("user-123@example.com", "one", true)
	buckets, statuses := 0, 0
	for _, write := range watched.in(w.namespace, before) {
		switch {
		case strings.Contains(write, "/secrets/pop-directory-"):
			buckets++
		case strings.Contains(write, "/mailboxes/"):
			statuses++
		}
	}
	t.Logf("%d writes of buckets, %d of statuses", buckets, statuses)
	if buckets > many || statuses > 3*many {
		t.Errorf("%d Mailboxes took %d writes of buckets and %d of statuses", many, buckets, statuses)
	}
}

// bucketOf names the Secret in which NAME@example.com stands.
func bucketOf(name string) string {
	return names.Bucket("pop", index.BucketOf(v1alpha1.Address(name+"@example.com")))
}

// No server starts before every Mailbox that was there before has been written down: senders would be told that there is no
// such mailbox. What is in the way is told.
func TestNoServerBeforeItsDirectory(t *testing.T) {
	w := newWorld(t)
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: bucketOf("alice")}}
	w.create(foreign, certificate(t), password("alice", "one"), password("bob", "one"))
	w.create(mailbox("alice"), mailbox("bob"), service())
	w.awaitMailbox("alice", metav1.ConditionFalse, "ObjectExists")
	w.awaitService("pop", metav1.ConditionFalse, "ObjectExists")
	w.awaitMailbox("bob", metav1.ConditionFalse, "NoServerReady")
	if err := kube.Get(w.ctx, w.key("pop-pop3d"), &appsv1.Deployment{}); !apierrors.IsNotFound(err) {
		t.Errorf("there is a Deployment (%v)", err)
	}
	w.must(kube.Delete(w.ctx, foreign))
	w.awaitReady("pop")
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
}

// A bucket that the API server refuses holds up its own changes and nothing else, is told, and heals.
func TestBucketThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.patch(&corev1.Secret{}, bucketOf("alice"), fields{"immutable": true})
	w.patch(&corev1.Secret{}, "alice", fields{"stringData": fields{"password": "two"}})
	w.awaitMailbox("alice", metav1.ConditionFalse, "RefusedByAPIServer")
	w.await("DirectorySynced False", func() string {
		var s v1alpha1.PopService
		w.get("pop", &s)
		return mismatchOf(s.Status.Conditions, v1alpha1.ConditionDirectorySynced, metav1.ConditionFalse, "RefusedByAPIServer")
	})
	w.awaitReady("pop") // the others are served
	w.awaitMailbox("bob", metav1.ConditionTrue, "Serving")
	w.awaitLogin("alice@example.com", "one", true)
	w.must(kube.Delete(w.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: bucketOf("alice"), Namespace: w.namespace}}))
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.awaitLogin("alice@example.com", "two", true)
}

func mismatchOf(all []metav1.Condition, kind string, status metav1.ConditionStatus, reason string) string {
	if c := meta.FindStatusCondition(all, kind); c == nil || c.Status != status || c.Reason != reason {
		return describe(all)
	}
	return ""
}

// Somebody who may write Secrets and gives a mailbox a verifier of his own finds it gone.
func TestForgedVerifierIsPutBack(t *testing.T) {
	w := newWorld(t)
	w.running()
	var bucket corev1.Secret
	w.get(bucketOf("alice"), &bucket)
	data := fields{}
	for file, text := range bucket.Data {
		data[file] = []byte(strings.ReplaceAll(string(text), w.verifiers().alice, verifier.Derive([]byte("forged"))))
	}
	w.patch(&corev1.Secret{}, bucket.Name, fields{"data": data})
	w.await("the bucket as it was", func() string {
		var now corev1.Secret
		w.get(bucket.Name, &now)
		if now.Annotations["popservice.io/revision"] == bucket.Annotations["popservice.io/revision"] {
			return "it is not written anew"
		}
		return ""
	})
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.awaitLogin("alice@example.com", "one", true)
	w.awaitLogin("alice@example.com", "forged", false)
}

// A PopService is not ready for new mailboxDefaults before the servers have them.
func TestDefaultsReachTheServers(t *testing.T) {
	w := newWorld(t)
	w.running()
	held.Store(w.namespace, true)
	defer held.Delete(w.namespace)
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"mailboxDefaults": fields{"quota": fields{
		"prohibitReceive": "1Mi"}}}})
	w.awaitService("pop", metav1.ConditionFalse, "Syncing")
	time.Sleep(3 * time.Second) // in which it must not become ready
	w.awaitService("pop", metav1.ConditionFalse, "Syncing")
	held.Delete(w.namespace)
	w.awaitReady("pop")
}

// An address that comes back to its Mailbox brings the aliases back too, from whoever has them meanwhile.
func TestAliasesComeBackWithTheAddress(t *testing.T) {
	w := newWorld(t)
	w.running()
	with := func(name string, address v1alpha1.Address) *v1alpha1.Mailbox {
		return mailbox(name, func(s *v1alpha1.MailboxSpec) {
			s.Address, s.Aliases, s.Credentials = address, []v1alpha1.Address{"sales@example.com"}, nil
		})
	}
	w.create(with("refused", "alice@example.com")) // its name comes after alice's
	w.awaitMailbox("refused", metav1.ConditionFalse, "AddressConflict")
	w.create(with("young", "young@example.com"))
	w.awaitMailbox("young", metav1.ConditionTrue, "Serving")
	w.must(kube.Delete(w.ctx, &v1alpha1.Mailbox{ObjectMeta: metav1.ObjectMeta{Name: "alice", Namespace: w.namespace}}))
	w.awaitMailbox("refused", metav1.ConditionTrue, "Serving")
	w.awaitMailbox("young", metav1.ConditionFalse, "AliasConflict")
}
