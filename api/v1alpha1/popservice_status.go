package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PopServiceStatus is what has been observed of the fleet.
type PopServiceStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions: Ready, Available, CertificatesReady, StorageReady, DirectorySynced, ConfigurationApplied,
	// RFC2449Conformant; Reconciling and Stalled only while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// replicas is the number of servers that there are.
	// +optional
	Replicas int32 `json:"replicas"`
	// readyReplicas is the number of servers that serve.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`
	// selector finds the servers' pods, for kubectl scale and autoscalers.
	// +optional
	Selector string `json:"selector,omitempty"`
	// image is the image that the servers are to run.
	// +optional
	Image string `json:"image,omitempty"`
	// endpoints are the addresses inside the cluster, and those of the load balancer once there are some.
	// +optional
	// +listType=atomic
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// certificates are those that the servers serve.
	// +optional
	// +listType=map
	// +listMapKey=name
	Certificates []ServedCertificate `json:"certificates,omitempty"`
	// mailboxes counts the Mailboxes of this PopService.
	// +optional
	Mailboxes MailboxCounts `json:"mailboxes"`
}

// Endpoint is where a listener is reached.
type Endpoint struct {
	// name of the listener, or lmtp.
	Name string `json:"name"`
	// host is a DNS name or an address.
	Host string `json:"host"`
	// port of the Service.
	Port int32 `json:"port"`
}

// ServedCertificate is a certificate that every serving server serves.
type ServedCertificate struct {
	// name of the certificate in spec.tls.certificates.
	Name string `json:"name"`
	// notAfter is the end of its validity.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
	// fingerprint is the SHA-256 of the leaf certificate, in hexadecimal digits.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
}

// MailboxCounts counts Mailboxes. It follows changes with a delay.
type MailboxCounts struct {
	// total is the number of Mailboxes that refer to this PopService.
	// +optional
	Total int32 `json:"total"`
	// ready is the number of those that are Ready.
	// +optional
	Ready int32 `json:"ready"`
}

// Condition types of both kinds (kstatus: Ready, Reconciling, Stalled) and of each.
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"

	ConditionAvailable            = "Available"
	ConditionCertificatesReady    = "CertificatesReady"
	ConditionStorageReady         = "StorageReady"
	ConditionDirectorySynced      = "DirectorySynced"
	ConditionConfigurationApplied = "ConfigurationApplied"
	ConditionRFC2449Conformant    = "RFC2449Conformant"
	ConditionStrongAuthentication = "StrongAuthentication"

	ConditionCredentialsResolved = "CredentialsResolved"
)
