package directory

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/finalizers"
	"github.com/popservice/popservice/controllers/internal/fleet"
	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/directory"
)

// Finalizer is on Mailboxes whose reclaimPolicy is Delete: they stay until the servers have removed their mail.
const Finalizer = "popservice.io/maildrop"

// IsPurging tells whether a Mailbox is being deleted, and its mail is to be removed first.
func IsPurging(m *v1alpha1.Mailbox) bool {
	return m.DeletionTimestamp != nil && controllerutil.ContainsFinalizer(m, Finalizer) && m.Spec.ReclaimPolicy == v1alpha1.Delete
}

// letGo lets a Mailbox go that is being deleted.
func (r *Reconciler) letGo(ctx context.Context, m *v1alpha1.Mailbox) error {
	return finalizers.Set(ctx, r.Client, m, Finalizer, false)
}

// isPurged tells whether no server has, or may yet take, mail of a mailbox that is to be purged: each one that gets clients
// has seen the record, and each one that has seen it is done with it.
func isPurged(servers []fleet.Server, record *directory.Record) bool {
	seen := false
	bucket := directory.BucketName(directory.Bucket(record.ID))
	for _, server := range servers {
		switch {
		case server.Status == nil || server.Status.Directory.Revisions[bucket] < record.Since:
			if server.Ready {
				return false
			}
		case len(server.Status.Store.Purging) >= control.MaxPurging || slices.Contains(server.Status.Store.Purging, record.ID):
			return false
		default:
			seen = true
		}
	}
	return seen
}
