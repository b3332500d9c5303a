package popservice

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/controllers/popservice/resources"
)

// finalizer is on PopServices whose claim goes with them. So what onDelete says at the very end counts, and not what it said
// when the operator last saw it: a claim that goes too early cannot be brought back.
const finalizer = "popservice.io/claim"

// settleFinalizer puts the finalizer on or takes it off, as onDelete says. All else that a PopService owns needs none.
func (r *Reconciler) settleFinalizer(ctx context.Context, service *v1alpha1.PopService) error {
	if (service.Spec.Storage.OnDelete == v1alpha1.Delete) == controllerutil.ContainsFinalizer(service, finalizer) {
		return nil
	}
	before := service.DeepCopy()
	if !controllerutil.AddFinalizer(service, finalizer) {
		controllerutil.RemoveFinalizer(service, finalizer)
	}
	return r.writeFinalizers(ctx, service, before)
}

func (r *Reconciler) writeFinalizers(ctx context.Context, service, before *v1alpha1.PopService) error {
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Patch(ctx, service, lock); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write finalizers: %w", err)
	}
	return nil
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
	if service.Spec.Storage.OnDelete == v1alpha1.Delete {
		if err := r.bequeath(ctx, &service); err != nil {
			return err
		}
	}
	before := service.DeepCopy()
	controllerutil.RemoveFinalizer(&service, finalizer)
	return r.writeFinalizers(ctx, &service, before)
}

// bequeath makes the PopService the owner of its claim, which the garbage collector then deletes after it. The operator
// itself needs no right to delete claims.
func (r *Reconciler) bequeath(ctx context.Context, service *v1alpha1.PopService) error {
	s := &state{service: service, input: resources.Input{Service: service}}
	id := s.identity(claimKind, names.Claim(service.Name))
	var claim corev1.PersistentVolumeClaim
	if err := r.Live.Get(ctx, s.key(id.Name), &claim); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !id.Owns(&claim) {
		return nil
	}
	log.FromContext(ctx).Info("the claim goes with the PopService, as onDelete says", "claim", id.Name)
	_, err := r.Applier.Apply(ctx, id, resources.ClaimToGo(s.input, &claim), nil, nil)
	return err
}
