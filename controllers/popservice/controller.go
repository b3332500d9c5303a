// Package popservice makes what a PopService asks for, and tells in its status how far that has come.
//
// A pass goes one way: observe reads everything once; plan says, without reading or writing anything, what there is to
// be; apply writes what differs; conditions say, again purely, what has been observed; and the status is written if it changed.
package popservice

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/directory"
	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/conditions"
	"github.com/popservice/popservice/controllers/internal/fleet"
)

// +kubebuilder:rbac:groups=popservice.io,resources=popservices,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=popservice.io,resources=popservices/status,verbs=patch
// +kubebuilder:rbac:groups=popservice.io,resources=popservices/finalizers,verbs=update
// +kubebuilder:rbac:groups=popservice.io,resources=mailboxes,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=configmaps;services;serviceaccounts,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// How long until the next look at the servers, which no watch tells of: soon while a change is on its way, and ever later
// where it does not come.
const (
	whileChanging = time.Second
	whenSlow      = 5 * time.Second
	whenSettled   = 30 * time.Second

	changeTakes = time.Minute
	slowTakes   = 10 * time.Minute
	// unreachableFor is how long after a change a server is poked that cannot be asked whether it has seen it.
	unreachableFor = 2 * time.Minute
)

// Reconciler reconciles PopServices.
type Reconciler struct {
	client.Client
	// Live reads from the API server itself: Secrets are never cached.
	Live     client.Reader
	Applier  *apply.Applier
	Fleet    *fleet.Fleet
	Recorder events.EventRecorder
	// Board tells which buckets of the directory cannot be written.
	Board *directory.Board
	// Image is the server image where a PopService names none.
	Image string
	// Namespace is where the operator runs.
	Namespace string

	mu      sync.Mutex
	written map[types.NamespacedName]time.Time // when a file in the pods last changed
}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var service v1alpha1.PopService
	err := r.Get(ctx, request.NamespacedName, &service)
	switch {
	case err != nil:
		r.forget(request.NamespacedName) // what it owns goes with it
		return reconcile.Result{}, client.IgnoreNotFound(err)
	case service.DeletionTimestamp != nil:
		r.forget(request.NamespacedName)
		return reconcile.Result{}, r.finish(ctx, request.NamespacedName)
	}
	if err := r.settleFinalizer(ctx, &service); err != nil {
		return reconcile.Result{}, err
	}
	s, err := r.observe(ctx, &service)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := r.apply(ctx, s); errors.Is(err, apply.ErrTerminating) {
		return reconcile.Result{}, nil // the PopService is about to go too
	}
	r.poke(ctx, s)
	if err := r.tell(ctx, s); err != nil {
		return reconcile.Result{}, err
	}
	return s.result(r.lastWritten(request.NamespacedName))
}

// result says when to look again. What the API server has refused is tried again, ever later.
func (s *state) result(written time.Time) (reconcile.Result, error) {
	if err := s.retry(); err != nil {
		return reconcile.Result{}, err
	}
	switch {
	case s.isChanging():
		return reconcile.Result{RequeueAfter: patience(s.now.Sub(s.changingSince(written)))}, nil
	case s.isSyncing():
		return reconcile.Result{RequeueAfter: syncGrace}, nil
	}
	return reconcile.Result{RequeueAfter: whenSettled}, nil
}

// changingSince is when the change began that is on its way.
func (s *state) changingSince(written time.Time) time.Time {
	since := written
	if c := meta.FindStatusCondition(s.service.Status.Conditions, v1alpha1.ConditionReconciling); c != nil &&
		c.LastTransitionTime.After(since) {
		since = c.LastTransitionTime.Time
	}
	return since
}

func patience(since time.Duration) time.Duration {
	switch {
	case since < changeTakes:
		return whileChanging
	case since < slowTakes:
		return whenSlow
	}
	return whenSettled
}

// tell writes the status if it has changed, and an event where there is news.
func (r *Reconciler) tell(ctx context.Context, s *state) error {
	before := s.service.DeepCopy()
	s.service.Status = s.status()
	if equalStatus(before.Status, s.service.Status) {
		return nil
	}
	if err := r.Status().Patch(ctx, s.service, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	ready, news := conditions.Newly(before.Status.Conditions, s.service.Status.Conditions, v1alpha1.ConditionReady)
	if news {
		log.FromContext(ctx).Info("readiness changed", "ready", ready.Status, "reason", ready.Reason, "message", ready.Message)
		r.Recorder.Eventf(s.service, nil, s.eventType(), ready.Reason, "Reconcile", "%s", ready.Message)
	}
	return nil
}

// eventType is Warning for what only the user can put right.
func (s *state) eventType() string {
	if s.isStalled() {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}

// poke makes the kubelets look for files that have changed, where a server does not have them yet.
func (r *Reconciler) poke(ctx context.Context, s *state) {
	key := client.ObjectKeyFromObject(s.service)
	written := r.lastWritten(key)
	isRecent := time.Since(written) < unreachableFor
	var behind []fleet.Server
	for _, server := range s.servers {
		// One that cannot be asked may be waiting for the certificates of the control port itself.
		if server.Status == nil && isRecent || server.Status != nil && !s.isCurrent(server.Status) {
			behind = append(behind, server)
		}
	}
	if err := r.Fleet.Poke(ctx, key.Namespace, behind, written); err != nil {
		log.FromContext(ctx).Error(err, "a server may see its new files late")
	}
}

func (r *Reconciler) noteWritten(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.written == nil {
		r.written = make(map[types.NamespacedName]time.Time)
	}
	r.written[key] = time.Now()
}

func (r *Reconciler) lastWritten(key types.NamespacedName) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written[key]
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.Fleet.Forget(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.written, key)
}
