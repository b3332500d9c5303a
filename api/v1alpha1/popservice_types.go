package v1alpha1

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PopService is a fleet of POP3 servers over one store of maildrops.
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$') && size(self.metadata.name) <= 50",message="metadata.name must be at most 50 characters of a-z, 0-9 and '-', and begin with a letter: Services are named after it"
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=pop,categories=mail
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Servers",type=integer,JSONPath=`.status.readyReplicas`
// +kubebuilder:printcolumn:name="Mailboxes",type=integer,JSONPath=`.status.mailboxes.total`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Layout",type=string,priority=1,JSONPath=`.spec.storage.layout`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type PopService struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +required
	Spec PopServiceSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status PopServiceStatus `json:"status,omitempty"`
}

// PopServiceList is a list of PopServices.
//
// +kubebuilder:object:root=true
type PopServiceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PopService `json:"items"`
}

// PopServiceSpec is what the fleet should be.
//
// +kubebuilder:validation:XValidation:rule="self.storage.layout != 'Single' || self.replicas <= 1",message="layout Single runs one server: replicas must be 0 or 1",fieldPath=".replicas"
// +kubebuilder:validation:XValidation:rule="has(self.tls) || self.listeners.all(l, l.security == 'Plaintext')",message="tls.certificates is required while a listener has security StartTLS or ImplicitTLS",fieldPath=".tls"
// +kubebuilder:validation:XValidation:rule="self.authentication.loginType != 'SecureLogin' || self.listeners.exists(l, l.security != 'Plaintext')",message="with loginType SecureLogin nobody can log in unless a listener has security StartTLS or ImplicitTLS",fieldPath=".authentication.loginType"
// +kubebuilder:validation:XValidation:rule="self.listeners.all(l, l.port != self.delivery.lmtp.port)",message="delivery.lmtp.port must differ from every listener's port",fieldPath=".delivery.lmtp.port"
// +kubebuilder:validation:XValidation:rule="!self.banner.startsWith('[') || !has(self.extendedCapabilities) || !self.extendedCapabilities.exists(c, c == 'RESP-CODES')",message="banner must not begin with '[' while extendedCapabilities has RESP-CODES: clients would take it for a response code (RFC 2449)",fieldPath=".banner"
type PopServiceSpec struct {
	// replicas is the number of servers. Layout Single runs 0 or 1.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	Replicas *int32 `json:"replicas,omitempty"`

	// listeners are the POP3 ports. Exchange's are 110 with STLS and 995 with TLS from the start.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:default={{name: "pop3", port: 110, security: "StartTLS"}, {name: "pop3s", port: 995, security: "ImplicitTLS"}}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(l, self.exists_one(m, m.port == l.port))",message="each listener needs a port of its own"
	// +kubebuilder:validation:XValidation:rule="self.all(l, l.name != 'lmtp' && l.name != 'admin' && l.name != 'control')",message="the names lmtp, admin and control are taken"
	Listeners []Listener `json:"listeners,omitempty"`

	// tls has the certificates that the listeners serve.
	// +optional
	TLS *TLS `json:"tls,omitempty"`

	// authentication says who may log in, and how.
	// +optional
	// +kubebuilder:default={}
	Authentication Authentication `json:"authentication,omitzero"`

	// timeouts are the timers of a connection.
	// +optional
	// +kubebuilder:default={}
	Timeouts Timeouts `json:"timeouts,omitzero"`

	// limits bound what a server spends on its clients. Each server has its own count.
	// +optional
	// +kubebuilder:default={}
	Limits Limits `json:"limits,omitzero"`

	// banner is the text of the greeting, after "+OK ". It must not look like an APOP timestamp.
	// +optional
	// +kubebuilder:default="The PopService POP3 service is ready."
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=506
	// +kubebuilder:validation:XValidation:rule="self.matches('^[ -~]+$')",message="banner must be one line of printable ASCII characters"
	// +kubebuilder:validation:XValidation:rule="!self.matches('<[^>]*@[^>]*>')",message="banner must not hold <...@...>: clients would take it for an APOP timestamp, and APOP is not supported"
	Banner string `json:"banner,omitempty"`

	// messageSize says what STAT and LIST tell: Storage is what a message occupies in the store, Exchange's default; Exact is what RETR
	// sends, which some old clients rely on.
	// +optional
	// +kubebuilder:default=Storage
	MessageSize MessageSize `json:"messageSize,omitempty"`

	// sortOrder is the order in which messages are numbered: Ascending begins with the oldest one, Descending with the newest. Unique-ids
	// do not depend on it.
	// +optional
	// +kubebuilder:default=Ascending
	SortOrder SortOrder `json:"sortOrder,omitempty"`

	// extendedCapabilities are those of RFC 2449, RFC 3206 and RFC 6856 that Exchange does not have and that CAPA is to tell of.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="!self.exists(c, c == 'AUTH-RESP-CODE') || self.exists(c, c == 'RESP-CODES')",message="AUTH-RESP-CODE needs RESP-CODES (RFC 3206)"
	ExtendedCapabilities []Capability `json:"extendedCapabilities,omitempty"`

	// protocolLog logs what clients and servers say to each other, without passwords, tokens and mail.
	// +optional
	ProtocolLog ProtocolLog `json:"protocolLog,omitzero"`

	// delivery says how mail enters.
	// +optional
	// +kubebuilder:default={}
	Delivery Delivery `json:"delivery,omitzero"`

	// storage is where the maildrops are kept.
	// +optional
	// +kubebuilder:default={layout: "Single", volume: {size: "10Gi"}}
	Storage Storage `json:"storage,omitzero"`

	// retention says how long messages are kept. Left out, for ever.
	// +optional
	Retention Retention `json:"retention,omitzero"`

	// quotaWarning is the message that the user of a mailbox gets whose issueWarning is reached.
	// +optional
	QuotaWarning QuotaWarning `json:"quotaWarning,omitzero"`

	// mailboxDefaults hold for every Mailbox that does not say otherwise.
	// +optional
	MailboxDefaults MailboxDefaults `json:"mailboxDefaults,omitzero"`

	// service is the Service through which clients come.
	// +optional
	// +kubebuilder:default={}
	Service ServiceTemplate `json:"service,omitzero"`

	// networkPolicy says whether the operator makes a NetworkPolicy for the servers.
	// +optional
	// +kubebuilder:default={}
	NetworkPolicy NetworkPolicy `json:"networkPolicy,omitzero"`

	// pod has what the servers' pods may be told beyond this.
	// +optional
	Pod PodTemplate `json:"pod,omitzero"`

	// image replaces the server image that belongs to the operator's version.
	// +optional
	Image Image `json:"image,omitzero"`
}

