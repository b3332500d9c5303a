package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/controllers/internal/names"
)

// Claim is where the mail is. It has no owner, and so outlives the PopService. current is the claim that there is, nil if
// there is none: one that was retained may be larger than asked for, and no claim can shrink.
func Claim(in Input, current *corev1.PersistentVolumeClaim) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	volume := in.Service.Spec.Storage.Volume
	spec := corev1ac.PersistentVolumeClaimSpec().
		WithAccessModes(in.accessMode()).
		WithResources(corev1ac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: claimSize(volume.Size, current)}))
	spec.StorageClassName = claimClass(volume.StorageClassName, current)
	return corev1ac.PersistentVolumeClaim(names.Claim(in.name()), in.namespace()).
		WithLabels(in.labels()).
		WithSpec(spec)
}

// accessMode is what the layout asks of the volume.
func (in Input) accessMode() corev1.PersistentVolumeAccessMode {
	if in.isShared() {
		return corev1.ReadWriteMany
	}
	return corev1.ReadWriteOnce
}

// claimClass gives the class that is asked for, or, where none is, that of a claim that is there: it cannot change.
func claimClass(wanted *string, current *corev1.PersistentVolumeClaim) *string {
	if wanted == nil && current != nil {
		return current.Spec.StorageClassName
	}
	return wanted
}

func claimSize(wanted resource.Quantity, current *corev1.PersistentVolumeClaim) resource.Quantity {
	wanted.RoundUp(0)
	if current == nil {
		return wanted
	}
	if has := current.Spec.Resources.Requests[corev1.ResourceStorage]; has.Cmp(wanted) > 0 {
		return has
	}
	return wanted
}
