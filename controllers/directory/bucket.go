package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/directory"
)

// maxBucket is how large a bucket may be: a Secret takes 1 MiB, its metadata included.
const maxBucket = 1<<20 - 16<<10

// bucket is one bucket in the course of a pass.
type bucket struct {
	request  Request
	service  *v1alpha1.PopService
	secret   *corev1.Secret // nil if there is none
	owned    *corev1ac.SecretApplyConfiguration
	contents directory.Contents
	before   directory.Contents // what stands in the Secret
	floor    int64              // revision that the Secret says its contents have
	defaults string             // which mailboxDefaults it has; see resources.FormatDefaults
}

// credentialsOf gives the credentials of a Mailbox as they stand in the bucket.
func (b *bucket) credentialsOf(m *v1alpha1.Mailbox) []directory.Credential {
	if r := b.recordOf(m); r != nil {
		return r.Credentials
	}
	return nil
}

// recordOf gives the record of a Mailbox; nil if there is none.
func (b *bucket) recordOf(m *v1alpha1.Mailbox) *directory.Record {
	if r := b.find(string(m.Spec.Address)); r != nil && r.Owner == m.Namespace+"/"+m.Name {
		return r
	}
	return nil
}

// find gives the record of an address; nil if there is none.
func (b *bucket) find(address string) *directory.Record {
	for i := range b.contents.Records {
		if b.contents.Records[i].Address == address {
			return &b.contents.Records[i]
		}
	}
	return nil
}

// compile replaces the contents by what the entries ask for. An entry that cannot be served is left out.
func (b *bucket) compile(entries []entry) {
	b.before = b.contents
	var wanted []directory.Record
	for i := range entries {
		if entries[i].claims.refused.Reason == "" {
			wanted = append(wanted, entries[i].record)
		}
	}
	revision := max(time.Now().UnixMilli(), b.lastRevision()+1)
	records, changed := merge(b.contents.Records, wanted, revision)
	changed = b.setDefaults(revision) || changed
	b.contents.Records = records
	if changed || b.secret == nil || b.contents.Header.Revision == 0 {
		b.contents.Header = directory.Header{
			Version: directory.Version, Bucket: directory.BucketName(b.request.Bucket), Revision: revision,
		}
	}
}

// setDefaults notes which mailboxDefaults the bucket has, and since which revision. It tells whether they are others than
// before.
func (b *bucket) setDefaults(revision int64) bool {
	var has string
	if b.secret != nil {
		has = b.secret.Annotations[names.AnnotationDefaults]
	}
	wanted := resources.DefaultsHash(&b.service.Spec)
	if hash, _ := resources.ParseDefaults(has); hash == wanted {
		b.defaults = has
		return false
	}
	b.defaults = resources.FormatDefaults(wanted, revision)
	return true
}

// isOurs tells whether there is a Secret that was made for this PopService.
func (b *bucket) isOurs() bool { return b.secret != nil && b.identity().Owns(b.secret) }

func (b *bucket) identity() apply.Identity {
	return apply.Identity{GVK: corev1.SchemeGroupVersion.WithKind("Secret"), Namespace: b.request.Namespace,
		Name: names.Bucket(b.request.Name, b.request.Bucket), Service: b.request.Name, ServiceUID: b.service.UID}
}

// admit makes the entries' records, without credentials, and refuses those of which none can be made or for which there is
// no room.
func (b *bucket) admit(entries []entry) {
	var made []*entry
	for i := range entries {
		e := &entries[i]
		if e.isRefused() {
			continue
		}
		var err error
		if e.record, err = e.newRecord(b.service.Spec.MailboxDefaults.Quota); err != nil {
			e.claims.refused = Problem{ReasonInvalidQuota, err.Error()}
			continue
		}
		if e.size, err = b.size(e.record, roomFor(e.mailbox.Spec.Credentials)); err != nil {
			e.claims.refused = Problem{ReasonInvalidMailbox, fmt.Sprintf("no server would take it: %v", err)}
			continue
		}
		if IsPurging(e.mailbox) {
			e.size = 0 // it is about to make room
		}
		made = append(made, e)
	}
	b.fit(made)
}

// fit refuses what a Secret does not hold. What stands in the bucket stays there; a change for which there is no room is
// refused, and then the newest Mailboxes are.
func (b *bucket) fit(entries []*entry) {
	problem := Problem{ReasonDirectoryFull, fmt.Sprintf("bucket %q of the directory has no room for it: "+
		"move Mailboxes to another PopService", directory.BucketName(b.request.Bucket))}
	left := maxBucket
	var fresh []*entry
	for _, e := range entries {
		old := b.recordOf(e.mailbox)
		if old == nil {
			fresh = append(fresh, e)
			continue
		}
		e.oldSize, _ = b.size(*old, roomOf(old.Credentials))
		left -= e.oldSize
	}
	for _, e := range entries {
		switch old := b.recordOf(e.mailbox); {
		case old == nil:
		case e.size-e.oldSize > left:
			e.record, e.unwritten = *old, problem
		default:
			left -= e.size - e.oldSize
		}
	}
	for _, e := range fresh {
		if e.size > left {
			e.claims.refused = problem
			continue
		}
		left -= e.size
	}
}

