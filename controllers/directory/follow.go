package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/popservice/popservice/controllers/internal/fleet"
	"github.com/popservice/popservice/pop3server/directory"
)

// How often servers are asked whether they have loaded a new revision: often while the kubelet is at it, and then ever less.
const (
	askSoon   = 150 * time.Millisecond
	askLater  = time.Second
	askRarely = 10 * time.Second
	askSeldom = time.Minute

	soonLasts   = 3 * time.Second
	laterLasts  = time.Minute
	rarelyLasts = 10 * time.Minute
)

// follow asks the servers what they have of the bucket, pokes those that are behind, and tells what has become of each Mailbox.
func (r *Reconciler) follow(ctx context.Context, b *bucket, entries []entry) (reconcile.Result, error) {
	servers, err := r.Fleet.Servers(ctx, b.request.NamespacedName)
	if err != nil {
		return reconcile.Result{}, err
	}
	name, revision := b.contents.Header.Bucket, b.contents.Header.Revision
	behind := lagging(servers, name, revision)
	written := r.lastWritten(b.request)
	if err := r.Fleet.Poke(ctx, b.request.Namespace, behind, written); err != nil {
		log.FromContext(ctx).Error(err, "a server may see the directory late")
	}
	loaded, asked := loadedBy(servers, name)
	for i := range entries {
		outcome := entries[i].outcome()
		if record := b.find(string(entries[i].mailbox.Spec.Address)); record != nil && outcome.Refused.Reason == "" {
			outcome.since = record.Since
			outcome.Reach = r.reach(record.Since, loaded, asked)
			if entries[i].credentials.short {
				outcome.Reach = Pending
			}
			outcome.Refused = foreignOwner(servers, record)
			if IsPurging(entries[i].mailbox) && isPurged(servers, record) {
				if err := r.letGo(ctx, entries[i].mailbox); err != nil {
					return reconcile.Result{}, err
				}
			}
		}
		r.tell(ctx, &entries[i], outcome)
	}
	if slices.ContainsFunc(entries, func(e entry) bool { return IsPurging(e.mailbox) }) {
		return reconcile.Result{RequeueAfter: interval(time.Since(written))}, ctx.Err()
	}
	if err := ctx.Err(); err != nil { // then some Mailboxes have not been told
		return reconcile.Result{}, err
	}
	if asked && loaded >= revision {
		return reconcile.Result{}, nil
	}
	if started := r.startedAt(); written.Before(started) {
		written = started
	}
	return reconcile.Result{RequeueAfter: interval(time.Since(written))}, nil
}

// foreignOwner says that a maildrop is another Mailbox's, where a server has found it so.
func foreignOwner(servers []fleet.Server, record *directory.Record) Problem {
	for _, server := range servers {
		if server.Status == nil {
			continue
		}
		if owner, foreign := server.Status.Store.Foreign[record.ID]; foreign {
			return Problem{ReasonForeignMaildrop, fmt.Sprintf("the maildrop of %s was made by Mailbox %s, whose mail may be in it: set "+
				"adoptionPolicy to Adopt to take it over, or restore that Mailbox", record.Address, owner)}
		}
	}
	return Problem{}
}

// reach tells how far a record has come that last changed in a revision.
func (r *Reconciler) reach(since, loaded int64, asked bool) Reach {
	switch {
	case asked && loaded >= since:
		return Loaded
	case asked:
		return Pending
	case since < r.startedAt().UnixMilli():
		return Unknown
	}
	return Unserved
}

// lagging gives the servers that have not loaded a revision of a bucket.
func lagging(servers []fleet.Server, bucket string, revision int64) []fleet.Server {
	return slices.DeleteFunc(slices.Clone(servers), func(server fleet.Server) bool {
		return server.Status == nil || server.Status.Directory.Revisions[bucket] >= revision
	})
}

// loadedBy gives the revision of a bucket that every ready server has loaded. There is none unless all of them could
// be asked, and there is one at all.
func loadedBy(servers []fleet.Server, bucket string) (revision int64, ok bool) {
	for _, server := range servers {
		if !server.Ready {
			continue
		}
		if server.Status == nil {
			return 0, false
		}
		has := server.Status.Directory.Revisions[bucket]
		if !ok || has < revision {
			revision = has
		}
		ok = true
	}
	return revision, ok
}

func interval(since time.Duration) time.Duration {
	switch {
	case since < soonLasts:
		return askSoon
	case since < laterLasts:
		return askLater
	case since < rarelyLasts:
		return askRarely
	}
	return askSeldom
}