// ListenerSecurity says how a listener comes to TLS.
//
// +kubebuilder:validation:Enum=StartTLS;ImplicitTLS;Plaintext
type ListenerSecurity string

const (
	// ListenerStartTLS offers STLS on a connection that begins in the clear.
	ListenerStartTLS ListenerSecurity = "StartTLS"
	// ListenerImplicitTLS begins with the TLS handshake.
	ListenerImplicitTLS ListenerSecurity = "ImplicitTLS"
	// ListenerPlaintext never offers TLS.
	ListenerPlaintext ListenerSecurity = "Plaintext"
)

// Listener is one POP3 port of the Service.
type Listener struct {
	// name tells listeners apart. It is the name of the Service's port.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[a-z0-9](-?[a-z0-9])*$`
	// +kubebuilder:validation:XValidation:rule="self.matches('[a-z]')",message="name must hold at least one letter"
	Name string `json:"name"`
	// port is the Service's port. In the pod, a port below 1024 is 1000 higher, or more where another one has that port.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// security says how the listener comes to TLS.
	// +required
	Security ListenerSecurity `json:"security"`
	// proxyProtocol takes the client's address from the load balancers in front, which must send it then. Left out, there are none.
	// +optional
	ProxyProtocol *ProxyProtocol `json:"proxyProtocol,omitempty"`
}

// ProxyProtocol is version 1 and 2 of the PROXY protocol.
type ProxyProtocol struct {
	// trustedNetworks are those of the load balancers. A connection from one of them must begin with the PROXY header; in one from
	// elsewhere, none is looked for.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(n, isCIDR(n))",message="each must be a network such as 10.0.0.0/8"
	TrustedNetworks []string `json:"trustedNetworks"`
}

// SortOrder is an order of messages.
//
// +kubebuilder:validation:Enum=Ascending;Descending
type SortOrder string

// The orders.
const (
	SortAscending  SortOrder = "Ascending"
	SortDescending SortOrder = "Descending"
)

