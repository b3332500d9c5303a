package resources

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
)

// history is how many former versions of the pods can be looked up.
const history = 3

// Deployment runs the servers. Its pods change only with the settings that a server takes over at its start.
func Deployment(in Input, c Config) (*appsv1ac.DeploymentApplyConfiguration, error) {
	pod, err := in.pod(c)
	if err != nil {
		return nil, fmt.Errorf("build pod: %w", err)
	}
	spec := appsv1ac.DeploymentSpec().
		WithReplicas(in.Replicas()).
		WithRevisionHistoryLimit(history).
		WithSelector(in.selector()).
		WithStrategy(in.strategy()).
		WithTemplate(pod)
	return appsv1ac.Deployment(names.Deployment(in.name()), in.namespace()).
		WithLabels(in.labels()).
		WithOwnerReferences(in.owner()).
		WithSpec(spec), nil
}

func (in Input) isShared() bool { return in.Service.Spec.Storage.Layout == v1alpha1.LayoutShared }

// strategy of a rollout. Where one claim is for one server, the old one is gone before the new one starts, so that no two of
// them ever wait for the volume; servers that share a volume take turns, and there are never fewer of them.
func (in Input) strategy() *appsv1ac.DeploymentStrategyApplyConfiguration {
	if !in.isShared() {
		return appsv1ac.DeploymentStrategy().WithType(appsv1.RecreateDeploymentStrategyType)
	}
	return appsv1ac.DeploymentStrategy().
		WithType(appsv1.RollingUpdateDeploymentStrategyType).
		WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
			WithMaxUnavailable(intstr.FromInt32(0)).
			WithMaxSurge(intstr.FromInt32(1)))
}

// Replicas is the number of servers that there are to be.
func (in Input) Replicas() int32 {
	if in.Service.Spec.Replicas == nil {
		return 1
	}
	return *in.Service.Spec.Replicas
}

func (in Input) pod(c Config) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	spec, err := in.podSpec()
	if err != nil {
		return nil, err
	}
	return corev1ac.PodTemplateSpec().
		WithLabels(in.podLabels()).
		WithAnnotations(in.Service.Spec.Pod.Annotations).
		WithAnnotations(map[string]string{names.AnnotationStatic: c.static}).
		WithSpec(spec), nil
}
