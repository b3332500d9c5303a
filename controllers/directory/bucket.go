package directory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
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

// errFull says that a bucket has more mailboxes than a Secret holds.
var errFull = errors.New("the directory of this PopService is full: move mailboxes to another PopService")

// bucket is one bucket in the course of a pass.
type bucket struct {
	request  Request
	service  *v1alpha1.PopService
	secret   *corev1.Secret // nil if there is none
	contents directory.Contents
	changed  bool
}

// credentialsOf gives the credentials of a Mailbox as they stand in the bucket.
func (b *bucket) credentialsOf(m *v1alpha1.Mailbox) []directory.Credential {
	if r := b.find(string(m.Spec.Address)); r != nil && r.Owner == m.Namespace+"/"+m.Name {
		return r.Credentials
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
	var wanted []directory.Record
	for i := range entries {
		e := &entries[i]
		if e.claims.refused.Reason != "" {
			continue
		}
		record, err := e.record(b.service.Spec.MailboxDefaults.Quota)
		if err != nil {
			e.claims.refused = Problem{ReasonInvalidQuota, err.Error()}
			continue
		}
		if err := b.check(record); err != nil {
			e.claims.refused = Problem{ReasonInvalidMailbox, fmt.Sprintf("no server would take it: %v", err)}
			continue
		}
		wanted = append(wanted, record)
	}
	revision := max(time.Now().UnixMilli(), b.lastRevision()+1)
	records, changed := merge(b.contents.Records, wanted, revision)
	b.changed = changed || b.secret == nil || b.contents.Header.Revision == 0
	b.contents.Records = records
	if b.changed {
		b.contents.Header = directory.Header{
			Version: directory.Version, Bucket: directory.BucketName(b.request.Bucket), Revision: revision,
		}
	}
}

// check says why a record does not fit into the format, which would hold up all others of the bucket.
func (b *bucket) check(record directory.Record) error {
	header := directory.Header{Version: directory.Version, Bucket: directory.BucketName(b.request.Bucket), Revision: 1}
	_, err := directory.Encode(header, []directory.Record{record})
	return err
}

// lastRevision is the highest revision known, also of a bucket whose contents cannot be read.
func (b *bucket) lastRevision() int64 {
	if b.secret == nil {
		return 0
	}
	told, _ := strconv.ParseInt(b.secret.Annotations[names.AnnotationRevision], 10, 64)
	return max(told, b.contents.Header.Revision)
}

// write writes the bucket's Secret if it differs from what there is.
func (r *Reconciler) write(ctx context.Context, b *bucket) error {
	text, err := b.text()
	if err != nil {
		return err
	}
	intent := resources.Bucket(resources.Input{Service: b.service}, b.request.Bucket, directory.BucketFile(b.request.Bucket),
		strconv.FormatInt(b.contents.Header.Revision, 10), text)
	owned, err := b.owned()
	if err != nil {
		return err
	}
	id := apply.Identity{GVK: corev1.SchemeGroupVersion.WithKind("Secret"), Namespace: b.request.Namespace,
		Name: names.Bucket(b.request.Name, b.request.Bucket), Service: b.request.Name}
	written, err := r.Applier.Apply(ctx, id, intent, b.secret, owned)
	if written {
		r.noteWritten(b.request)
		log.FromContext(ctx).V(1).Info("bucket written", "bucket", b.contents.Header.Bucket,
			"revision", b.contents.Header.Revision, "mailboxes", len(b.contents.Records))
	}
	return err
}

// text gives the bucket's file.
func (b *bucket) text() ([]byte, error) {
	text, err := directory.Encode(b.contents.Header, b.contents.Records)
	if err == nil && len(text) > maxBucket {
		err = fmt.Errorf("bucket %s has %d octets: %w", b.contents.Header.Bucket, len(text), errFull)
	}
	return text, err
}

// owned gives what of the Secret the operator has written.
func (b *bucket) owned() (*corev1ac.SecretApplyConfiguration, error) {
	if b.secret == nil {
		return nil, nil
	}
	return corev1ac.ExtractSecret(b.secret, names.FieldOwner)
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
}

// lastWritten is when this process last wrote a bucket.
func (r *Reconciler) lastWritten(request Request) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written[request]
}