// Capability is a capability of CAPA (RFC 2449).
//
// +kubebuilder:validation:Enum=RESP-CODES;AUTH-RESP-CODE;PIPELINING;EXPIRE;LOGIN-DELAY;IMPLEMENTATION;UTF8;LANG
type Capability string

// ProtocolLog says whether the protocol is logged.
type ProtocolLog struct {
	// enabled logs each command and the status line of each reply as a JSON line of the servers' logs.
	// +optional
	Enabled bool `json:"enabled,omitempty"`
}

// TLSVersion is a version of TLS.
//
// +kubebuilder:validation:Enum=TLS12;TLS13
type TLSVersion string

// The versions.
const (
	TLS12 TLSVersion = "TLS12"
	TLS13 TLSVersion = "TLS13"
)

// TLS has the certificates that the listeners serve.
type TLS struct {
	// certificates are served by server name (SNI). The first one serves every other client.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Certificates []Certificate `json:"certificates"`
	// minVersion is the oldest version of TLS that is spoken.
	// +optional
	// +kubebuilder:default=TLS12
	MinVersion TLSVersion `json:"minVersion,omitempty"`
}

// Certificate refers to a certificate with its key.
type Certificate struct {
	// name tells certificates apart.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name"`
	// secretRef names a Secret of type kubernetes.io/tls in this namespace, such as cert-manager makes.
	// +required
	SecretRef LocalSecretReference `json:"secretRef"`
	// serverNames are the names (SNI) for which it is served, a leading "*." stands for one label. Left out, those in the certificate.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	ServerNames []string `json:"serverNames,omitempty"`
}

// LocalSecretReference names a Secret in the namespace of the object that refers to it.
type LocalSecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Name string `json:"name"`
}

// Timeouts are the timers of a connection, in seconds.
type Timeouts struct {
	// preAuthenticatedSeconds is how long a client may be silent before it has logged in.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	PreAuthenticatedSeconds int32 `json:"preAuthenticatedSeconds,omitempty"`
	// authenticatedSeconds is how long a client may be silent after it has logged in. RFC 1939 asks for 600 at least.
	// +optional
	// +kubebuilder:default=1800
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	AuthenticatedSeconds int32 `json:"authenticatedSeconds,omitempty"`
	// tlsHandshakeSeconds is how long a TLS handshake may take.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	TLSHandshakeSeconds int32 `json:"tlsHandshakeSeconds,omitempty"`
	// writeSeconds is how long a client may take for each 64 KiB that it is sent.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	WriteSeconds int32 `json:"writeSeconds,omitempty"`
	// drainSeconds is how long sessions may go on when a server is to stop.
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	DrainSeconds int32 `json:"drainSeconds,omitempty"`
}

// Limits bound what a server spends on its clients.
type Limits struct {
	// maxCommandOctets is the longest command line, CRLF included. Below 255, RFC 2449 is not met; a condition says so.
	// +optional
	// +kubebuilder:default=512
	// +kubebuilder:validation:Minimum=40
	// +kubebuilder:validation:Maximum=1024
	MaxCommandOctets int32 `json:"maxCommandOctets,omitempty"`
	// maxConnections is how many connections a server takes.
	// +optional
	// +kubebuilder:default=10000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConnections int32 `json:"maxConnections,omitempty"`
	// maxConnectionsPerAddress is how many connections a server takes from one address (an IPv6 /64 counts as one).
	// +optional
	// +kubebuilder:default=2000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConnectionsPerAddress int32 `json:"maxConnectionsPerAddress,omitempty"`
	// maxConnectionsPerMailbox is how many sessions of one mailbox a server has.
	// +optional
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConnectionsPerMailbox int32 `json:"maxConnectionsPerMailbox,omitempty"`
	// maxFailedLogins is how many logins may fail on one connection before it is closed.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxFailedLogins int32 `json:"maxFailedLogins,omitempty"`
	// maxBadCommands is how many bad commands a client may send in a row before its connection is closed.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MaxBadCommands int32 `json:"maxBadCommands,omitempty"`
	// maxFailedLoginsPerAddress is how many logins from one address (an IPv6 /64 counts as one) may fail within lockoutSeconds. More are
	// refused until then, except from addresses that have logged in to the mailbox before.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxFailedLoginsPerAddress int32 `json:"maxFailedLoginsPerAddress,omitempty"`
	// maxFailedLoginsPerMailbox is how many logins with one user name may fail within lockoutSeconds, from wherever. More are refused
	// until then, except from addresses that have logged in to the mailbox before.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxFailedLoginsPerMailbox int32 `json:"maxFailedLoginsPerMailbox,omitempty"`
	// lockoutSeconds is the time within which failed logins are counted.
	// +optional
	// +kubebuilder:default=900
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	LockoutSeconds int32 `json:"lockoutSeconds,omitempty"`
	// loginDelaySeconds is how long after a login to a mailbox a server refuses the next one; 0 is not at all. extendedCapabilities can
	// tell clients of it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	LoginDelaySeconds int32 `json:"loginDelaySeconds,omitempty"`
}

