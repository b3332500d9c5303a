// Package conditions brings conditions into an object's status as kstatus wants them: Ready always there, Reconciling
// and Stalled only while they are true.
package conditions

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

// maxMessage is how much of a message is kept: the API takes 32,768 octets, and people read less.
const maxMessage = 1024

// True gives a condition that holds.
func True(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}
}

// False gives a condition that does not hold.
func False(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

// Unknown gives a condition of which nothing is known yet.
func Unknown(kind, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: reason, Message: message}
}

// Merge gives the conditions that an object has from now on: those wanted, for this generation, with the time of their
// last change kept where the status stays. Reconciling and Stalled go unless they are wanted; other conditions of the
// object stay.
func Merge(existing, wanted []metav1.Condition, generation int64) []metav1.Condition {
	merged := slices.Clone(existing)
	for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		if meta.FindStatusCondition(wanted, kind) == nil {
			meta.RemoveStatusCondition(&merged, kind)
		}
	}
	for _, condition := range wanted {
		condition.ObservedGeneration = generation
		condition.Message = shorten(condition.Message)
		meta.SetStatusCondition(&merged, condition)
	}
	slices.SortStableFunc(merged, func(a, b metav1.Condition) int { return rank(a) - rank(b) })
	return merged
}

// rank puts what people look for first to the front.
func rank(c metav1.Condition) int {
	switch c.Type {
	case v1alpha1.ConditionReady:
		return 0
	case v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling:
		return 1
	}
	return 2
}

func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}

// Newly tells whether a condition has now another status or reason than before: the time for an event.
func Newly(before, after []metav1.Condition, kind string) (metav1.Condition, bool) {
	now := meta.FindStatusCondition(after, kind)
	if now == nil {
		return metav1.Condition{}, false
	}
	old := meta.FindStatusCondition(before, kind)
	return *now, old == nil || old.Status != now.Status || old.Reason != now.Reason
}
