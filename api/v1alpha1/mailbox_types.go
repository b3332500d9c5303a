package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Mailbox is one address whose mail a PopService keeps.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=mailboxes,singular=mailbox,shortName=mbx,categories=mail
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.serviceRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.address`
// +kubebuilder:selectablefield:JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.address`
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.spec.serviceRef.name`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Maildrop",type=string,priority=1,JSONPath=`.status.mailboxID`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Mailbox struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// +required
	Spec MailboxSpec `json:"spec"`
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status MailboxStatus `json:"status,omitempty"`
}

// MailboxList is a list of Mailboxes.
//
// +kubebuilder:object:root=true
type MailboxList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Mailbox `json:"items"`
}

// MailboxSpec is what the mailbox should be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.aliases) || !(self.address in self.aliases)",message="address must not be among the aliases",fieldPath=".aliases"
type MailboxSpec struct {
	// serviceRef names the PopService that keeps the mail. It cannot be changed: the mail would stay behind.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="serviceRef cannot be changed"
	ServiceRef ServiceReference `json:"serviceRef"`
	// address of the mailbox, in lower case. It cannot be changed; further addresses go into aliases.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="address cannot be changed: make another Mailbox, or add an alias"
	Address Address `json:"address"`
	// aliases are further addresses under which mail is taken and the mailbox is opened.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Aliases []Address `json:"aliases,omitempty"`
	// state Disabled refuses logins and mail, and keeps what is there.
	// +optional
	// +kubebuilder:default=Enabled
	State MailboxState `json:"state,omitempty"`
	// pop3 says how the mailbox is opened over POP3. What it leaves out, the PopService says.
	// +optional
	POP3 MailboxPOP3 `json:"pop3,omitzero"`
	// quota bounds the maildrop. What it leaves out, the PopService's mailboxDefaults say.
	// +optional
	Quota Quota `json:"quota,omitzero"`
	// adoptionPolicy says what becomes of a maildrop of this address that another Mailbox has made: Refuse leaves it alone, and this
	// Mailbox is not served; Adopt takes it over, with all mail in it.
	// +optional
	// +kubebuilder:default=Refuse
	AdoptionPolicy AdoptionPolicy `json:"adoptionPolicy,omitempty"`
	// reclaimPolicy says what becomes of the mail when the Mailbox is deleted: Retain keeps it on the volume; Delete has the servers
	// remove it first.
	// +optional
	// +kubebuilder:default=Retain
	ReclaimPolicy RetentionPolicy `json:"reclaimPolicy,omitempty"`
	// delegates are the addresses of other Mailboxes of the same PopService, whose users may open this one. They log in with their own
	// password, as user@domain/mailbox or with this mailbox as the authorization identity.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Delegates []Address `json:"delegates,omitempty"`
	// credentials are the ways in; any one of them will do. Each may be taken away by itself, as that of a device which is lost.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Credentials []Credential `json:"credentials,omitempty"`
}

// Address is local-part@domain in lower case, without quotes.
//
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=254
// +kubebuilder:validation:XValidation:rule="self.matches('^[^\\\\x00-\\\\x20\\\\x7f<>()\\\\[\\\\]\\\\\\\\,;:\"/@]+@[^\\\\x00-\\\\x20\\\\x7f<>()\\\\[\\\\]\\\\\\\\,;:\"/@]+$')",message="must have the form local-part@domain, without spaces and without <>()[]\\,;:\"/"
// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="must be in lower case"
type Address string

// ServiceReference names a PopService in the Mailbox's namespace.
type ServiceReference struct {
	// name of the PopService.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
}

// MailboxState says whether a mailbox takes part.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type MailboxState string

// The states.
const (
	MailboxEnabled  MailboxState = "Enabled"
	MailboxDisabled MailboxState = "Disabled"
)

// MailboxPOP3 says how a mailbox is opened over POP3.
type MailboxPOP3 struct {
	// access Refused refuses logins, as if the password were wrong, while mail is taken still.
	// +optional
	// +kubebuilder:default=Allowed
	Access MailboxAccess `json:"access,omitempty"`
	// messageSize says what STAT and LIST tell, in place of the PopService's messageSize.
	// +optional
	MessageSize MessageSize `json:"messageSize,omitempty"`
}

// MailboxAccess says whether a mailbox can be opened.
//
// +kubebuilder:validation:Enum=Allowed;Refused
type MailboxAccess string

// Whether it can be opened.
const (
	AccessAllowed MailboxAccess = "Allowed"
	AccessRefused MailboxAccess = "Refused"
)

// AdoptionPolicy says whether a Mailbox takes over the maildrop of another one.
//
// +kubebuilder:validation:Enum=Refuse;Adopt
type AdoptionPolicy string

// The policies.
const (
	AdoptRefuse AdoptionPolicy = "Refuse"
	AdoptAdopt  AdoptionPolicy = "Adopt"
)

// Credential is one way in.
//
// +kubebuilder:validation:ExactlyOneOf=passwordSecretRef;verifierSecretRef;principal
type Credential struct {
	// name tells the mailbox's credentials apart.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	Name string `json:"name"`
	// passwordSecretRef refers to the password itself. The servers get a verifier made from it, never the password.
	// +optional
	PasswordSecretRef *SecretKeyReference `json:"passwordSecretRef,omitempty"`
	// verifierSecretRef refers to a verifier, such as `pop3d hash` prints, so that the password need not be in the cluster.
	// +optional
	VerifierSecretRef *VerifierKeyReference `json:"verifierSecretRef,omitempty"`
	// principal is a user whom another authority vouches for.
	// +optional
	Principal *Principal `json:"principal,omitempty"`
}

// PrincipalKind is a kind of authority that vouches for users.
//
// +kubebuilder:validation:Enum=Kerberos;OAuth;Certificate
type PrincipalKind string

// The kinds.
const (
	PrincipalKerberos    PrincipalKind = "Kerberos"
	PrincipalOAuth       PrincipalKind = "OAuth"
	PrincipalCertificate PrincipalKind = "Certificate"
)

// Principal is a user as an authority names it.
//
// +kubebuilder:validation:XValidation:rule="(self.kind == 'OAuth') == has(self.issuer)",message="issuer must be set for kind OAuth, and for no other",fieldPath=".issuer"
// +kubebuilder:validation:XValidation:rule="self.kind == 'OAuth' || self.name.matches('^[^@]+@[^@]+$')",message="name must have the form user@REALM for Kerberos, and that of an address for Certificate",fieldPath=".name"
type Principal struct {
	// kind of the authority.
	// +required
	Kind PrincipalKind `json:"kind"`
	// name is user@REALM for Kerberos, the value of the issuer's claim for OAuth, and the e-mail address in the certificate for Certificate.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Name string `json:"name"`
	// issuer is the url of one of the PopService's OAuth issuers.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Issuer string `json:"issuer,omitempty"`
}

// SecretKeyReference names a key of a Secret in the Mailbox's namespace.
type SecretKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Name string `json:"name"`
	// key in the Secret.
	// +optional
	// +kubebuilder:default=password
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// VerifierKeyReference names a key of a Secret in the Mailbox's namespace.
type VerifierKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Name string `json:"name"`
	// key in the Secret.
	// +optional
	// +kubebuilder:default=verifier
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// MailboxStatus is what has been observed of the mailbox.
type MailboxStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions: Ready and CredentialsResolved; Reconciling and Stalled only while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// mailboxID names the maildrop's folder in the store. It depends on the address alone.
	// +optional
	MailboxID string `json:"mailboxID,omitempty"`
}
