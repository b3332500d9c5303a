//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
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