// MessageSize is what STAT and LIST give as a message's size.
//
// +kubebuilder:validation:Enum=Storage;Exact
type MessageSize string

// The sizes.
const (
	StorageSize MessageSize = "Storage"
	ExactSize   MessageSize = "Exact"
)

// OverQuotaReply is what a sender is told when a mailbox has reached its quota.
//
// +kubebuilder:validation:Enum=Reject;Defer
type OverQuotaReply string

const (
	// OverQuotaReject answers 552 5.2.2: the mail goes back to its sender, as Exchange does it.
	OverQuotaReject OverQuotaReply = "Reject"
	// OverQuotaDefer answers 452 4.2.2: the sending MTA keeps the mail and tries again.
	OverQuotaDefer OverQuotaReply = "Defer"
)

// Delivery says how mail enters.
type Delivery struct {
	// lmtp is the LMTP port.
	// +optional
	// +kubebuilder:default={}
	LMTP LMTP `json:"lmtp,omitzero"`
	// maxMessageSize is the largest message that is taken.
	// +optional
	// +kubebuilder:default="50Mi"
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[num]$') && quantity(string(self)).compareTo(quantity('1Ki')) >= 0 && quantity(string(self)).compareTo(quantity('2Gi')) <= 0",message="maxMessageSize must be from 1Ki to 2Gi"
	MaxMessageSize resource.Quantity `json:"maxMessageSize,omitzero"`
	// overQuotaReply is what a sender is told when a mailbox has reached its quota.
	// +optional
	// +kubebuilder:default=Reject
	OverQuotaReply OverQuotaReply `json:"overQuotaReply,omitempty"`
}

// LMTP is the port on which an MTA delivers (RFC 2033). It has no authentication: see from.
type LMTP struct {
	// port is the port of the Service NAME-lmtp, which is reached from inside the cluster only.
	// +optional
	// +kubebuilder:default=2424
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:validation:XValidation:rule="self != 25",message="RFC 2033 §5 forbids LMTP on port 25"
	Port int32 `json:"port,omitempty"`
	// subaddressSeparator lets mail for local-part+tag@domain, where this is "+", go to local-part@domain, unless there is a mailbox or
	// an alias of that name. Left out, there is no such thing.
	// +optional
	// +kubebuilder:validation:Pattern=`^[+=_#~-]$`
	SubaddressSeparator string `json:"subaddressSeparator,omitempty"`
	// maxConnections is how many connections a server takes.
	// +optional
	// +kubebuilder:default=500
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxConnections int32 `json:"maxConnections,omitempty"`
	// maxConnectionsPerAddress is how many connections a server takes from one address.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxConnectionsPerAddress int32 `json:"maxConnectionsPerAddress,omitempty"`
	// maxRecipients is how many recipients a message may have.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=100
	// +kubebuilder:validation:Maximum=10000
	MaxRecipients int32 `json:"maxRecipients,omitempty"`
	// tls lets MTAs use STARTTLS. Left out, there is none.
	// +optional
	TLS *LMTPTLS `json:"tls,omitempty"`
	// from are the peers that the NetworkPolicy lets deliver. Left out, every pod of this namespace.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(p, has(p.ipBlock) || has(p.podSelector) || has(p.namespaceSelector))",message="each peer needs an ipBlock, a podSelector or a namespaceSelector"
	// +kubebuilder:validation:XValidation:rule="self.all(p, !has(p.ipBlock) || isCIDR(p.ipBlock.cidr))",message="ipBlock.cidr must be a network such as 192.0.2.0/24"
	From []networkingv1.NetworkPolicyPeer `json:"from,omitempty"`
}

