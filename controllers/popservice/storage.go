package popservice

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
)

func (s *state) claimName() string { return claimKind.Kind + " " + names.Claim(s.service.Name) }

// storageReady tells of the claim.
func (s *state) storageReady() finding {
	const kind = v1alpha1.ConditionStorageReady
	if err := s.failures[s.claimName()]; err != nil {
		f := refusal(kind, err)
		if f.Reason == reasonRefused {
			f.Reason = reasonClaimRefused
		}
		return f
	}
	for _, server := range s.servers {
		if server.Status != nil && server.Status.Store.Error != "" {
			return stalled(kind, reasonVolumeUnfit, fmt.Sprintf("pod %s: %s", server.Name, server.Status.Store.Error))
		}
	}
	name := names.Claim(s.service.Name)
	switch {
	case s.claim == nil:
		return pending(kind, reasonClaimPending, fmt.Sprintf("PersistentVolumeClaim %q is being made", name))
	case s.claim.DeletionTimestamp != nil:
		return stalled(kind, reasonClaimDeleting, fmt.Sprintf(
			"PersistentVolumeClaim %q was deleted and goes when no pod uses it any more: save the mail while the servers run", name))
	case s.claim.Status.Phase == corev1.ClaimLost:
		return stalled(kind, reasonClaimLost, fmt.Sprintf("the volume of PersistentVolumeClaim %q is gone: "+
			"restore the volume, or delete the claim to begin without mail", name))
	case s.claim.Status.Phase != corev1.ClaimBound:
		return pending(kind, reasonClaimPending, fmt.Sprintf("PersistentVolumeClaim %q waits for a volume of %s: "+
			"see `kubectl describe pvc %s`", name, s.claim.Spec.Resources.Requests.Storage(), name))
	}
	return s.claimSize()
}

// claimSize tells whether a claim that is bound has the size that was asked for. Mail is served meanwhile.
func (s *state) claimSize() finding {
	const kind = v1alpha1.ConditionStorageReady
	wanted, has := s.claim.Spec.Resources.Requests.Storage(), s.claim.Status.Capacity.Storage()
	if has.Cmp(*wanted) < 0 {
		f := pending(kind, reasonResizing, fmt.Sprintf("the volume has %s and grows to %s", has, wanted))
		f.blocks = false
		return f
	}
	if asked := s.service.Spec.Storage.Volume.Size; asked.Cmp(*wanted) < 0 {
		return good(kind, reasonBound, fmt.Sprintf("the claim is bound to a volume of %s; spec.storage.volume.size asks for %s, "+
			"and a claim cannot shrink", has, &asked))
	}
	return good(kind, reasonBound, fmt.Sprintf("the claim is bound to a volume of %s", has))
}
