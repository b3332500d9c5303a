package conditions

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

func TestMerge(t *testing.T) {
	long := metav1.NewTime(time.Now().Add(-time.Hour))
	existing := []metav1.Condition{
		{Type: "Theirs", Status: metav1.ConditionTrue, LastTransitionTime: long},
		{Type: v1alpha1.ConditionStorageReady, Status: metav1.ConditionTrue, LastTransitionTime: long},
		{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, LastTransitionTime: long},
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, LastTransitionTime: long},
	}
	merged := Merge(existing, []metav1.Condition{
		True(v1alpha1.ConditionStorageReady, "Bound", strings.Repeat("é", maxMessage)),
		True(v1alpha1.ConditionReady, "Serving", ""),
	}, 7)
	ready, storage := meta.FindStatusCondition(merged, v1alpha1.ConditionReady), meta.FindStatusCondition(merged,
		v1alpha1.ConditionStorageReady)
	switch {
	case merged[0].Type != v1alpha1.ConditionReady:
		t.Errorf("Ready is not the first: %+v", merged)
	case meta.FindStatusCondition(merged, v1alpha1.ConditionReconciling) != nil:
		t.Error("Reconciling stayed though it is not true any more")
	case meta.FindStatusCondition(merged, "Theirs") == nil:
		t.Error("a condition of somebody else is gone")
	case ready.LastTransitionTime == long || ready.ObservedGeneration != 7:
		t.Errorf("Ready has changed: %+v", ready)
	case storage.LastTransitionTime != long:
		t.Errorf("StorageReady has not changed: %+v", storage)
	case len(storage.Message) > maxMessage+len("…") || !strings.HasSuffix(storage.Message, "é…"):
		t.Errorf("the message has %d octets and ends in %q", len(storage.Message), storage.Message[len(storage.Message)-6:])
	case existing[3].Status != metav1.ConditionFalse:
		t.Error("the conditions that were given have been changed")
	}
}

func TestNewly(t *testing.T) {
	before := []metav1.Condition{False("Ready", "A", "one")}
	for _, test := range []struct {
		now  metav1.Condition
		news bool
	}{
		{False("Ready", "A", "two"), false},
		{False("Ready", "B", "one"), true},
		{True("Ready", "A", "one"), true},
		{True("Other", "A", "one"), false},
	} {
		if _, news := Newly(before, []metav1.Condition{test.now}, "Ready"); news != test.news {
			t.Errorf("%+v: news %t, want %t", test.now, news, test.news)
		}
	}
}