// LMTPTLSMode says whether an MTA may do without TLS.
//
// +kubebuilder:validation:Enum=Required;Offered
type LMTPTLSMode string

// LMTPTLSOffered takes mail without TLS too.
const LMTPTLSOffered LMTPTLSMode = "Offered"

// LMTPTLS is TLS on the LMTP port.
//
// +kubebuilder:validation:XValidation:rule="!has(self.clientCASecretRef) || self.mode == 'Required'",message="with clientCASecretRef, mode must be Required: otherwise a client could do without TLS and so without a certificate",fieldPath=".mode"
type LMTPTLS struct {
	// mode says whether an MTA may do without TLS.
	// +optional
	// +kubebuilder:default=Required
	Mode LMTPTLSMode `json:"mode,omitempty"`
	// secretRef names a Secret of type kubernetes.io/tls in this namespace.
	// +required
	SecretRef LocalSecretReference `json:"secretRef"`
	// clientCASecretRef names a Secret whose key ca.crt has the authorities of the MTAs' certificates. Left out, an MTA needs none.
	// +optional
	ClientCASecretRef *LocalSecretReference `json:"clientCASecretRef,omitempty"`
}

// StorageLayout says how the maildrops are spread over volumes.
//
// +kubebuilder:validation:Enum=Single;Shared
type StorageLayout string

const (
	// LayoutSingle is one claim and one server, which is stopped before its successor starts.
	LayoutSingle StorageLayout = "Single"
	// LayoutShared is one claim that many nodes can write to (ReadWriteMany) and any number of servers, on a volume on which locks
	// hold for all of them.
	LayoutShared StorageLayout = "Shared"
)

// RetentionPolicy says what becomes of data when the object that asked for it is deleted.
//
// +kubebuilder:validation:Enum=Retain;Delete
type RetentionPolicy string

// The policies.
const (
	Retain RetentionPolicy = "Retain"
	Delete RetentionPolicy = "Delete"
)

// Storage is where the maildrops are kept.
type Storage struct {
	// layout says how the maildrops are spread over volumes. It cannot be changed.
	// +optional
	// +kubebuilder:default=Single
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="layout cannot be changed: make another PopService and move the mail"
	Layout StorageLayout `json:"layout,omitempty"`
	// volume is the claim that the operator makes.
	// +optional
	// +kubebuilder:default={size: "10Gi"}
	Volume Volume `json:"volume,omitzero"`
	// onDelete says what becomes of the claim, and so of all mail, when the PopService is deleted. Retain keeps it, and a
	// PopService of the same name takes it up again.
	// +optional
	// +kubebuilder:default=Retain
	OnDelete RetentionPolicy `json:"onDelete,omitempty"`
}

// Volume is a claim.
//
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",message="storageClassName cannot be changed",fieldPath=".storageClassName"
type Volume struct {
	// storageClassName of the claim. Left out, the cluster's default class.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`
	// size of the claim. It may grow where the class allows expansion. A claim never shrinks.
	// +optional
	// +kubebuilder:default="10Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).isGreaterThan(quantity('0'))",message="size must be more than 0"
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[num]$')",message="size must be a whole number of octets, such as 10Gi"
	Size resource.Quantity `json:"size,omitzero"`
}

// Age is a duration such as 720h or 1h30m.
//
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+(h|m|s))+$') && duration(self) > duration('0s') && duration(self) <= duration('876000h')",message="must be a duration from 1s to 876000h, such as 720h"
type Age string

// Seconds gives the age in seconds; 0 of one that is left out.
func (a Age) Seconds() int64 {
	d, _ := time.ParseDuration(string(a)) // the schema takes no other
	return int64(d.Seconds())
}

// Retention says how long messages are kept, as durations such as 720h.
type Retention struct {
	// unreadMaxAge is how long a message is kept that nobody has read, from its delivery on.
	// +optional
	UnreadMaxAge Age `json:"unreadMaxAge,omitempty"`
	// readMaxAge is how long a message is kept that was read (RETR), from its delivery on.
	// +optional
	ReadMaxAge Age `json:"readMaxAge,omitempty"`
	// deletedItemRetention is how long a removed message can be restored with `pop3d maildrop undelete`. It takes room meanwhile.
	// Left out, not at all.
	// +optional
	DeletedItemRetention Age `json:"deletedItemRetention,omitempty"`
}

