// Package directory writes Mailboxes into the bucket Secrets that the servers read, and sees to it that the servers have them.
//
// A bucket is reconciled as a whole: which Mailboxes are in it, which addresses they get, what their Secrets hold. Its
// Secret is written only if a record differs. Then the pods are poked, and asked until each has loaded the new
// revision. What has become of each Mailbox goes to the Board, from which package mailbox makes conditions.
package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/fleet"
	"github.com/popservice/popservice/controllers/internal/index"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/pop3server/directory"
)

// deriveBudget is how many verifiers one pass makes, some seconds' work; then the bucket is written and the next pass goes on.
const deriveBudget = 100

// Request names a bucket of a PopService.
type Request struct {
	types.NamespacedName
	Bucket int
}

// Reconciler reconciles buckets.
type Reconciler struct {
	client.Client
	// Live reads Secrets from the API server itself: they are never cached.
	Live    client.Reader
	Applier *apply.Applier
	Fleet   *fleet.Fleet
	Board   *Board

	mu      sync.Mutex
	started time.Time // of the first pass: before it, this operator may have waited to become the leader
	written map[Request]time.Time
}

// Reconcile makes one pass.
func (r *Reconciler) Reconcile(ctx context.Context, request Request) (reconcile.Result, error) {
	r.noteStart()
	var mailboxes v1alpha1.MailboxList
	err := r.List(ctx, &mailboxes, client.InNamespace(request.Namespace),
		client.MatchingFields{index.Bucket: index.BucketKey(request.Name, request.Bucket)})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("list mailboxes: %w", err)
	}
	var service v1alpha1.PopService
	err = r.Get(ctx, request.NamespacedName, &service)
	if apierrors.IsNotFound(err) || err == nil && service.DeletionTimestamp != nil {
		r.forgetWritten(request)
		r.Board.setTrouble(request, Problem{})
		return reconcile.Result{}, r.tellOrphans(ctx, request.Name, mailboxes.Items)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("read PopService: %w", err)
	}
	return r.fill(ctx, request, &service, mailboxes.Items)
}

// tellOrphans tells of Mailboxes whose PopService is not there. The buckets have gone with it.
func (r *Reconciler) tellOrphans(ctx context.Context, service string, mailboxes []v1alpha1.Mailbox) error {
	for i := range mailboxes {
		e := entry{mailbox: &mailboxes[i]}
		e.claims.refused = Problem{ReasonServiceNotFound,
			fmt.Sprintf("there is no PopService %q in this namespace: make it, or delete this Mailbox", service)}
		r.tell(ctx, &e, e.outcome())
	}
	return ctx.Err() // then some have not been told
}

// fill makes the bucket what it is to be and tells how far it has come.
func (r *Reconciler) fill(
	ctx context.Context, request Request, service *v1alpha1.PopService, mailboxes []v1alpha1.Mailbox,
) (reconcile.Result, error) {
	b, err := r.read(ctx, request, service)
	if err != nil {
		return reconcile.Result{}, err
	}
	if b.secret == nil && len(mailboxes) == 0 {
		r.Board.setTrouble(request, Problem{})
		return reconcile.Result{}, nil
	}
	entries, short, err := r.entries(ctx, mailboxes, b)
	if err != nil {
		return reconcile.Result{}, err
	}
	b.compile(entries)
	unwritten := r.write(ctx, b)
	if errors.Is(unwritten, apply.ErrTerminating) {
		return reconcile.Result{}, nil // the Mailboxes are about to go too
	}
	r.Board.setTrouble(request, problemOf(unwritten))
	if unwritten != nil {
		b.keep(entries, unwritten)
	}
	result, err := r.follow(ctx, b, entries)
	if err = errors.Join(unwritten, err); err != nil {
		return reconcile.Result{}, err
	}
	if short {
		result.RequeueAfter = time.Millisecond
	}
	return result, nil
}

// entries finds out what each Mailbox gets. It tells whether some credentials were left for the next pass.
func (r *Reconciler) entries(ctx context.Context, mailboxes []v1alpha1.Mailbox, b *bucket) ([]entry, bool, error) {
	resolver := resolver{metadata: r.Client, live: r.Live, budget: deriveBudget}
	var entries []entry
	short := false
	for i := range mailboxes {
		m := &mailboxes[i]
		if m.DeletionTimestamp != nil {
			continue
		}
		e := entry{mailbox: m}
		var err error
		if e.claims, err = r.claim(ctx, m); err != nil {
			return nil, false, err
		}
		if e.claims.refused.Reason == "" { // others have no record that keeps their verifiers
			if e.credentials, err = resolver.resolve(ctx, m, b.credentialsOf(m)); err != nil {
				return nil, false, err
			}
		}
		entries = append(entries, e)
		short = short || e.credentials.short
	}
	return entries, short, nil
}

// read reads the bucket as it stands. One that cannot be read, or that somebody else has written to, is made anew, under a
// higher revision.
func (r *Reconciler) read(ctx context.Context, request Request, service *v1alpha1.PopService) (*bucket, error) {
	b := &bucket{request: request, service: service}
	key := client.ObjectKey{Namespace: request.Namespace, Name: names.Bucket(request.Name, request.Bucket)}
	var secret corev1.Secret
	err := r.Live.Get(ctx, key, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return b, nil
	case err != nil:
		return nil, fmt.Errorf("read bucket: %w", err)
	}
	b.secret = &secret
	if b.owned, err = corev1ac.ExtractSecret(&secret, names.FieldOwner); err != nil {
		return nil, fmt.Errorf("read which fields of bucket %s are the operator's: %w", key.Name, err)
	}
	file := directory.BucketFile(request.Bucket)
	if b.contents, err = directory.Decode(file, secret.Data[file]); err == nil && len(b.owned.Data[file]) == 0 {
		err = errors.New("somebody else has written to it")
	}
	b.floor = b.contents.Header.Revision
	if err != nil {
		log.FromContext(ctx).Error(err, "bucket cannot be relied on and is written anew", "secret", key.Name)
		b.contents = directory.Contents{}
	}
	return b, nil
}

// tell brings an outcome to the board, and wakes the Mailbox's controller if it is a new one.
func (r *Reconciler) tell(ctx context.Context, e *entry, outcome Outcome) {
	if !r.Board.set(e.name(), outcome) {
		return
	}
	select {
	case r.Board.changes <- event.TypedGenericEvent[*v1alpha1.Mailbox]{Object: e.mailbox}:
	case <-ctx.Done():
		r.Board.Forget(e.name()) // to be told again
	}
}
