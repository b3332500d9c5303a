package resources

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/popservice/popservice/controllers/internal/names"
)

// Service is where clients come. It bears the PopService's name.
func Service(in Input) *corev1ac.ServiceApplyConfiguration {
	template := in.Service.Spec.Service
	spec := corev1ac.ServiceSpec().WithSelector(names.SelectorLabels(in.name())).WithType(template.Type)
	for _, l := range in.Service.Spec.Listeners {
		spec.WithPorts(servicePort(l.Name, l.Port))
	}
	if template.ExternalTrafficPolicy != "" && template.Type != corev1.ServiceTypeClusterIP {
		spec.WithExternalTrafficPolicy(template.ExternalTrafficPolicy)
	}
	if template.Type == corev1.ServiceTypeLoadBalancer {
		spec.LoadBalancerClass = template.LoadBalancerClass
		spec.WithLoadBalancerSourceRanges(template.LoadBalancerSourceRanges...)
	}
	return in.service(in.name(), spec).WithAnnotations(template.Annotations)
}

// LMTPService is where mail enters, from inside the cluster only.
func LMTPService(in Input) *corev1ac.ServiceApplyConfiguration {
	return in.service(names.LMTPService(in.name()), corev1ac.ServiceSpec().
		WithSelector(names.SelectorLabels(in.name())).
		WithType(corev1.ServiceTypeClusterIP).
		WithPorts(servicePort(portLMTP, in.Service.Spec.Delivery.LMTP.Port)))
}

func (in Input) service(name string, spec *corev1ac.ServiceSpecApplyConfiguration) *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(name, in.namespace()).
		WithLabels(in.labels()).
		WithOwnerReferences(in.owner()).
		WithSpec(spec)
}

func servicePort(name string, number int32) *corev1ac.ServicePortApplyConfiguration {
	return corev1ac.ServicePort().
		WithName(name).
		WithProtocol(corev1.ProtocolTCP).
		WithPort(number).
		WithTargetPort(intstr.FromString(name))
}
