// Package mailbox tells in each Mailbox's status what has become of it in the directory.
package mailbox

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/directory"
	"github.com/popservice/popservice/controllers/internal/backoff"
	"github.com/popservice/popservice/controllers/internal/conditions"
	"github.com/popservice/popservice/controllers/internal/finalizers"
)

// +kubebuilder:rbac:groups=popservice.io,resources=mailboxes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=popservice.io,resources=mailboxes/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

const (
	workers          = 8
	reconcileTimeout = 30 * time.Second
)

// Reconciler writes the status of Mailboxes; nobody else does.
type Reconciler struct {
	client.Client
	Board    *directory.Board
	Recorder events.EventRecorder
}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var m v1alpha1.Mailbox
	if err := r.Get(ctx, request.NamespacedName, &m); err != nil {
		if err = client.IgnoreNotFound(err); err == nil {
			r.Board.Forget(request.NamespacedName)
		}
		return reconcile.Result{}, err
	}
	if err := r.settleFinalizer(ctx, &m); err != nil {
		return reconcile.Result{}, err
	}
	outcome, ok := r.Board.Get(request.NamespacedName)
	if !ok || !speaksOf(outcome, &m) {
		return reconcile.Result{}, nil // the directory's controller is at it, and will tell
	}
	return reconcile.Result{}, r.tell(ctx, &m, outcome)
}

// settleFinalizer puts the finalizer on a Mailbox whose mail is to go with it. It is taken off by the directory's
// controller, or here where the user has thought better of it.
func (r *Reconciler) settleFinalizer(ctx context.Context, m *v1alpha1.Mailbox) error {
	if m.DeletionTimestamp != nil {
		return nil
	}
	err := finalizers.Set(ctx, r.Client, m, directory.Finalizer, m.Spec.ReclaimPolicy == v1alpha1.Delete)
	if apierrors.IsConflict(err) {
		return nil // it has changed, which makes for another pass
	}
	return err
}

// speaksOf tells whether an outcome is this Mailbox's, as it is now: neither of one that had the name before nor of an
// older spec.
func speaksOf(outcome directory.Outcome, m *v1alpha1.Mailbox) bool {
	return outcome.UID == m.UID && outcome.Generation == m.Generation
}

// tell writes the status if it has changed, and an event where there is something to do for the user.
func (r *Reconciler) tell(ctx context.Context, m *v1alpha1.Mailbox, outcome directory.Outcome) error {
	before := m.DeepCopy()
	m.Status = v1alpha1.MailboxStatus{
		ObservedGeneration: m.Generation,
		Conditions:         conditions.Merge(m.Status.Conditions, conditionsOf(m, outcome), m.Generation),
		MailboxID:          outcome.MailboxID,
	}
	if equality.Semantic.DeepEqual(before.Status, m.Status) {
		return nil
	}
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}) // never another one of the same name
	if err := r.Status().Patch(ctx, m, lock); apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it has just gone, or changed, which makes for another pass
	} else if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	ready, news := conditions.Newly(before.Status.Conditions, m.Status.Conditions, v1alpha1.ConditionReady)
	if news && meta.IsStatusConditionTrue(m.Status.Conditions, v1alpha1.ConditionStalled) {
		r.Recorder.Eventf(m, nil, corev1.EventTypeWarning, ready.Reason, "Reconcile", "%s", ready.Message)
	}
	return nil
}

// SetupWithManager adds the controller to the manager. Nearly all of its work comes from the board.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("mailbox").
		// Its own writes too: what was compared with a status older than the last write is compared once more.
		For(&v1alpha1.Mailbox{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WatchesRawSource(source.Channel(r.Board.Changes(), boardHandler)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, ReconciliationTimeout: reconcileTimeout,
			RateLimiter: backoff.Limiter[reconcile.Request]()}).
		Complete(r)
}

var boardHandler = handler.TypedFuncs[*v1alpha1.Mailbox, reconcile.Request]{
	GenericFunc: func(
		_ context.Context, e event.TypedGenericEvent[*v1alpha1.Mailbox], q workqueue.TypedRateLimitingInterface[reconcile.Request],
	) {
		q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: e.Object.Namespace, Name: e.Object.Name}})
	},
}
