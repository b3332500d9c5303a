package popservice

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/conditions"
)

// Reasons of conditions and events.
const (
	reasonServing                = "Serving"
	reasonScaledToZero           = "ScaledToZero"
	reasonStarting               = "Starting"
	reasonUpdating               = "Updating"
	reasonPodFailing             = "PodFailing"
	reasonUnreachable            = "ServerUnreachable"
	reasonServed                 = "Served"
	reasonNotServedYet           = "NotServedYet"
	reasonNoTLS                  = "NoTLS"
	reasonSecretNotFound         = "SecretNotFound"
	reasonInvalidCertificate     = "InvalidCertificate"
	reasonInvalidLoginFile       = "InvalidLoginFile"
	reasonCertificateExpired     = "CertificateExpired"
	reasonCertificateNotYetValid = "CertificateNotYetValid"
	reasonBound                  = "Bound"
	reasonClaimPending           = "ClaimPending"
	reasonClaimLost              = "ClaimLost"
	reasonClaimDeleting          = "ClaimDeleting"
	reasonClaimRefused           = "ClaimRefused"
	reasonVolumeUnfit            = "VolumeUnfit"
	reasonResizing               = "Resizing"
	reasonSynced                 = "Synced"
	reasonSyncing                = "Syncing"
	reasonBucketRefused          = "BucketRefused"
	reasonApplied                = "Applied"
	reasonApplying               = "Applying"
	reasonConfigurationRefused   = "ConfigurationRefused"
	reasonInvalidConfiguration   = "InvalidConfiguration"
	reasonObjectExists           = "ObjectExists"
	reasonRefused                = "RefusedByAPIServer"
	reasonApplyFailed            = "ApplyFailed"
	reasonConformant             = "Conformant"
	reasonStrong                 = "StrongMechanisms"
	reasonWeak                   = "WeakMechanisms"
	reasonCommandLimit           = "CommandLimitBelow255"
)

// finding is something observed. It becomes the condition of its type, if it has one, and speaks to Ready if it blocks.
type finding struct {
	metav1.Condition
	// blocks says that clients are not served as the spec asks.
	blocks bool
	// stalled says that only the user can put it right.
	stalled bool
}

func good(kind, reason, message string) finding {
	return finding{Condition: conditions.True(kind, reason, message)}
}

// pending is what comes right by itself.
func pending(kind, reason, message string) finding {
	return finding{Condition: conditions.False(kind, reason, message), blocks: true}
}

// stalled is what the user has to put right.
func stalled(kind, reason, message string) finding {
	return finding{Condition: conditions.False(kind, reason, message), blocks: true, stalled: true}
}

// findings are in the order in which a user should look at them.
func (s *state) findings() []finding {
	all := s.refusals()
	return append(all, s.storageReady(), s.available(), s.configurationApplied(), s.certificatesReady(), s.directorySynced(),
		s.rfc2449Conformant(), s.strongAuthentication())
}

// summarize gives all conditions. Ready speaks of the first finding that needs the user, or else of the first that
// is in the way at all.
func summarize(findings []finding) []metav1.Condition {
	var all []metav1.Condition
	var blocking []finding
	for _, f := range findings {
		if f.Type != "" {
			all = append(all, f.Condition)
		}
		if f.blocks {
			blocking = append(blocking, f)
		}
	}
	if len(blocking) == 0 {
		return append(all, conditions.True(v1alpha1.ConditionReady, reasonServing, "clients are served as the spec asks"))
	}
	first := blocking[max(0, slices.IndexFunc(blocking, func(f finding) bool { return f.stalled }))]
	all = append(all, conditions.False(v1alpha1.ConditionReady, first.Reason, first.Message))
	kind := v1alpha1.ConditionReconciling
	if first.stalled {
		kind = v1alpha1.ConditionStalled
	}
	return append(all, conditions.True(kind, first.Reason, first.Message))
}

// refusals are failures to write that no condition of their own speaks of.
func (s *state) refusals() []finding {
	var all []finding
	for _, object := range slices.Sorted(maps.Keys(s.failures)) {
		if object == s.claimName() {
			continue // StorageReady speaks of it
		}
		all = append(all, refusal("", s.failures[object]))
	}
	return all
}

func refusal(kind string, err error) finding {
	switch {
	case errors.As(err, new(*apply.ForeignError)):
		return stalled(kind, reasonObjectExists, err.Error())
	case isRefused(err):
		return stalled(kind, reasonRefused, err.Error())
	}
	return pending(kind, reasonApplyFailed, fmt.Sprintf("%v; trying again", err))
}

// isRefused tells of an error that stays until the spec, a quota or a role is changed.
func isRefused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)
}

func (s *state) rfc2449Conformant() finding {
	const kind = v1alpha1.ConditionRFC2449Conformant
	limit := s.service.Spec.Limits.MaxCommandOctets
	if limit >= 255 {
		return good(kind, reasonConformant, "commands of 255 octets are taken")
	}
	return finding{Condition: conditions.False(kind, reasonCommandLimit, fmt.Sprintf(
		"limits.maxCommandOctets is %d; RFC 2449 section 4 wants commands of 255 octets to be taken", limit))}
}
