//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
)

const (
	// settling bounds what the cluster does by itself: starting a pod, acknowledging a mailbox. Commonly it takes seconds.
	settling = 2 * time.Minute
	// pollPeriod is far below all limits.
	pollPeriod = 100 * time.Millisecond
)

// await asks until the answer is yes. After the limit the test fails with what was awaited and what was last seen.
func await(t *testing.T, limit time.Duration, what string, ask func() (done bool, seen string)) {
	t.Helper()
	start := time.Now()
	for {
		done, seen := ask()
		if done {
			return
		}
		if time.Since(start) > limit {
			t.Fatalf("waited %s for %s; last seen: %s", limit, what, seen)
		}
		time.Sleep(pollPeriod)
	}
}

// background goes on when the test has ended, for what is done in its clean-up.
func background(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }

// get reads an object that must exist.
func get[T client.Object](t *testing.T, namespace, name string, into T) T {
	t.Helper()
	if err := kube.Get(background(t), client.ObjectKey{Namespace: namespace, Name: name}, into); err != nil {
		t.Fatalf("get %T %s/%s: %v", into, namespace, name, err)
	}
	return into
}

// awaitExists waits for an object that something else makes.
func awaitExists[T client.Object](t *testing.T, namespace, name string, into T) T {
	t.Helper()
	await(t, settling, fmt.Sprintf("%T %s/%s", into, namespace, name), func() (bool, string) {
		err := kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, into)
		return err == nil, fmt.Sprint(err)
	})
	return into
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatalf("create %T %s/%s: %v", object, object.GetNamespace(), object.GetName(), err)
	}
}

// change reads an object anew, changes it and writes it, with the conflict's other writer asked to be quicker next time.
func change[T client.Object](t *testing.T, object T, edit func(T)) {
	t.Helper()
	await(t, settling, fmt.Sprintf("a change of %T %s", object, object.GetName()), func() (bool, string) {
		get(t, object.GetNamespace(), object.GetName(), object)
		edit(object)
		err := kube.Update(t.Context(), object)
		return err == nil, fmt.Sprint(err)
	})
}

// remove deletes an object and waits until it is gone.
func remove(t *testing.T, object client.Object) {
	t.Helper()
	if err := kube.Delete(t.Context(), object); err != nil {
		t.Fatalf("delete %T %s: %v", object, object.GetName(), err)
	}
	await(t, settling, fmt.Sprintf("the end of %T %s", object, object.GetName()), func() (bool, string) {
		err := kube.Get(t.Context(), client.ObjectKeyFromObject(object), object)
		return client.IgnoreNotFound(err) == nil && err != nil, fmt.Sprintf("finalizers %v, %v", object.GetFinalizers(), err)
	})
}

// status gives the conditions of an object and the generation that they speak of.
func status(object client.Object) ([]metav1.Condition, int64) {
	switch o := object.(type) {
	case *v1alpha1.PopService:
		return o.Status.Conditions, o.Status.ObservedGeneration
	case *v1alpha1.Mailbox:
		return o.Status.Conditions, o.Status.ObservedGeneration
	}
	panic(fmt.Sprintf("%T has no conditions", object))
}

// awaitCondition waits for a condition of the object as it is now, and gives it. An empty reason stands for any.
func awaitCondition(t *testing.T, object client.Object, kind string, want metav1.ConditionStatus,
	reason string) metav1.Condition {
	t.Helper()
	var found metav1.Condition
	what := fmt.Sprintf("%T %s/%s to have %s=%s %s", object, object.GetNamespace(), object.GetName(), kind, want, reason)
	await(t, settling, what, func() (bool, string) {
		get(t, object.GetNamespace(), object.GetName(), object)
		conditions, observed := status(object)
		if c := meta.FindStatusCondition(conditions, kind); c != nil {
			found = *c
		}
		done := observed == object.GetGeneration() && found.Status == want && (reason == "" || found.Reason == reason)
		return done, fmt.Sprintf("generation %d, observed %d\n%s", object.GetGeneration(), observed, tell(conditions))
	})
	return found
}

// awaitReady waits until an object is served, and nothing more is under way.
func awaitReady(t *testing.T, object client.Object) {
	t.Helper()
	awaitCondition(t, object, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	conditions, _ := status(object)
	for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if meta.FindStatusCondition(conditions, kind) != nil {
			t.Errorf("%T %s is Ready and has %s too:\n%s", object, object.GetName(), kind, tell(conditions))
		}
	}
}

// tell writes conditions for people.
func tell(conditions []metav1.Condition) string {
	var text strings.Builder
	for _, c := range conditions {
		fmt.Fprintf(&text, "  %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	return text.String()
}
