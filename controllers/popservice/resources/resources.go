// Package resources has one pure builder for each object that a PopService becomes.
//
// A builder gives an apply configuration: just the fields that the operator decides. What others add to the object, such as a
// sidecar or an annotation, stays.
package resources

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
)

// Input is what the objects of a PopService are made of.
type Input struct {
	Service *v1alpha1.PopService
	// Image is the server image where the PopService names none.
	Image string
	// ManagerNamespace is where the operator runs, which alone reaches the control port.
	ManagerNamespace string
}

// name gives the PopService's name.
func (in Input) name() string { return in.Service.Name }

func (in Input) namespace() string { return in.Service.Namespace }

// ServerImage is the image that the servers are to run.
func (in Input) ServerImage() string {
	if in.Service.Spec.Image.Reference != "" {
		return in.Service.Spec.Image.Reference
	}
	return in.Image
}

// owner makes the object go with the PopService.
func (in Input) owner() *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.SchemeGroupVersion.String()).
		WithKind("PopService").
		WithName(in.Service.Name).
		WithUID(in.Service.UID).
		WithController(true).
		WithBlockOwnerDeletion(true)
}

func (in Input) labels() map[string]string { return names.Labels(in.name()) }

// podLabels are the user's, under those that the operator needs.
func (in Input) podLabels() map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, in.Service.Spec.Pod.Labels)
	maps.Copy(labels, in.labels())
	return labels
}

// selector finds the servers' pods.
func (in Input) selector() *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(names.SelectorLabels(in.name()))
}

// Selector is the same as text, for the scale subresource.
func (in Input) Selector() string {
	return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: names.SelectorLabels(in.name())})
}
