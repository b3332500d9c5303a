//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

// TestServersNeedNoOperator: without the operator a server that is lost comes back, and logins and mail go on. It runs before
// the parallel tests, which do need the operator.
func TestServersNeedNoOperator(t *testing.T) {
	s := newService(t, "static")
	m := s.newMailbox(t, "alice")
	s.send(t, m, "before")
	before := s.checkMessages(t, m, "before")
	scaleManager(t, 0)
	t.Cleanup(func() { scaleManager(t, 1) })
	s.replacePod(t)
	s.send(t, m, "while the operator is away")
	if now := s.checkMessages(t, m, "before", "while the operator is away"); now[0] != before[0] {
		t.Errorf("the unique-id was %s and is %s now", before[0], now[0])
	}
	scaleManager(t, 1)
	s.newMailbox(t, "bob")
	awaitReady(t, s.PopService)
	s.checkRestartOfOperatorGoesUnnoticed(t, m)
}

// checkRestartOfOperatorGoesUnnoticed: one that comes back finds all as it was, and says so by saying nothing.
func (s *service) checkRestartOfOperatorGoesUnnoticed(t *testing.T, m *mailbox) {
	t.Helper()
	pod, ready := s.pod(t), awaitCondition(t, s.PopService, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	version := get(t, m.Namespace, m.Name, m.Mailbox).ResourceVersion
	scaleManager(t, 0)
	scaleManager(t, 1)
	awaitReconciled(t)
	now := awaitCondition(t, s.PopService, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	if !now.LastTransitionTime.Equal(&ready.LastTransitionTime) {
		t.Errorf("Ready has changed and is True again since %s", now.LastTransitionTime)
	}
	if now := get(t, m.Namespace, m.Name, m.Mailbox).ResourceVersion; now != version {
		t.Errorf("the status of a Mailbox that did not change was written:\n%s", tell(m.Status.Conditions))
	}
	s.checkNotRestarted(t, pod)
}

// awaitReconciled waits until an operator that has just started has finished a pass over a PopService and one over a Mailbox.
func awaitReconciled(t *testing.T) {
	t.Helper()
	passes := regexp.MustCompile(`(?m)^controller_runtime_reconcile_total\{controller="(?:popservice|mailbox)".*\} [1-9]`)
	await(t, settling, "the operator's first passes", func() (bool, string) {
		pods := podsOf(t, get(t, systemNamespace, managerName, &appsv1.Deployment{}))
		if len(pods) != 1 || !isReady(pods[0]) {
			return false, "no operator"
		}
		found := passes.FindAllString(metricsOf(t, pods[0]), -1)
		return len(found) >= 2, strings.Join(found, "\n")
	})
}

func scaleManager(t *testing.T, replicas int) {
	t.Helper()
	kubectl(t, "--namespace", systemNamespace, "scale", "deployment/"+managerName, fmt.Sprintf("--replicas=%d", replicas))
	await(t, settling, fmt.Sprintf("%d operator pods", replicas), func() (bool, string) {
		manager := get(t, systemNamespace, managerName, &appsv1.Deployment{})
		pods := podsOf(t, manager)
		return len(pods) == replicas && int(manager.Status.AvailableReplicas) == replicas,
			fmt.Sprintf("%d pods, %d available", len(pods), manager.Status.AvailableReplicas)
	})
}
