package v1alpha1

// LoginType is Exchange's LoginType: what may be used on a connection without TLS.
//
// +kubebuilder:validation:Enum=PlainTextLogin;PlainTextAuthentication;SecureLogin
type LoginType string

const (
	// PlainTextLogin allows every mechanism on every connection.
	PlainTextLogin LoginType = "PlainTextLogin"
	// PlainTextAuthentication allows mechanisms that send a password in the clear under TLS only.
	PlainTextAuthentication LoginType = "PlainTextAuthentication"
	// SecureLogin allows no login without TLS.
	SecureLogin LoginType = "SecureLogin"
)

// Mechanism is the name of a way to log in: a SASL mechanism's IANA name, or USER for USER and PASS.
//
// +kubebuilder:validation:Enum=USER;PLAIN;SCRAM-SHA-256;SCRAM-SHA-256-PLUS;NTLM;GSSAPI;OAUTHBEARER;XOAUTH2;EXTERNAL
type Mechanism string

// The ways to log in.
const (
	MechanismUser        Mechanism = "USER"
	MechanismPlain       Mechanism = "PLAIN"
	MechanismSCRAM       Mechanism = "SCRAM-SHA-256"
	MechanismSCRAMPlus   Mechanism = "SCRAM-SHA-256-PLUS"
	MechanismNTLM        Mechanism = "NTLM"
	MechanismGSSAPI      Mechanism = "GSSAPI"
	MechanismOAuthBearer Mechanism = "OAUTHBEARER"
	MechanismXOAuth2     Mechanism = "XOAUTH2"
	MechanismExternal    Mechanism = "EXTERNAL"
)

// ExtendedProtection says what becomes of channel bindings: Exchange's ExtendedProtectionPolicy.
//
// +kubebuilder:validation:Enum=None;Allow;Require
type ExtendedProtection string

// The policies.
const (
	ProtectionNone    ExtendedProtection = "None"
	ProtectionAllow   ExtendedProtection = "Allow"
	ProtectionRequire ExtendedProtection = "Require"
)

// Authentication says who may log in, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.mechanisms) || !self.mechanisms.exists(m, m == 'GSSAPI') || has(self.kerberos)",message="mechanism GSSAPI needs kerberos.keytabSecretRef",fieldPath=".kerberos"
// +kubebuilder:validation:XValidation:rule="!has(self.mechanisms) || !self.mechanisms.exists(m, m == 'OAUTHBEARER' || m == 'XOAUTH2') || has(self.oauth)",message="mechanisms OAUTHBEARER and XOAUTH2 need oauth.issuers",fieldPath=".oauth"
// +kubebuilder:validation:XValidation:rule="!has(self.mechanisms) || !self.mechanisms.exists(m, m == 'EXTERNAL') || has(self.clientCASecretRef)",message="mechanism EXTERNAL needs clientCASecretRef",fieldPath=".clientCASecretRef"
type Authentication struct {
	// loginType says what may be used on a connection without TLS.
	// +optional
	// +kubebuilder:default=SecureLogin
	LoginType LoginType `json:"loginType,omitempty"`
	// mechanisms are the ways to log in. SCRAM-SHA-256 and SCRAM-SHA-256-PLUS never show the password to the server; NTLM makes the
	// servers keep what is as good as the password.
	// +optional
	// +listType=set
	// +kubebuilder:default={"USER","PLAIN"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Mechanisms []Mechanism `json:"mechanisms,omitempty"`
	// extendedProtection says what becomes of channel bindings, by which a login with NTLM, GSSAPI or SCRAM is tied to its TLS connection:
	// None looks at none, as Exchange does by default; with Allow one that is there must be right; with Require it must be there.
	// +optional
	// +kubebuilder:default=None
	ExtendedProtection ExtendedProtection `json:"extendedProtection,omitempty"`
	// domains are the mail domains in which users may be named in other ways than by an address. The first one is that of users who name
	// no domain.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Domains []Domain `json:"domains,omitempty"`
	// ntlm has what is particular to NTLM.
	// +optional
	NTLM NTLM `json:"ntlm,omitzero"`
	// kerberos has what GSSAPI needs.
	// +optional
	Kerberos *Kerberos `json:"kerberos,omitempty"`
	// oauth has what OAUTHBEARER and XOAUTH2 need.
	// +optional
	OAuth *OAuth `json:"oauth,omitempty"`
	// clientCASecretRef names a Secret with, under the key ca.crt, the authorities of the clients' certificates, for EXTERNAL.
	// +optional
	ClientCASecretRef *LocalSecretReference `json:"clientCASecretRef,omitempty"`
}

// Domain is a mail domain.
type Domain struct {
	// name is what stands behind the "@" of its addresses.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Name string `json:"name"`
	// netBIOSName is the name by which Windows knows it, as in EXAMPLE\alice.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	NetBIOSName string `json:"netBIOSName,omitempty"`
	// realm is the Kerberos realm whose principals are the domain's users.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`
	Realm string `json:"realm,omitempty"`
}

// NTLM has what is particular to NTLM.
type NTLM struct {
	// requireMIC refuses clients that do not protect the whole exchange by a message integrity code. curl and other programs do not.
	// +optional
	RequireMIC bool `json:"requireMIC,omitempty"`
}

// Kerberos has what GSSAPI needs.
type Kerberos struct {
	// keytabSecretRef refers to the keytab with the keys of the service, pop/HOST@REALM, where HOST is the name that clients connect to.
	// +required
	KeytabSecretRef KeytabKeyReference `json:"keytabSecretRef"`
	// negotiate takes SPNEGO too, which some Windows clients mean by GSSAPI.
	// +optional
	Negotiate bool `json:"negotiate,omitempty"`
}

// KeytabKeyReference names a key of a Secret in the PopService's namespace.
type KeytabKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Name string `json:"name"`
	// key in the Secret.
	// +optional
	// +kubebuilder:default=keytab
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// OAuth has what OAUTHBEARER and XOAUTH2 need.
type OAuth struct {
	// issuers are those whose access tokens, in the form of JWTs, are taken.
	// +required
	// +listType=map
	// +listMapKey=url
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Issuers []Issuer `json:"issuers"`
}

// Issuer is one that signs access tokens.
type Issuer struct {
	// url is the issuer's identifier, as in the tokens' claim "iss". Its keys are found by OpenID Connect Discovery unless jwksURL is set.
	// +required
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'https' && url(self).getHost() != ''",message="must be a URL of the form https://host/path"
	URL string `json:"url"`
	// audiences are those of which a token must have one.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Audiences []string `json:"audiences"`
	// claim is the claim that names the user.
	// +optional
	// +kubebuilder:default=email
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Claim string `json:"claim,omitempty"`
	// domains are the mail domains for which the issuer vouches: where the claim is an address in one of them, the token opens that mailbox.
	// Other users log in only where a Mailbox names them among its credentials.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Domains []string `json:"domains,omitempty"`
	// requiredScopes are those that a token must have, all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	RequiredScopes []string `json:"requiredScopes,omitempty"`
	// jwksURL is where the issuer's keys are, in place of discovery.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'https' && url(self).getHost() != ''",message="must be a URL of the form https://host/path"
	JWKSURL string `json:"jwksURL,omitempty"`
	// caSecretRef names a Secret with, under the key ca.crt, the authorities of the issuer's certificate; those that the image knows if left
	// out.
	// +optional
	CASecretRef *LocalSecretReference `json:"caSecretRef,omitempty"`
}
