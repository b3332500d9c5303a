package popservice

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/conditions"
	"github.com/popservice/popservice/controllers/internal/names"
)

// status gives the whole status anew.
func (s *state) status() v1alpha1.PopServiceStatus {
	s.currentFindings = s.findings()
	return v1alpha1.PopServiceStatus{
		ObservedGeneration: s.service.Generation,
		Conditions:         conditions.Merge(s.service.Status.Conditions, summarize(s.currentFindings), s.service.Generation),
		Replicas:           s.replicas(),
		ReadyReplicas:      s.readyReplicas(),
		Selector:           s.input.Selector(),
		Image:              s.input.ServerImage(),
		Endpoints:          s.endpoints(),
		Certificates:       s.servedCertificates(),
		Mailboxes:          s.mailboxes,
	}
}

func equalStatus(a, b v1alpha1.PopServiceStatus) bool { return equality.Semantic.DeepEqual(a, b) }

func (s *state) replicas() int32 {
	if s.deployment == nil {
		return 0
	}
	return s.deployment.Status.Replicas
}

func (s *state) readyReplicas() int32 {
	if s.deployment == nil {
		return 0
	}
	return s.deployment.Status.ReadyReplicas
}

// endpoints are the names inside the cluster, and the addresses of a load balancer.
func (s *state) endpoints() []v1alpha1.Endpoint {
	var hosts []string
	if s.clients != nil {
		hosts = append(hosts, s.host(s.clients.Name))
		for _, ingress := range s.clients.Status.LoadBalancer.Ingress {
			hosts = append(hosts, ingress.IP+ingress.Hostname) // it has one of them
		}
	}
	var all []v1alpha1.Endpoint
	for _, host := range hosts {
		for _, l := range s.service.Spec.Listeners {
			all = append(all, v1alpha1.Endpoint{Name: l.Name, Host: host, Port: l.Port})
		}
	}
	if s.lmtp != nil {
		all = append(all, v1alpha1.Endpoint{
			Name: "lmtp", Host: s.host(names.LMTPService(s.service.Name)), Port: s.service.Spec.Delivery.LMTP.Port,
		})
	}
	return all
}

func (s *state) host(service string) string { return service + "." + s.service.Namespace + ".svc" }

// servedCertificates are those that every ready server serves.
func (s *state) servedCertificates() []v1alpha1.ServedCertificate {
	var all []v1alpha1.ServedCertificate
	for _, c := range s.certificates {
		if c.fingerprint == "" || !s.isServed(c) {
			continue
		}
		all = append(all, v1alpha1.ServedCertificate{
			Name: c.name, NotAfter: new(metav1.NewTime(c.notAfter)), Fingerprint: c.fingerprint,
		})
	}
	return all
}

func (s *state) isStalled() bool {
	return meta.IsStatusConditionTrue(s.service.Status.Conditions, v1alpha1.ConditionStalled)
}

func (s *state) isChanging() bool {
	return meta.IsStatusConditionTrue(s.service.Status.Conditions, v1alpha1.ConditionReconciling)
}
