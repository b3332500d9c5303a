package directory

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/fleet"
)

// Finalizer is on Mailboxes whose reclaimPolicy is Delete: they stay until the servers have removed their mail.
const Finalizer = "popservice.io/maildrop"

// IsPurging tells whether a Mailbox is being deleted, and its mail is to be removed first.
func IsPurging(m *v1alpha1.Mailbox) bool {
	return m.DeletionTimestamp != nil && controllerutil.ContainsFinalizer(m, Finalizer) && m.Spec.ReclaimPolicy == v1alpha1.Delete
}

// letGo lets a Mailbox go that is being deleted.
func (r *Reconciler) letGo(ctx context.Context, m *v1alpha1.Mailbox) error {
	if !controllerutil.ContainsFinalizer(m, Finalizer) {
		return nil
	}
	before := m.DeepCopy()
	after := m.DeepCopy()
	controllerutil.RemoveFinalizer(after, Finalizer)
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Patch(ctx, after, lock); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("let Mailbox %s go: %w", m.Name, err)
	}
	return nil
}

// isPurged tells whether some server has seen a record that is to be purged, and has nothing left to purge. One is enough:
// all of them work on the same volume.
func isPurged(servers []fleet.Server, bucket string, since int64) bool {
	for _, server := range servers {
		if server.Status != nil && server.Status.Directory.Revisions[bucket] >= since && server.Status.Store.Purging == 0 {
			return true
		}
	}
	return false
}
