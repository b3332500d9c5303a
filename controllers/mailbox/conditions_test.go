package mailbox

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/directory"
)

func TestConditions(t *testing.T) {
	conflict := directory.Problem{Reason: directory.ReasonAddressConflict, Message: "taken"}
	missing := directory.Problem{Reason: directory.ReasonSecretNotFound, Message: "missing"}
	readyBefore := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 1}}
	for _, test := range []struct {
		name        string
		before      []metav1.Condition
		state       v1alpha1.MailboxState
		outcome     directory.Outcome
		ready       metav1.ConditionStatus
		reason      string
		also        string
		credentials metav1.ConditionStatus
	}{
		{name: "served", outcome: directory.Outcome{Reach: directory.Loaded}, ready: "True", reason: "Serving", credentials: "True"},
		{name: "disabled", state: v1alpha1.MailboxDisabled, outcome: directory.Outcome{Reach: directory.Loaded},
			ready: "True", reason: "Disabled", credentials: "True"},
		{name: "on its way", before: readyBefore, outcome: directory.Outcome{Reach: directory.Pending},
			ready: "False", reason: "Syncing", also: "Reconciling", credentials: "True"},
		{name: "no server", outcome: directory.Outcome{Reach: directory.Unserved},
			ready: "False", reason: "NoServerReady", also: "Reconciling", credentials: "True"},
		{name: "the operator has just started", before: readyBefore, outcome: directory.Outcome{Reach: directory.Unknown},
			ready: "True", reason: "Serving", credentials: "True"},
		{name: "the same, never ready", outcome: directory.Outcome{Reach: directory.Unknown},
			ready: "False", reason: "NoServerReady", also: "Reconciling", credentials: "True"},
		{name: "conflict before all else", outcome: directory.Outcome{Refused: conflict, Credentials: missing},
			ready: "False", reason: "AddressConflict", also: "Stalled", credentials: "False"},
		{name: "conflict", outcome: directory.Outcome{Refused: conflict},
			ready: "False", reason: "AddressConflict", also: "Stalled", credentials: "Unknown"},
		{name: "missing Secret", outcome: directory.Outcome{Credentials: missing, Reach: directory.Loaded},
			ready: "False", reason: "SecretNotFound", also: "Stalled", credentials: "False"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &v1alpha1.Mailbox{Spec: v1alpha1.MailboxSpec{State: test.state},
				Status: v1alpha1.MailboxStatus{Conditions: test.before}}
			m.Generation = 1
			got := conditionsOf(m, test.outcome)
			ready := meta.FindStatusCondition(got, v1alpha1.ConditionReady)
			if ready.Status != test.ready || ready.Reason != test.reason {
				t.Errorf("Ready is %s %s, want %s %s", ready.Status, ready.Reason, test.ready, test.reason)
			}
			for _, kind := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
				if (meta.FindStatusCondition(got, kind) != nil) != (kind == test.also) {
					t.Errorf("%s: %+v", kind, got)
				}
			}
			if c := meta.FindStatusCondition(got, v1alpha1.ConditionCredentialsResolved); c.Status != test.credentials {
				t.Errorf("CredentialsResolved is %s, want %s", c.Status, test.credentials)
			}
		})
	}
}

func TestOutcomeOfAnotherMailbox(t *testing.T) {
	m := &v1alpha1.Mailbox{}
	m.UID, m.Generation = "b", 1
	for _, test := range []struct {
		outcome directory.Outcome
		want    bool
	}{
		{directory.Outcome{UID: "b", Generation: 1}, true},
		{directory.Outcome{UID: "a", Generation: 1}, false},
		{directory.Outcome{UID: "b"}, false},
	} {
		if got := speaksOf(test.outcome, m); got != test.want {
			t.Errorf("%+v: %t, want %t", test.outcome, got, test.want)
		}
	}
}
