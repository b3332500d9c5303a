package config

// LoginType is Exchange's LoginType: what may be used on a connection without TLS.
type LoginType string

const (
	// PlainTextLogin allows every mechanism on every connection.
	PlainTextLogin LoginType = "PlainTextLogin"
	// PlainTextAuthentication allows mechanisms that send a password in the clear only under TLS.
	PlainTextAuthentication LoginType = "PlainTextAuthentication"
	// SecureLogin allows no authentication at all without TLS.
	SecureLogin LoginType = "SecureLogin"
)

// Mechanism is the name of a way to log in: a SASL mechanism's IANA name, or USER for USER/PASS.
type Mechanism string

// The mechanisms that there are.
const (
	MechanismUser        Mechanism = "USER"
	MechanismPlain       Mechanism = "PLAIN"
	MechanismSCRAM       Mechanism = "SCRAM-SHA-256"
	MechanismSCRAMPlus   Mechanism = "SCRAM-SHA-256-PLUS" // bound to the TLS connection
	MechanismNTLM        Mechanism = "NTLM"
	MechanismGSSAPI      Mechanism = "GSSAPI"
	MechanismOAuthBearer Mechanism = "OAUTHBEARER"
	MechanismXOAuth2     Mechanism = "XOAUTH2"
	MechanismExternal    Mechanism = "EXTERNAL" // a client certificate
)

// Mechanisms are all that there are.
func Mechanisms() []Mechanism {
	return []Mechanism{MechanismUser, MechanismPlain, MechanismSCRAM, MechanismSCRAMPlus, MechanismNTLM, MechanismGSSAPI,
		MechanismOAuthBearer, MechanismXOAuth2, MechanismExternal}
}

// ExtendedProtection says what becomes of channel bindings, by which a login is tied to its TLS connection: Exchange's
// ExtendedProtectionPolicy. It is about NTLM, GSSAPI and SCRAM.
type ExtendedProtection string

// The policies.
const (
	ProtectionNone    ExtendedProtection = "None"    // they are not looked at, Exchange's default
	ProtectionAllow   ExtendedProtection = "Allow"   // one that is there must be right
	ProtectionRequire ExtendedProtection = "Require" // it must be there
)

// Authentication says who may log in, and how.
type Authentication struct {
	LoginType          LoginType          `json:"loginType,omitempty"`
	Mechanisms         []Mechanism        `json:"mechanisms,omitempty"`
	ExtendedProtection ExtendedProtection `json:"extendedProtection,omitempty"`
	// Domains, at most 64, are the mail domains in which users may be named in other ways than by an address. The first
	// one is that of users who name none.
	Domains []Domain `json:"domains,omitempty"`
	NTLM    NTLM     `json:"ntlm,omitempty"`
	// Kerberos has what GSSAPI needs.
	Kerberos Kerberos `json:"kerberos,omitempty"`
	SCRAM    SCRAM    `json:"scram,omitempty"`
	// OAuth has what OAUTHBEARER and XOAUTH2 need.
	OAuth OAuth `json:"oauth,omitempty"`
	// ClientCAFile has the authorities of the clients' certificates, for EXTERNAL. It is read again when it changes.
	ClientCAFile string `json:"clientCAFile,omitempty"`
}

// Domain is a mail domain.
type Domain struct {
	// Name is what stands behind the "@" of its addresses.
	Name string `json:"name"`
	// NetBIOSName is the name by which Windows knows it, as in EXAMPLE\alice.
	NetBIOSName string `json:"netBIOSName,omitempty"`
	// Realm is the Kerberos realm whose principals are the domain's users.
	Realm string `json:"realm,omitempty"`
}

// NTLM has what is particular to NTLM.
type NTLM struct {
	// RequireMIC refuses clients that do not protect the whole exchange, as curl and other old ones.
	RequireMIC bool `json:"requireMIC,omitempty"`
}

// SCRAM has what is particular to SCRAM.
type SCRAM struct {
	// KeyFile holds any secret, the same for all servers of a fleet: from it comes what is told of users who do not exist. Without
	// it, each server makes a secret when it starts, and a stranger can tell such users by comparing.
	KeyFile string `json:"keyFile,omitempty"`
}

// Kerberos has what GSSAPI needs.
type Kerberos struct {
	// KeytabFile has the keys of the service, pop/HOST@REALM. It is read again when it changes.
	KeytabFile string `json:"keytabFile,omitempty"`
	// Negotiate takes SPNEGO too, which some Windows clients mean by GSSAPI ([MS-SSEAN]).
	Negotiate bool `json:"negotiate,omitempty"`
}

// OAuth has what OAUTHBEARER and XOAUTH2 need.
type OAuth struct {
	Issuers []Issuer `json:"issuers,omitempty"` // at most 8
}

// Issuer is one that signs access tokens in the form of JWTs.
type Issuer struct {
	// URL is the issuer's identifier, with https. Its keys are found by OpenID Connect Discovery unless JWKSURL is set.
	URL       string   `json:"url"`
	Audiences []string `json:"audiences"` // of which a token must have one; 1 to 16
	// Claim is the claim that names the user; "email" if empty.
	Claim string `json:"claim,omitempty"`
	// Domains are the mail domains for which the issuer vouches: where the claim is an address in one of them, it is that
	// mailbox's user. Others log in only where a mailbox names them.
	Domains        []string `json:"domains,omitempty"`
	RequiredScopes []string `json:"requiredScopes,omitempty"`
	JWKSURL        string   `json:"jwksURL,omitempty"`
	// CAFile has the authorities of the issuer's certificate; the system's if empty.
	CAFile string `json:"caFile,omitempty"`
}
