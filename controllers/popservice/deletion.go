package popservice

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/finalizers"
	"github.com/popservice/popservice/controllers/internal/names"
)

// finalizer is on PopServices whose claim goes with them. So what onDelete says at the very end counts, and not what it said
// when the operator last saw it: a claim that goes too early cannot be brought back.
const finalizer = "popservice.io/claim"

// settleFinalizer puts the finalizer on or takes it off, as onDelete says. All else that a PopService owns needs none.
func (r *Reconciler) settleFinalizer(ctx context.Context, service *v1alpha1.PopService) error {
	return finalizers.Set(ctx, r.Client, service, finalizer, service.Spec.Storage.OnDelete == v1alpha1.Delete)
}

// finish lets a PopService go that is being deleted, and its claim with it where onDelete says so.
func (r *Reconciler) finish(ctx context.Context, key client.ObjectKey) error {
	var service v1alpha1.PopService // as it is now: the cache may not know of the last change of onDelete
	if err := r.Live.Get(ctx, key, &service); err != nil {
		return client.IgnoreNotFound(err)
	}
	if service.DeletionTimestamp == nil || !controllerutil.ContainsFinalizer(&service, finalizer) {
		return nil
	}
	if service.Spec.Storage.OnDelete == v1alpha1.Delete && !isOrphaning(&service) {
		if err := r.deleteClaim(ctx, &service); err != nil {
			return err
		}
	}
	return finalizers.Set(ctx, r.Client, &service, finalizer, false)
}

// isOrphaning tells whether whoever deletes the PopService asked for its objects to stay (--cascade=orphan).
func isOrphaning(service *v1alpha1.PopService) bool {
	return controllerutil.ContainsFinalizer(service, metav1.FinalizerOrphanDependents)
}

// deleteClaim deletes the claim that was made for the PopService, and no other one that has its name meanwhile. It goes when
// no pod uses it any more.
func (r *Reconciler) deleteClaim(ctx context.Context, service *v1alpha1.PopService) error {
	s := &state{service: service}
	id := s.identity(claimKind, names.Claim(service.Name))
	var claim corev1.PersistentVolumeClaim
	if err := r.Live.Get(ctx, s.key(id.Name), &claim); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !id.Owns(&claim) || claim.DeletionTimestamp != nil {
		return nil
	}
	log.FromContext(ctx).Info("the claim goes with the PopService, as onDelete says", "claim", id.Name)
	if err := r.Delete(ctx, &claim, client.Preconditions{UID: &claim.UID}); client.IgnoreNotFound(err) != nil {
		r.Recorder.Eventf(service, &claim, corev1.EventTypeWarning, reasonRefused, "Delete", "%v; trying again", err)
		return fmt.Errorf("delete PersistentVolumeClaim %q: %w", id.Name, err)
	}
	return nil
}
