package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/index"
)

// Reasons of a Mailbox's conditions.
const (
	ReasonServiceNotFound  = "ServiceNotFound"
	ReasonAddressConflict  = "AddressConflict"
	ReasonAliasConflict    = "AliasConflict"
	ReasonSecretNotFound   = "SecretNotFound"
	ReasonSecretUnreadable = "SecretUnreadable"
	ReasonKeyNotFound      = "KeyNotFound"
	ReasonInvalidPassword  = "InvalidPassword"
	ReasonInvalidVerifier  = "InvalidVerifier"
	ReasonUnusedCredential = "UnusedCredential" //nolint:gosec // G101: it is a reason, no credential
	ReasonInvalidQuota     = "InvalidQuota"
	ReasonInvalidMailbox   = "InvalidMailbox"
	ReasonDirectoryFull    = "DirectoryFull"
	ReasonForeignMaildrop  = "ForeignMaildrop"
	ReasonObjectExists     = "ObjectExists"
	ReasonRefused          = "RefusedByAPIServer"
	ReasonApplyFailed      = "ApplyFailed"
)

// claims are the addresses that a Mailbox gets.
type claims struct {
	aliases []string // sorted
	refused Problem
	alias   Problem
}

// claim finds out which of its addresses a Mailbox gets. Other Mailboxes of the same PopService may claim them too.
func (r *Reconciler) claim(ctx context.Context, m *v1alpha1.Mailbox) (claims, error) {
	rivals := make(map[string]*v1alpha1.Mailbox)
	for _, name := range index.Names(m) {
		rival, err := r.strongest(ctx, m, name)
		if err != nil {
			return claims{}, err
		}
		rivals[name] = rival
	}
	return settle(m, rivals), nil
}

// strongest gives the Mailbox that has the best claim to an address, which may be the given one itself.
func (r *Reconciler) strongest(ctx context.Context, m *v1alpha1.Mailbox, address string) (*v1alpha1.Mailbox, error) {
	all, err := r.claimants(ctx, m, address)
	if err != nil {
		return nil, err
	}
	best := m
	for i := range all {
		rival := &all[i]
		if !stronger(rival, best, address) {
			continue
		}
		if isServed, err := r.hasOwnAddress(ctx, rival); err != nil {
			return nil, err
		} else if isServed {
			best = rival
		}
	}
	return best, nil
}

// claimants are the Mailboxes of the same PopService that claim an address. They are the cache's own: not to be changed.
func (r *Reconciler) claimants(ctx context.Context, m *v1alpha1.Mailbox, address string) ([]v1alpha1.Mailbox, error) {
	var all v1alpha1.MailboxList
	err := r.List(ctx, &all, client.InNamespace(m.Namespace), client.UnsafeDisableDeepCopy,
		client.MatchingFields{index.MailName: index.MailNameKey(m.Spec.ServiceRef.Name, address)})
	if err != nil {
		return nil, fmt.Errorf("find mailboxes with address %s: %w", address, err)
	}
	return slices.DeleteFunc(all.Items, func(m v1alpha1.Mailbox) bool { return m.DeletionTimestamp != nil && !IsPurging(&m) }), nil
}

// hasOwnAddress tells whether a Mailbox gets its own address. One that does not is not served, and gets no alias either.
func (r *Reconciler) hasOwnAddress(ctx context.Context, m *v1alpha1.Mailbox) (bool, error) {
	address := string(m.Spec.Address)
	rivals, err := r.claimants(ctx, m, address)
	return !slices.ContainsFunc(rivals, func(rival v1alpha1.Mailbox) bool { return stronger(&rival, m, address) }), err
}

// stronger tells whether a has a better claim to an address than b: as its own address rather than as an alias, which cannot be
// changed, and otherwise as the older one.
func stronger(a, b *v1alpha1.Mailbox, address string) bool {
	ownA, ownB := string(a.Spec.Address) == address, string(b.Spec.Address) == address
	if ownA != ownB {
		return ownA
	}
	return byAge(a, b) < 0
}

// byAge puts the older Mailbox first; of two that were made within the same second, the one whose name comes first.
func byAge(a, b *v1alpha1.Mailbox) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// settle says what a Mailbox gets, given who has the best claim to each address. One that loses its own address is not
// served; one that loses an alias is served without it.
func settle(m *v1alpha1.Mailbox, winners map[string]*v1alpha1.Mailbox) claims {
	var c claims
	if winner := winners[string(m.Spec.Address)]; winner.UID != m.UID {
		c.refused = Problem{ReasonAddressConflict, fmt.Sprintf("Mailbox %q has address %s already: delete one of the two",
			winner.Name, m.Spec.Address)}
		return c
	}
	for _, alias := range m.Spec.Aliases {
		winner := winners[string(alias)]
		if winner.UID == m.UID {
			c.aliases = append(c.aliases, string(alias))
		} else if c.alias.Reason == "" {
			c.alias = Problem{ReasonAliasConflict, fmt.Sprintf(
				"alias %s belongs to Mailbox %q and is left out: remove it from one of the two", alias, winner.Name)}
		}
	}
	slices.Sort(c.aliases)
	return c
}
