package resources

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/names"
)

const (
	container = "pop3d"
	// user is that of the image: nobody's in particular.
	user = 65532
	// stopGrace is what a server gets beyond its drain to end by itself.
	stopGrace = 30
	// leaveSeconds is how long a server that others stand in for goes on after its end was asked for: until then clients may be
	// sent to it.
	leaveSeconds = 5
)

func (in Input) podSpec() (*corev1ac.PodSpecApplyConfiguration, error) {
	template := in.Service.Spec.Pod
	spec := corev1ac.PodSpec().
		WithServiceAccountName(names.ServiceAccount(in.name())).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(int64(in.Service.Spec.Timeouts.DrainSeconds) + stopGrace).
		WithSecurityContext(podSecurity()).
		WithContainers(in.container()).
		WithVolumes(in.volumes()...).
		WithNodeSelector(template.NodeSelector)
	if template.PriorityClassName != "" {
		spec.WithPriorityClassName(template.PriorityClassName)
	}
	for _, secret := range in.Service.Spec.Image.PullSecrets {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(secret.Name))
	}
	for i := range template.Tolerations {
		toleration, err := apply.Convert[corev1ac.TolerationApplyConfiguration](template.Tolerations[i])
		if err != nil {
			return nil, fmt.Errorf("toleration %d: %w", i, err)
		}
		spec.WithTolerations(&toleration)
	}
	return spec, nil
}

// podSecurity and containerSecurity meet the Pod Security Standard "restricted".
func podSecurity() *corev1ac.PodSecurityContextApplyConfiguration {
	return corev1ac.PodSecurityContext().
		WithRunAsNonRoot(true).
		WithRunAsUser(user).
		WithRunAsGroup(user).
		WithFSGroup(user).
		WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch). // a large volume is not walked at each start
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
}

func containerSecurity() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).
		WithReadOnlyRootFilesystem(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))
}

func (in Input) container() *corev1ac.ContainerApplyConfiguration {
	asked := in.Service.Spec.Pod.Resources
	resources := corev1ac.ResourceRequirements()
	if len(asked.Requests) > 0 {
		resources.WithRequests(rounded(asked.Requests))
	}
	if len(asked.Limits) > 0 {
		resources.WithLimits(rounded(asked.Limits))
	}
	server := corev1ac.Container().
		WithName(container).
		WithImage(in.ServerImage()).
		WithArgs("serve", "--config", path.Join(configFolder, configFile)).
		WithSecurityContext(containerSecurity()).
		WithVolumeMounts(mounts()...).
		WithResources(resources).
		WithStartupProbe(probe("/healthz", 1, 60)).
		WithLivenessProbe(probe("/healthz", 20, 3)).
		WithReadinessProbe(probe("/readyz", 2, 3))
	if in.isShared() {
		server.WithLifecycle(corev1ac.Lifecycle().WithPreStop(corev1ac.LifecycleHandler().
			WithSleep(corev1ac.SleepAction().WithSeconds(leaveSeconds))))
	}
	if policy := in.Service.Spec.Image.PullPolicy; policy != "" {
		server.WithImagePullPolicy(policy)
	}
	for _, p := range in.ports() {
		server.WithPorts(corev1ac.ContainerPort().
			WithName(p.name).WithContainerPort(p.number).WithProtocol(corev1.ProtocolTCP))
	}
	return server
}

// rounded gives quantities as the API server stores them, rounded up to thousandths.
func rounded(list corev1.ResourceList) corev1.ResourceList {
	all := list.DeepCopy()
	for name, quantity := range all {
		quantity.RoundUp(resource.Milli)
		all[name] = quantity
	}
	return all
}

func probe(path string, period, failures int32) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(portAdmin))).
		WithPeriodSeconds(period).
		WithTimeoutSeconds(5).
		WithFailureThreshold(failures)
}
