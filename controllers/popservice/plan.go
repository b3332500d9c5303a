package popservice

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/controlpki"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/controllers/popservice/resources"
)

// child is an object that there is to be, beside what there is.
type child struct {
	id      apply.Identity
	intent  runtime.ApplyConfiguration
	current client.Object
	owned   runtime.ApplyConfiguration
	// file says that servers read it: they are to be told of a change.
	file bool
	err  error // of building it
}

var (
	secretKind         = corev1.SchemeGroupVersion.WithKind("Secret")
	configMapKind      = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	serviceKind        = corev1.SchemeGroupVersion.WithKind("Service")
	serviceAccountKind = corev1.SchemeGroupVersion.WithKind("ServiceAccount")
	claimKind          = corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")
	deploymentKind     = appsv1.SchemeGroupVersion.WithKind("Deployment")
	policyKind         = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
)

// plan says what there is to be, in the order in which it is made: what the servers need comes before them.
func (s *state) plan() []child {
	children := s.planSecrets()
	if s.configErr == nil { // a bad configuration keeps the old one
		children = append(children, s.planConfig())
	}
	children = append(children, s.planClaim(), s.planAccount())
	if s.configErr == nil && (s.hasDeployment() || s.isDirectoryWritten()) {
		children = append(children, s.planDeployment())
	}
	children = append(children, s.planServices()...)
	if s.service.Spec.NetworkPolicy.Mode != v1alpha1.NetworkPolicyNone {
		children = append(children, s.planPolicy())
	}
	return children
}

func (s *state) planSecrets() []child {
	name := s.service.Name
	bundle := s.planSecret(s.bundle, names.Certificates(name), resources.Certificates(s.input, s.bundleData))
	bundle.file = true
	if id := s.identity(secretKind, names.ControlCA(name)); s.foreign[id.Name] {
		return []child{bundle, {id: id, err: id.Foreign()}} // nor a certificate of a CA that cannot be kept
	}
	ca, err := controlpki.EnsureCA(data(s.controlCA), s.now)
	var server map[string][]byte
	if err == nil {
		server, err = controlpki.EnsureServer(ca, data(s.controlTLS), s.now)
	}
	if err != nil {
		return []child{bundle, {id: s.identity(secretKind, names.ControlCA(name)),
			err: fmt.Errorf("make control certificates: %w", err)}}
	}
	controlTLS := s.planSecret(s.controlTLS, names.ControlTLS(name), resources.ControlTLS(s.input, server))
	controlTLS.file = true
	return []child{bundle, s.planSecret(s.controlCA, names.ControlCA(name), resources.ControlCA(s.input, ca)), controlTLS}
}

// hasDeployment tells of one that was made for this very PopService, and not for one that had the name before.
func (s *state) hasDeployment() bool {
	return s.deployment != nil && metav1.IsControlledBy(s.deployment, s.service)
}

// isDirectoryWritten tells whether every Mailbox has been looked at once. Before that no server is started: it would tell
// senders that there are no such mailboxes, and they would send the mail back.
func (s *state) isDirectoryWritten() bool { return len(s.directory.missing) == 0 }

func (s *state) planSecret(current *corev1.Secret, name string, intent *corev1ac.SecretApplyConfiguration) child {
	return newChild(s.identity(secretKind, name), intent, current, corev1ac.ExtractSecret)
}

func (s *state) planConfig() child {
	c := newChild(s.identity(configMapKind, names.ConfigMap(s.service.Name)), resources.ConfigMap(s.input, s.config),
		s.configMap, corev1ac.ExtractConfigMap)
	c.file = true
	return c
}

func (s *state) planClaim() child {
	return newChild(s.identity(claimKind, names.Claim(s.service.Name)), resources.Claim(s.input, s.claim),
		s.claim, corev1ac.ExtractPersistentVolumeClaim)
}

func (s *state) planAccount() child {
	return newChild(s.identity(serviceAccountKind, names.ServiceAccount(s.service.Name)), resources.ServiceAccount(s.input),
		s.account, corev1ac.ExtractServiceAccount)
}

func (s *state) planDeployment() child {
	id := s.identity(deploymentKind, names.Deployment(s.service.Name))
	intent, err := resources.Deployment(s.input, s.config)
	if err != nil {
		return child{id: id, err: err}
	}
	return newChild(id, intent, s.deployment, appsv1ac.ExtractDeployment)
}

func (s *state) planServices() []child {
	name := s.service.Name
	return []child{
		newChild(s.identity(serviceKind, name), resources.Service(s.input), s.clients, corev1ac.ExtractService),
		newChild(s.identity(serviceKind, names.LMTPService(name)), resources.LMTPService(s.input), s.lmtp, corev1ac.ExtractService),
	}
}

func (s *state) planPolicy() child {
	id := s.identity(policyKind, names.NetworkPolicy(s.service.Name))
	intent, err := resources.NetworkPolicy(s.input)
	if err != nil {
		return child{id: id, err: err}
	}
	return newChild(id, intent, s.policy, networkingv1ac.ExtractNetworkPolicy)
}

func (s *state) identity(kind schema.GroupVersionKind, name string) apply.Identity {
	return apply.Identity{GVK: kind, Namespace: s.service.Namespace, Name: name, Service: s.service.Name,
		ServiceUID: s.service.UID}
}

// pointer is an object that may be nil.
type pointer[O any] interface {
	*O
	client.Object
}

// newChild finds out which part of what there is the operator has set.
func newChild[O any, P pointer[O], A runtime.ApplyConfiguration](
	id apply.Identity, intent runtime.ApplyConfiguration, current P, extract func(P, string) (A, error),
) child {
	if current == nil {
		return child{id: id, intent: intent}
	}
	owned, err := extract(current, names.FieldOwner)
	if err != nil {
		err = fmt.Errorf("read which fields are the operator's: %w", err)
	}
	return child{id: id, intent: intent, current: current, owned: owned, err: err}
}
