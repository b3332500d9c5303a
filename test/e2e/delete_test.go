//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/popservice/popservice/api/v1alpha1"
)

// testDelete: what DELE and QUIT have removed stays removed, and its unique-id is not given to other mail, by the next server
// of the same maildrops either.
func testDelete(t *testing.T, s *service) {
	m := s.newMailbox(t, "delete")
	for _, subject := range []string{"kept", "deleted", "deleted and last"} {
		s.send(t, m, subject)
	}
	p := s.open(t, m)
	old := p.uids(t)
	p.must(t, "DELE 2")
	p.must(t, "DELE 3")
	p.quit(t)
	s.replacePod(t)
	s.checkMessages(t, m, "kept")
	s.send(t, m, "new")
	now := s.checkMessages(t, m, "kept", "new")
	if now[0] != old[0] {
		t.Errorf("the kept message had the unique-id %s and has %s now", old[0], now[0])
	}
	if slices.Contains(old, now[1]) {
		t.Errorf("the new message has the unique-id %s, which was used before", now[1])
	}
}

// TestPopServiceDeletedAndMadeAgain: claim and mail stay, and are taken up again.
func TestPopServiceDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	s := newService(t, "retained")
	m := s.newMailbox(t, "alice")
	s.send(t, m, "first")
	s.send(t, m, "second")
	before := s.checkMessages(t, m, "first", "second")
	claim := s.claim(t)

	remove(t, s.PopService)
	await(t, settling, "the end of the servers", func() (bool, string) {
		pods := podsBy(t, s.Namespace, labels.Everything())
		return len(pods) == 0, fmt.Sprint(len(pods), " pods")
	})
	awaitCondition(t, m.Mailbox, v1alpha1.ConditionReady, metav1.ConditionFalse, "ServiceNotFound")
	if now := s.claim(t); now.UID != claim.UID {
		t.Fatalf("the claim was made anew")
	}

	again := newPopService(s.Namespace)
	create(t, again)
	// The Service may have another address now, which the certificate has to name.
	authority := s.authority
	s = findService(t, again)
	s.authority = authority
	fresh := authority.secret(t, s.host(), s.ip, s.Namespace)
	change(t, get(t, s.Namespace, tlsSecret, &corev1.Secret{}), func(secret *corev1.Secret) { secret.Data = fresh.Data })
	awaitReady(t, again)
	awaitReady(t, m.Mailbox)
	s.awaitReachable(t)
	if now := s.claim(t); now.UID != claim.UID {
		t.Errorf("the claim was made anew")
	}
	if now := s.checkMessages(t, m, "first", "second"); !slices.Equal(now, before) {
		t.Errorf("the unique-ids were %q and are %q now", before, now)
	}
}

// claim is that of the maildrops, which must be bound.
func (s *service) claim(t *testing.T) *corev1.PersistentVolumeClaim {
	t.Helper()
	claim := get(t, s.Namespace, s.Name+"-maildrops", &corev1.PersistentVolumeClaim{})
	if claim.Status.Phase != corev1.ClaimBound || claim.DeletionTimestamp != nil {
		t.Errorf("claim %s is %s, deleted at %v; want it Bound and not deleted", claim.Name, claim.Status.Phase,
			claim.DeletionTimestamp)
	}
	return claim
}
