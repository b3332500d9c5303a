package directory

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/pop3server/directory"
)

// entry is a Mailbox on its way into a bucket.
type entry struct {
	mailbox     *v1alpha1.Mailbox
	claims      claims
	credentials resolved
	record      directory.Record // unless it is refused
	size        int              // that the record takes at most, in octets
	oldSize     int              // that the one in the bucket takes at most
	// unwritten says why a change of the record is not in the bucket yet.
	unwritten Problem
}

func (e *entry) isRefused() bool { return e.claims.refused.Reason != "" }

// name gives the Mailbox's name.
func (e *entry) name() types.NamespacedName { return client.ObjectKeyFromObject(e.mailbox) }

// outcome says what is wrong with the Mailbox, if anything is.
func (e *entry) outcome() Outcome {
	outcome := Outcome{
		UID:         e.mailbox.UID,
		Generation:  e.mailbox.Generation,
		MailboxID:   directory.MailboxID(string(e.mailbox.Spec.Address)),
		Refused:     e.claims.refused,
		Alias:       e.claims.alias,
		Credentials: e.credentials.problem,
	}
	switch {
	case e.isRefused():
	case e.unwritten.Reason == ReasonApplyFailed:
		outcome.Delayed = e.unwritten
	case e.unwritten.Reason != "":
		outcome.Refused = e.unwritten
	}
	return outcome
}

// newRecord makes the servers' record of a Mailbox. What its quota leaves out, the PopService says.
func (e *entry) newRecord(defaults v1alpha1.Quota) (directory.Record, error) {
	spec := &e.mailbox.Spec
	quota, err := quotaOf(spec.Quota.Or(defaults))
	if err != nil {
		return directory.Record{}, err
	}
	state := directory.Enabled
	switch {
	case IsPurging(e.mailbox):
		state = directory.Purged
	case spec.State == v1alpha1.MailboxDisabled:
		state = directory.Disabled
	}
	return directory.Record{
		ID:      directory.MailboxID(string(spec.Address)),
		Address: string(spec.Address),
		Aliases: e.claims.aliases,
		Owner:   e.name().String(),
		Adopt:   spec.AdoptionPolicy == v1alpha1.AdoptAdopt,
		State:   state,
		Quota:   quota,
		NoPOP3:  spec.POP3.Access == v1alpha1.AccessRefused,
		Size:    string(spec.POP3.MessageSize),

		Delegates: delegatesOf(spec),
	}, nil
}

func delegatesOf(spec *v1alpha1.MailboxSpec) (all []string) {
	for _, address := range spec.Delegates {
		all = append(all, string(address))
	}
	slices.Sort(all)
	return all
}

func quotaOf(quota v1alpha1.Quota) (q directory.Quota, err error) {
	if q.IssueWarning, err = v1alpha1.LimitOctets(quota.IssueWarning); err != nil {
		return q, err
	}
	q.ProhibitReceive, err = v1alpha1.LimitOctets(quota.ProhibitReceive)
	return q, err
}

// merge gives a bucket's records as they are to be: those that did not change keep the revision of their last change,
// the others get the new one. It tells whether anything differs.
func merge(before, wanted []directory.Record, revision int64) (merged []directory.Record, changed bool) {
	old := make(map[string]directory.Record, len(before))
	for _, r := range before {
		old[r.ID] = r
	}
	changed = len(before) != len(wanted)
	merged = slices.Clone(wanted)
	for i := range merged {
		last, known := old[merged[i].ID]
		merged[i].Since = last.Since
		if !known || !sameRecord(last, merged[i]) {
			merged[i].Since = revision
			changed = true
		} else if !slices.Equal(last.Credentials, merged[i].Credentials) {
			changed = true // the same verifiers, of a Secret that was written again
		}
	}
	return merged, changed
}

// sameRecord tells whether two records are the same to a server.
func sameRecord(a, b directory.Record) bool {
	return a.Address == b.Address && a.Owner == b.Owner && a.Adopt == b.Adopt && a.State == b.State && a.Quota == b.Quota &&
		a.NoPOP3 == b.NoPOP3 && a.Size == b.Size &&
		slices.Equal(a.Aliases, b.Aliases) && slices.Equal(a.Delegates, b.Delegates) && slices.EqualFunc(a.Credentials,
		b.Credentials, sameCredential)
}

func sameCredential(a, b directory.Credential) bool {
	a.Source, b.Source = "", ""
	return a == b
}
