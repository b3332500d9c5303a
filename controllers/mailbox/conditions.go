package mailbox

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/directory"
	"github.com/popservice/popservice/controllers/internal/conditions"
)

// Reasons beside those of package directory.
const (
	reasonServing       = "Serving"
	reasonDisabled      = "Disabled"
	reasonSyncing       = "Syncing"
	reasonNoServerReady = "NoServerReady"
	reasonResolved      = "Resolved"
	reasonNoneNeeded    = "NoCredentials"
)

// conditionsOf gives a Mailbox's conditions. Ready speaks of what the user has to put right first, then of what is on its way.
func conditionsOf(m *v1alpha1.Mailbox, outcome directory.Outcome) []metav1.Condition {
	all := []metav1.Condition{credentialsResolved(m, outcome)}
	for _, problem := range []directory.Problem{outcome.Refused, outcome.Credentials, outcome.Alias} {
		if problem.Reason != "" {
			return append(all,
				conditions.False(v1alpha1.ConditionReady, problem.Reason, problem.Message),
				conditions.True(v1alpha1.ConditionStalled, problem.Reason, problem.Message))
		}
	}
	switch {
	case outcome.Delayed.Reason != "":
		return append(all, reconciling(outcome.Delayed.Reason, outcome.Delayed.Message)...)
	case outcome.Reach == directory.Loaded || outcome.Reach == directory.Unknown && wasReady(m):
		return append(all, ready(m))
	case outcome.Reach == directory.Pending:
		return append(all, reconciling(reasonSyncing, "the mailbox is on its way to the servers")...)
	}
	return append(all, reconciling(reasonNoServerReady,
		fmt.Sprintf("no server of PopService %q is ready and can be asked: see `kubectl get pop %s`",
			m.Spec.ServiceRef.Name, m.Spec.ServiceRef.Name))...)
}

// reconciling is what comes right by itself.
func reconciling(reason, message string) []metav1.Condition {
	return []metav1.Condition{
		conditions.False(v1alpha1.ConditionReady, reason, message),
		conditions.True(v1alpha1.ConditionReconciling, reason, message),
	}
}

// wasReady tells whether the status says of this very generation that it is ready.
func wasReady(m *v1alpha1.Mailbox) bool {
	c := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == m.Generation
}

func ready(m *v1alpha1.Mailbox) metav1.Condition {
	if m.Spec.State == v1alpha1.MailboxDisabled {
		return conditions.True(v1alpha1.ConditionReady, reasonDisabled, "every server refuses logins and mail, as state says")
	}
	return conditions.True(v1alpha1.ConditionReady, reasonServing, "every server has the mailbox as it is now")
}

func credentialsResolved(m *v1alpha1.Mailbox, outcome directory.Outcome) metav1.Condition {
	const kind = v1alpha1.ConditionCredentialsResolved
	count := len(m.Spec.Credentials)
	switch {
	case outcome.Credentials.Reason != "":
		return conditions.False(kind, outcome.Credentials.Reason, outcome.Credentials.Message)
	case outcome.Refused.Reason != "":
		return conditions.Unknown(kind, outcome.Refused.Reason, "not looked at: the mailbox is not served")
	case count == 0:
		return conditions.True(kind, reasonNoneNeeded, "there are none: the mailbox takes mail and nobody can log in")
	}
	return conditions.True(kind, reasonResolved, fmt.Sprintf("%d of %d can be used", count, count))
}
