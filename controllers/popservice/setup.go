package popservice

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
	"github.com/popservice/popservice/controllers/internal/backoff"
	"github.com/popservice/popservice/controllers/internal/index"
	"github.com/popservice/popservice/controllers/internal/names"
)

const (
	workers          = 4
	reconcileTimeout = time.Minute
	// countDelay gathers changes of Mailboxes, of which the status tells but the number.
	countDelay = 2 * time.Second
)

// SetupWithManager adds the controller to the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	changed := builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})
	toService := handler.EnqueueRequestsFromMapFunc(serviceOfLabel)
	return ctrl.NewControllerManagedBy(mgr).
		Named("popservice").
		For(&v1alpha1.PopService{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.ConfigMap{}, toService, changed).
		Watches(&corev1.ServiceAccount{}, toService, changed).
		Watches(&corev1.PersistentVolumeClaim{}, toService, changed).
		Watches(&appsv1.Deployment{}, toService, changed).
		Watches(&corev1.Service{}, toService, changed).
		Watches(&networkingv1.NetworkPolicy{}, toService, changed).
		Watches(&corev1.Pod{}, toService, changed).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.servicesOfSecret), changed).
		Watches(&v1alpha1.Mailbox{}, countingHandler{}).
		WatchesRawSource(source.Channel(r.Board.Troubles(), &handler.TypedEnqueueRequestForObject[*v1alpha1.PopService]{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, ReconciliationTimeout: reconcileTimeout,
			RateLimiter: backoff.Limiter[reconcile.Request]()}).
		Complete(r)
}

// serviceOfLabel gives the PopService that an object belongs to. The claim has no owner reference, so the label counts.
func serviceOfLabel(_ context.Context, object client.Object) []reconcile.Request {
	name, ok := object.GetLabels()[names.LabelService]
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
}

// servicesOfSecret gives the PopServices that a Secret belongs to, or that refer to it.
func (r *Reconciler) servicesOfSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	requests := serviceOfLabel(ctx, secret)
	var services v1alpha1.PopServiceList
	err := r.List(ctx, &services, client.InNamespace(secret.GetNamespace()), client.MatchingFields{index.Secret: secret.GetName()})
	if err != nil {
		return requests // the cache is not there yet; each PopService comes by itself then
	}
	for i := range services.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&services.Items[i])})
	}
	return requests
}

// countingHandler lets a PopService count its Mailboxes anew, some time after one has come, gone, or changed its readiness.
type countingHandler struct{}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

func (countingHandler) Create(_ context.Context, e event.CreateEvent, q queue)   { count(e.Object, q) }
func (countingHandler) Delete(_ context.Context, e event.DeleteEvent, q queue)   { count(e.Object, q) }
func (countingHandler) Generic(_ context.Context, e event.GenericEvent, q queue) { count(e.Object, q) }

func (countingHandler) Update(_ context.Context, e event.UpdateEvent, q queue) {
	if readiness(e.ObjectOld) != readiness(e.ObjectNew) {
		count(e.ObjectNew, q)
	}
}

func count(object client.Object, q queue) {
	m := object.(*v1alpha1.Mailbox)
	q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{
		Namespace: m.Namespace, Name: m.Spec.ServiceRef.Name,
	}}, countDelay)
}

func readiness(object client.Object) metav1.ConditionStatus {
	for _, c := range object.(*v1alpha1.Mailbox).Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Status
		}
	}
	return metav1.ConditionUnknown
}
