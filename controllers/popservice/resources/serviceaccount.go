package resources

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/controllers/internal/names"
)

// ServiceAccount is an account without any right, whose token no pod gets.
func ServiceAccount(in Input) *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(names.ServiceAccount(in.name()), in.namespace()).
		WithLabels(in.labels()).
		WithOwnerReferences(in.owner()).
		WithAutomountServiceAccountToken(false)
}
