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
	"slices"
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
	"github.com/popservice/popservice/controllers/popservice/resources"
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
	made    map[Request]madeCredentials
}

// madeCredentials are those of a bucket that could not be written, by the Mailbox: to make verifiers anew each time is some
// seconds' work.
type madeCredentials map[types.UID][]directory.Credential

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
		r.setTrouble(ctx, request, Problem{})
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
		if mailboxes[i].DeletionTimestamp != nil { // there is no server to remove its mail
			if err := r.letGo(ctx, &mailboxes[i]); err != nil {
				return err
			}
			continue
		}
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
		r.setTrouble(ctx, request, problemOf(err))
		r.tellDelayed(ctx, mailboxes, problemOf(err))
		return reconcile.Result{}, err
	}
	if !b.isOurs() && len(mailboxes) == 0 {
		r.setTrouble(ctx, request, Problem{})
		return reconcile.Result{}, nil
	}
	entries, err := r.entries(ctx, mailboxes)
	if err != nil {
		return reconcile.Result{}, err
	}
	b.admit(entries)
	if entries, err = r.letRefusedGo(ctx, entries); err != nil {
		return reconcile.Result{}, err
	}
	short, unread := r.resolve(ctx, b, entries)
	b.compile(entries)
	unwritten := r.write(ctx, b)
	if errors.Is(unwritten, apply.ErrTerminating) {
		return reconcile.Result{}, nil // the Mailboxes are about to go too
	}
	r.setTrouble(ctx, request, problemOf(unwritten))
	r.keepMade(request, entries, unwritten)
	if unwritten != nil {
		b.keep(entries, unwritten)
	}
	result, err := r.follow(ctx, b, entries)
	if err = errors.Join(unwritten, unread, err); err != nil {
		return reconcile.Result{}, err
	}
	if short {
		result.RequeueAfter = time.Millisecond
	}
	return result, nil
}

// entries finds out which addresses each Mailbox gets, the oldest first.
func (r *Reconciler) entries(ctx context.Context, mailboxes []v1alpha1.Mailbox) ([]entry, error) {
	var entries []entry
	for i := range mailboxes {
		m := &mailboxes[i]
		if m.DeletionTimestamp != nil && !IsPurging(m) {
			if err := r.letGo(ctx, m); err != nil {
				return nil, err
			}
			continue
		}
		c, err := r.claim(ctx, m)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{mailbox: m, claims: c})
	}
	slices.SortFunc(entries, func(a, b entry) int { return byAge(a.mailbox, b.mailbox) })
	return entries, nil
}

// letRefusedGo lets Mailboxes go that are being deleted and have no record: the servers have no mail of theirs.
func (r *Reconciler) letRefusedGo(ctx context.Context, entries []entry) (left []entry, err error) {
	for _, e := range entries {
		if e.mailbox.DeletionTimestamp == nil || !e.isRefused() {
			left = append(left, e)
			continue
		}
		err = errors.Join(err, r.letGo(ctx, e.mailbox))
	}
	return left, err
}

// resolve gives the entries that are served their credentials. It tells whether some were left for the next pass, and what
// went wrong where Secrets could not be read.
func (r *Reconciler) resolve(ctx context.Context, b *bucket, entries []entry) (short bool, err error) {
	resolver := resolver{metadata: r.Client, live: r.Live, budget: deriveBudget,
		forms: resources.FormsOf(b.service.Spec.Authentication)}
	made := r.madeFor(b.request)
	for i := range entries {
		e := &entries[i]
		if e.isRefused() || e.unwritten.Reason != "" || IsPurging(e.mailbox) {
			continue
		}
		before := b.credentialsOf(e.mailbox)
		if again, ok := made[e.mailbox.UID]; ok {
			before = again
		}
		e.credentials = resolver.resolve(ctx, e.mailbox, before)
		e.record.Credentials = e.credentials.usable
		short = short || e.credentials.short
	}
	return short, resolver.failure
}

// tellDelayed tells of Mailboxes whose bucket cannot be read.
func (r *Reconciler) tellDelayed(ctx context.Context, mailboxes []v1alpha1.Mailbox, problem Problem) {
	for i := range mailboxes {
		e := entry{mailbox: &mailboxes[i], unwritten: problem}
		r.tell(ctx, &e, e.outcome())
	}
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

// setTrouble brings what is wrong with a bucket to the board, and wakes the PopService's controller if it is news.
func (r *Reconciler) setTrouble(ctx context.Context, request Request, problem Problem) {
	if !r.Board.setTrouble(request, problem) {
		return
	}
	service := &v1alpha1.PopService{}
	service.Namespace, service.Name = request.Namespace, request.Name
	select {
	case r.Board.services <- event.TypedGenericEvent[*v1alpha1.PopService]{Object: service}:
	case <-ctx.Done(): // it looks from time to time anyway
	}
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