// credentialOctets is what a credential takes at most, in all its forms, beside its principal.
const credentialOctets = 900

// roomFor is what a Mailbox's credentials take at most.
func roomFor(credentials []v1alpha1.Credential) (octets int) {
	for i := range credentials {
		octets += credentialOctets + principalOctets(principalOf(&credentials[i]))
	}
	return octets
}

// roomOf is the same of credentials that stand in a bucket.
func roomOf(credentials []directory.Credential) (octets int) {
	for _, c := range credentials {
		octets += credentialOctets + principalOctets(c.Principal)
	}
	return octets
}

func principalOctets(p directory.Principal) int {
	text, _ := json.Marshal(p) // texts alone
	return len(text)
}

// size gives at most how many octets a record takes with credentials that take so many, and says why it does not fit into the
// format, which would hold up all others of the bucket.
func (b *bucket) size(record directory.Record, credentials int) (int, error) {
	record.Since, record.Credentials = math.MaxInt64, nil
	header := directory.Header{Version: directory.Version, Bucket: directory.BucketName(b.request.Bucket), Revision: math.MaxInt64}
	text, err := directory.Encode(header, []directory.Record{record})
	_, line, _ := bytes.Cut(text, []byte("\n"))
	octets := len(line) + credentials
	if err == nil && octets > directory.MaxLineOctets {
		err = fmt.Errorf("with aliases, delegates and credentials it may take %d octets, at most %d are allowed", octets,
			directory.MaxLineOctets)
	}
	return octets, err
}

// lastRevision is the highest revision known, also of a bucket whose contents cannot be read.
func (b *bucket) lastRevision() int64 {
	if b.secret == nil {
		return 0
	}
	told, _ := strconv.ParseInt(b.secret.Annotations[names.AnnotationRevision], 10, 64)
	return max(told, b.floor)
}

// write writes the bucket's Secret if it differs from what there is.
func (r *Reconciler) write(ctx context.Context, b *bucket) error {
	text, err := directory.Encode(b.contents.Header, b.contents.Records)
	if err != nil {
		return err
	}
	intent := resources.Bucket(resources.Input{Service: b.service}, resources.BucketFile{
		Bucket: b.request.Bucket, Text: text, Revision: b.contents.Header.Revision, Defaults: b.defaults})
	written, err := r.Applier.Apply(ctx, b.identity(), intent, b.secret, b.owned)
	if written {
		r.noteWritten(b.request)
		log.FromContext(ctx).V(1).Info("bucket written", "bucket", b.contents.Header.Bucket,
			"revision", b.contents.Header.Revision, "mailboxes", len(b.contents.Records))
	}
	return err
}

// keep puts back the contents that stand in the Secret, after a write that failed. The Mailboxes which it was about are told.
func (b *bucket) keep(entries []entry, err error) {
	revision := b.contents.Header.Revision
	for i := range entries {
		e := &entries[i]
		if record := b.find(string(e.mailbox.Spec.Address)); record != nil && record.Since == revision && !e.isRefused() {
			e.unwritten = problemOf(err)
		}
	}
	b.contents = b.before
}

// problemOf says in a condition's words why a bucket could not be written.
func problemOf(err error) Problem {
	switch {
	case err == nil:
		return Problem{}
	case errors.As(err, new(*apply.ForeignError)):
		return Problem{ReasonObjectExists, err.Error()}
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err):
		return Problem{ReasonRefused, err.Error()}
	}
	return Problem{ReasonApplyFailed, fmt.Sprintf("%v; trying again", err)}
}

// keepMade keeps the credentials of entries whose bucket could not be written, for the next pass.
func (r *Reconciler) keepMade(request Request, entries []entry, unwritten error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.made, request)
	if unwritten == nil {
		return
	}
	made := make(madeCredentials, len(entries))
	for i := range entries {
		made[entries[i].mailbox.UID] = entries[i].credentials.usable
	}
	if r.made == nil {
		r.made = make(map[Request]madeCredentials)
	}
	r.made[request] = made
}

func (r *Reconciler) madeFor(request Request) madeCredentials {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made[request]
}

// noteStart notes the time of the first pass.
func (r *Reconciler) noteStart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started.IsZero() {
		r.started = time.Now()
	}
}

// startedAt is the time of the first pass.
func (r *Reconciler) startedAt() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started
}

func (r *Reconciler) noteWritten(request Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.written == nil {
		r.written = make(map[Request]time.Time)
	}
	r.written[request] = time.Now()
}

func (r *Reconciler) forgetWritten(request Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.written, request)
	delete(r.made, request)
}

// lastWritten is when this process last wrote a bucket.
func (r *Reconciler) lastWritten(request Request) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written[request]
}