// QuotaWarning is a message of plain text. In subject and text, {address}, {used} and {limit} stand for the mailbox's address,
// what it holds, and from which size on it takes no mail, in MiB. What is left out has usual contents.
type QuotaWarning struct {
	// from is the sender's address. Left out, postmaster@ the mailbox's domain.
	// +optional
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:Pattern=`^[!-~]+@[!-~]+$`
	From string `json:"from,omitempty"`
	// subject of the message.
	// +optional
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	Subject string `json:"subject,omitempty"`
	// text of the message.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Text string `json:"text,omitempty"`
}

// MailboxDefaults hold for every Mailbox that does not say otherwise.
type MailboxDefaults struct {
	// quota bounds a maildrop. Left out, it is unlimited.
	// +optional
	Quota Quota `json:"quota,omitzero"`
}

// ServiceTemplate is the Service through which clients come.
type ServiceTemplate struct {
	// type of the Service.
	// +optional
	// +kubebuilder:default=ClusterIP
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type corev1.ServiceType `json:"type,omitempty"`
	// annotations of the Service.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// externalTrafficPolicy Local keeps the clients' addresses, which the limit per address needs.
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
	// loadBalancerClass of a Service of type LoadBalancer.
	// +optional
	// +kubebuilder:validation:MaxLength=316
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`
	// loadBalancerSourceRanges are the networks (CIDR) that a LoadBalancer lets in.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=49
	// +kubebuilder:validation:XValidation:rule="self.all(r, isCIDR(r))",message="each must be a network such as 192.0.2.0/24"
	LoadBalancerSourceRanges []string `json:"loadBalancerSourceRanges,omitempty"`
}

// NetworkPolicyMode says who makes the servers' NetworkPolicy.
//
// +kubebuilder:validation:Enum=Managed;None
type NetworkPolicyMode string

const (
	// NetworkPolicyManaged says that the operator makes one: POP3 from everywhere, LMTP from delivery.lmtp.from, the control port
	// from the operator, nothing else in, nothing out.
	NetworkPolicyManaged NetworkPolicyMode = "Managed"
	// NetworkPolicyNone says that the operator makes none.
	NetworkPolicyNone NetworkPolicyMode = "None"
)

// NetworkPolicy says who may reach the servers.
type NetworkPolicy struct {
	// mode says whether the operator makes a NetworkPolicy.
	// +optional
	// +kubebuilder:default=Managed
	Mode NetworkPolicyMode `json:"mode,omitempty"`
	// metricsFrom are the peers that may read health and metrics. Left out, everyone; neither names a mailbox.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(p, has(p.ipBlock) || has(p.podSelector) || has(p.namespaceSelector))",message="each peer needs an ipBlock, a podSelector or a namespaceSelector"
	// +kubebuilder:validation:XValidation:rule="self.all(p, !has(p.ipBlock) || isCIDR(p.ipBlock.cidr))",message="ipBlock.cidr must be a network such as 192.0.2.0/24"
	MetricsFrom []networkingv1.NetworkPolicyPeer `json:"metricsFrom,omitempty"`
}

// PodTemplate has what the servers' pods may be told beyond what the operator decides.
type PodTemplate struct {
	// resources of the server's container. The memory limit also bounds the directory of mailboxes.
	// +optional
	Resources Resources `json:"resources,omitzero"`
	// nodeSelector of the pods.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations of the pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// priorityClassName of the pods.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// labels are added to the pods' own.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// annotations are added to the pods' own.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Resources are what a container asks for and may use.
type Resources struct {
	// requests are what a node must have left.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(name, isQuantity(string(self[name])))",message="requests must be quantities, such as 100m or 1Gi"
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// limits are what it gets at most.
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(name, isQuantity(string(self[name])))",message="limits must be quantities, such as 100m or 1Gi"
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// Image is a container image.
type Image struct {
	// reference is the whole reference of the image, with tag or digest.
	// +optional
	// +kubebuilder:validation:Pattern=`^[^\s]+$`
	// +kubebuilder:validation:MaxLength=512
	Reference string `json:"reference,omitempty"`
	// pullPolicy of the image.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	PullPolicy corev1.PullPolicy `json:"pullPolicy,omitempty"`
	// pullSecrets are Secrets in this namespace with the registry's credentials.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	PullSecrets []LocalSecretReference `json:"pullSecrets,omitempty"`
}
