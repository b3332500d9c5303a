package directory

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/backoff"
	"github.com/popservice/popservice/controllers/internal/index"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/pop3server/directory"
)

const (
	workers          = 8
	reconcileTimeout = time.Minute
	// gather is how long changes are gathered before a bucket is written: many Mailboxes at once are few writes.
	gather = 100 * time.Millisecond
)

// queue is where requests wait.
type queue = workqueue.TypedRateLimitingInterface[Request]

// SetupWithManager adds the controller to the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return builder.TypedControllerManagedBy[Request](mgr).
		Named("directory").
		Watches(&v1alpha1.Mailbox{}, r.handle(r.bucketsOfMailbox, mailboxChanged)).
		Watches(&v1alpha1.PopService{}, r.handle(r.bucketsOfService, generationChanged)).
		Watches(&corev1.Pod{}, r.handle(r.bucketsOfPod, podChanged)).
		WatchesMetadata(&corev1.Secret{}, r.handle(r.bucketsOfSecret, versionChanged)).
		WithOptions(controller.TypedOptions[Request]{
			MaxConcurrentReconciles: workers,
			ReconciliationTimeout:   reconcileTimeout,
			RateLimiter:             backoff.Limiter[Request](),
			LogConstructor:          r.logger(mgr.GetLogger()),
		}).
		Complete(r)
}

func (r *Reconciler) logger(base logr.Logger) func(*Request) logr.Logger {
	return func(request *Request) logr.Logger {
		if request == nil {
			return base.WithValues("controller", "directory")
		}
		return base.WithValues("controller", "directory", "namespace", request.Namespace, "popService", request.Name,
			"bucket", directory.BucketName(request.Bucket))
	}
}

// mapper gives the buckets that an object speaks to.
type mapper func(context.Context, client.Object) []Request

// handle makes a handler that asks for the buckets of both the old and the new object, if the change matters.
func (r *Reconciler) handle(buckets mapper, matters func(old,
	new client.Object) bool) handler.TypedEventHandler[client.Object, Request] {
	add := func(ctx context.Context, q queue, objects ...client.Object) {
		for _, object := range objects {
			for _, request := range buckets(ctx, object) {
				q.AddAfter(request, gather)
			}
		}
	}
	return handler.TypedFuncs[client.Object, Request]{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { add(ctx, q, e.Object) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { add(ctx, q, e.Object) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if matters(e.ObjectOld, e.ObjectNew) {
				add(ctx, q, e.ObjectOld, e.ObjectNew)
			}
		},
	}
}

// generationChanged tells of another object of the same name too.
func generationChanged(old, new client.Object) bool {
	return old.GetGeneration() != new.GetGeneration() || old.GetUID() != new.GetUID()
}

func versionChanged(old, new client.Object) bool {
	return old.GetResourceVersion() != new.GetResourceVersion()
}

// mailboxChanged passes over what the operator itself writes: the status.
func mailboxChanged(old, new client.Object) bool {
	return generationChanged(old, new) || (old.GetDeletionTimestamp() == nil) != (new.GetDeletionTimestamp() == nil)
}

// podChanged tells of a pod that begins or ceases to serve.
func podChanged(old, new client.Object) bool {
	return readiness(old) != readiness(new) || old.GetDeletionTimestamp() == nil && new.GetDeletionTimestamp() != nil
}

func readiness(object client.Object) corev1.ConditionStatus {
	for _, c := range object.(*corev1.Pod).Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status
		}
	}
	return corev1.ConditionUnknown
}

// bucketsOfMailbox gives a Mailbox's bucket and those of its rivals, and of theirs: a rival that gets its own address back
// takes aliases away from others.
func (r *Reconciler) bucketsOfMailbox(ctx context.Context, object client.Object) []Request {
	m := object.(*v1alpha1.Mailbox)
	requests := []Request{requestFor(m)}
	for _, rival := range r.rivals(ctx, m) {
		requests = append(requests, requestFor(&rival))
		for _, second := range r.rivals(ctx, &rival) {
			requests = append(requests, requestFor(&second))
		}
	}
	return requests
}

// rivals gives the other Mailboxes that claim an address of this one; none if the cache is not there yet, for each Mailbox
// comes by itself then.
func (r *Reconciler) rivals(ctx context.Context, m *v1alpha1.Mailbox) []v1alpha1.Mailbox {
	var rivals []v1alpha1.Mailbox
	for _, name := range index.Names(m) {
		claimants, _ := r.claimants(ctx, m, name)
		rivals = append(rivals, slices.DeleteFunc(claimants, func(c v1alpha1.Mailbox) bool { return c.UID == m.UID })...)
	}
	return rivals
}

// requests gives the buckets of all Mailboxes that match.
func (r *Reconciler) requests(ctx context.Context, namespace string, match client.ListOption) []Request {
	var mailboxes v1alpha1.MailboxList
	if err := r.List(ctx, &mailboxes, client.InNamespace(namespace), match, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache is not there yet; each Mailbox comes by itself then
	}
	var requests []Request
	for i := range mailboxes.Items {
		requests = append(requests, requestFor(&mailboxes.Items[i]))
	}
	return requests
}

func requestFor(m *v1alpha1.Mailbox) Request {
	return Request{
		NamespacedName: types.NamespacedName{Namespace: m.Namespace, Name: m.Spec.ServiceRef.Name},
		Bucket:         index.BucketOf(m.Spec.Address),
	}
}

// bucketsOfService gives the buckets that have Mailboxes, and those that have a Secret: a Mailbox may have gone while
// there was no PopService.
func (r *Reconciler) bucketsOfService(ctx context.Context, service client.Object) []Request {
	requests := r.requests(ctx, service.GetNamespace(), client.MatchingFields{index.Service: service.GetName()})
	var secrets metav1.PartialObjectMetadataList
	secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	err := r.List(ctx, &secrets, client.InNamespace(service.GetNamespace()),
		client.MatchingLabels{names.LabelService: service.GetName()}, client.HasLabels{names.LabelBucket})
	if err != nil {
		return requests // the cache is not there yet; each Secret comes by itself then
	}
	for i := range secrets.Items {
		requests = append(requests, r.bucketsOfSecret(ctx, &secrets.Items[i])...)
	}
	return requests
}

func (r *Reconciler) bucketsOfPod(ctx context.Context, pod client.Object) []Request {
	service, ok := pod.GetLabels()[names.LabelService]
	if !ok {
		return nil
	}
	return r.requests(ctx, pod.GetNamespace(), client.MatchingFields{index.Service: service})
}

// bucketsOfSecret gives the bucket that a Secret holds, or those of the Mailboxes that refer to it.
func (r *Reconciler) bucketsOfSecret(ctx context.Context, secret client.Object) []Request {
	labels := secret.GetLabels()
	if bucket, err := strconv.ParseUint(labels[names.LabelBucket], 16, 8); err == nil && bucket < directory.Buckets {
		return []Request{{
			NamespacedName: types.NamespacedName{Namespace: secret.GetNamespace(), Name: labels[names.LabelService]},
			Bucket:         int(bucket),
		}}
	}
	return r.requests(ctx, secret.GetNamespace(), client.MatchingFields{index.Secret: secret.GetName()})
}
