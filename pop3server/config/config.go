// Package config is the configuration file of pop3d: one YAML document, versioned, read strictly.
//
// The operator renders it into a ConfigMap from a PopService; a person may write it by hand and run
// `pop3d serve --config FILE`. Both sides share this package, so the file format has one definition.
//
// Units are in the names: …Seconds are whole seconds, …Octets are octets. Settings that the server takes over
// without a restart are marked live; a change in any other one is refused by a running server, which keeps
// the configuration that it has and says so (see Static).
package config

// APIVersion is the version of the file format that this package reads and writes.
const APIVersion = "pop3d.popservice.io/v1"

// Kind is the kind that every configuration file names.
const Kind = "Config"

// Config is the whole file.
type Config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`

	// Revision names this version of the file; the server reports the revision that it runs. Live.
	Revision string `json:"revision,omitempty"`
	// Hostname is the name the server gives itself in LMTP replies and Received fields. Live.
	Hostname string `json:"hostname,omitempty"`
	// Listeners are the POP3 ports, 1 to 8, with distinct names and addresses.
	Listeners []Listener `json:"listeners"`
	// LMTP is the port on which mail enters; absent means that no mail is taken.
	LMTP *LMTP `json:"lmtp,omitempty"`
	// Admin has the ports for health, metrics and the operator.
	Admin Admin `json:"admin"`
	// Directory is where the mailboxes are declared.
	Directory Directory `json:"directory"`
	// Maildrop is where the mail is kept.
	Maildrop Maildrop `json:"maildrop"`

	// TLS has the certificates that the POP3 listeners serve. Live.
	TLS TLS `json:"tls,omitempty"`
	// Authentication says who may log in, and how. Live.
	Authentication Authentication `json:"authentication,omitempty"`
	// Timeouts are the timers of a connection. Live, for connections that are made afterwards.
	Timeouts Timeouts `json:"timeouts,omitempty"`
	// Limits bound what one server spends on its clients. Live, for connections that are made afterwards.
	Limits Limits `json:"limits,omitempty"`
	// SortOrder is the order in which messages are numbered (MessageRetrievalSortOrder). Live, for logins that come afterwards.
	SortOrder SortOrder `json:"sortOrder,omitempty"`
	// ExtendedCapabilities are those that Exchange does not have and that CAPA is to tell of. Live, for connections that are made
	// afterwards.
	ExtendedCapabilities []Capability `json:"extendedCapabilities,omitempty"`
	// Banner is the text of the greeting, at most 506 octets: "+OK " and CRLF make it 512 (C0001). Live.
	Banner string `json:"banner,omitempty"`
	// Log says how much is logged. Live.
	Log Log `json:"log,omitempty"`
}

// Security says how a POP3 listener comes to TLS.
type Security string

const (
	// StartTLS offers STLS on a connection that begins in the clear (RFC 2595 §4).
	StartTLS Security = "StartTLS"
	// ImplicitTLS begins with the TLS handshake (RFC 8314 §3.3).
	ImplicitTLS Security = "ImplicitTLS"
	// Plaintext never offers TLS.
	Plaintext Security = "Plaintext"
)

// Listener is one POP3 port.
type Listener struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"` // host:port; an empty host means every address
	Security Security `json:"security"`
	// ProxyProtocol takes the client's address from the proxies in front; absent means that there are none.
	ProxyProtocol *ProxyProtocol `json:"proxyProtocol,omitempty"`
}

// ProxyProtocol is version 1 and 2 of the PROXY protocol. From a trusted network each connection must begin with its header;
// from any other, none is looked for.
type ProxyProtocol struct {
	TrustedNetworks []string `json:"trustedNetworks"` // in CIDR notation, 1 to 64
}

// SortOrder is an order of messages, by their unique-ids.
type SortOrder string

// The orders.
const (
	Ascending  SortOrder = "Ascending"  // the oldest one is number 1, Exchange's default
	Descending SortOrder = "Descending" // the newest one is number 1
)

// Capability is a capability of CAPA (RFC 2449) that is off by default, as Exchange does not have it.
type Capability string

// The capabilities.
const (
	CapabilityRespCodes      Capability = "RESP-CODES"     // RFC 2449 §6.4
	CapabilityAuthRespCode   Capability = "AUTH-RESP-CODE" // RFC 3206
	CapabilityPipelining     Capability = "PIPELINING"     // RFC 2449 §6.6
	CapabilityExpire         Capability = "EXPIRE"         // RFC 2449 §6.7: what the retention says
	CapabilityLoginDelay     Capability = "LOGIN-DELAY"    // RFC 2449 §6.5: limits.loginDelaySeconds
	CapabilityImplementation Capability = "IMPLEMENTATION" // RFC 2449 §6.9, after login
	CapabilityUTF8           Capability = "UTF8"           // RFC 6856 §2
	CapabilityLang           Capability = "LANG"           // RFC 6856 §3
)

// Capabilities are all that there are.
func Capabilities() []Capability {
	return []Capability{CapabilityRespCodes, CapabilityAuthRespCode, CapabilityPipelining, CapabilityExpire,
		CapabilityLoginDelay, CapabilityImplementation, CapabilityUTF8, CapabilityLang}
}

// OverQuotaReply is what LMTP answers for a mailbox that has reached its quota.
type OverQuotaReply string

const (
	// Reject answers 552 5.2.2, so that the sender gets the mail back, as Exchange does it.
	Reject OverQuotaReply = "Reject"
	// Defer answers 452 4.2.2, so that the sender's MTA keeps the mail and tries again.
	Defer OverQuotaReply = "Defer"
)

// LMTP is the port on which mail enters (RFC 2033). All but the address is live, for connections that are made afterwards.
type LMTP struct {
	Address          string         `json:"address"`
	MaxMessageOctets int64          `json:"maxMessageOctets,omitempty"`
	MaxRecipients    int            `json:"maxRecipients,omitempty"` // of one message; at least 100 (RFC 5321 §4.5.3.1.8)
	OverQuotaReply   OverQuotaReply `json:"overQuotaReply,omitempty"`
	// SubaddressSeparator is one character, such as "+". With it, mail for user+tag@domain goes to user@domain where
	// there is no mailbox and no alias user+tag@domain (RFC 5233). Empty is off.
	SubaddressSeparator string `json:"subaddressSeparator,omitempty"`

	MaxConnections           int `json:"maxConnections,omitempty"`
	MaxConnectionsPerAddress int `json:"maxConnectionsPerAddress,omitempty"`
	// IdleSeconds is how long a client may send nothing, between two commands and within a text.
	IdleSeconds int `json:"idleSeconds,omitempty"`

	// TLS is what STARTTLS (RFC 3207) is made with; absent means that there is none.
	TLS *LMTPTLS `json:"tls,omitempty"`
}

// LMTPTLS is TLS on the LMTP port. The files are read again when they change.
type LMTPTLS struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	// ClientCAFile, where it is set, lets in those clients alone whose certificate chains to one of its authorities.
	ClientCAFile string      `json:"clientCAFile,omitempty"`
	Mode         LMTPTLSMode `json:"mode,omitempty"`
}

// LMTPTLSMode says whether a client may do without TLS.
type LMTPTLSMode string

const (
	// LMTPTLSRequired takes no mail without TLS.
	LMTPTLSRequired LMTPTLSMode = "Required"
	// LMTPTLSOffered takes mail with TLS and without.
	LMTPTLSOffered LMTPTLSMode = "Offered"
)

// Admin has two ports. Neither ever names a mailbox on the first.
type Admin struct {
	// Address serves /healthz, /readyz and /metrics in the clear; empty means that they are not served.
	Address string `json:"address,omitempty"`
	// Control serves the operator's API; absent means that it is not served.
	Control *Control `json:"control,omitempty"`
}

// Control is the operator's API under mutual TLS. The files are read again when they change.
type Control struct {
	Address      string `json:"address"`
	CertFile     string `json:"certFile"`
	KeyFile      string `json:"keyFile"`
	ClientCAFile string `json:"clientCAFile"`
}

// Directory is the folder with the files that package directory describes.
type Directory struct {
	Path string `json:"path"`
}

// Maildrop is the folder that holds every maildrop.
type Maildrop struct {
	Path string `json:"path"`
	// Size says what STAT and LIST tell: Storage or Exact ([MS-STANXPOP3] §2.1.4, §2.1.5). Live.
	Size SizeMode `json:"size,omitempty"`
	// Shared says that other servers work on the folder too: it must be on a volume on which locks hold for all of them.
	Shared bool `json:"shared,omitempty"`
	// Retention says how long messages are kept. Live.
	Retention Retention `json:"retention,omitempty"`
	// QuotaWarning is the message that a user gets whose maildrop has reached its issueWarning. Live.
	QuotaWarning QuotaWarning `json:"quotaWarning,omitempty"`
}

// Retention is how long messages are kept, in seconds; 0 is for ever, or, for removed ones, not at all.
type Retention struct {
	UnreadMaxAgeSeconds         int64 `json:"unreadMaxAgeSeconds,omitempty"` // from delivery (E0005)
	ReadMaxAgeSeconds           int64 `json:"readMaxAgeSeconds,omitempty"`   // from delivery (E0005)
	DeletedItemRetentionSeconds int64 `json:"deletedItemRetentionSeconds,omitempty"`
}

// QuotaWarning is a message of plain text. In Subject and Text, {address}, {used} and {limit} stand for the mailbox's
// address, what it holds, and from which size on it takes no mail, in MiB. Empty fields have usual contents.
type QuotaWarning struct {
	From    string `json:"from,omitempty"` // an address, postmaster@ the mailbox's domain if empty
	Subject string `json:"subject,omitempty"`
	Text    string `json:"text,omitempty"`
}

// SizeMode is what STAT and LIST give as a message's size.
type SizeMode string

const (
	// StorageSize is what the message occupies in the store, Exchange's default.
	StorageSize SizeMode = "Storage"
	// ExactSize is the number of octets that RETR sends, before dot-stuffing, without the final ".CRLF".
	ExactSize SizeMode = "Exact"
)

// TLS has the certificates for the POP3 listeners. The files are read again when they change.
type TLS struct {
	// Certificates, at most 16. The first one serves clients whose server name (SNI) matches none.
	Certificates []Certificate `json:"certificates,omitempty"`
	MinVersion   TLSVersion    `json:"minVersion,omitempty"`
}

// TLSVersion is the oldest version of TLS that is spoken.
type TLSVersion string

// The versions of TLS.
const (
	TLS12 TLSVersion = "TLS12"
	TLS13 TLSVersion = "TLS13"
)

// Certificate is a PEM chain with its key.
type Certificate struct {
	Name     string `json:"name"`
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	// ServerNames are the SNI names it serves, with a leading "*." for a wildcard; none means those in the certificate.
	ServerNames []string `json:"serverNames,omitempty"`
}

// Timeouts are the timers of a connection, in seconds.
type Timeouts struct {
	PreAuthenticatedSeconds int `json:"preAuthenticatedSeconds,omitempty"` // V0002
	AuthenticatedSeconds    int `json:"authenticatedSeconds,omitempty"`    // V0002
	TLSHandshakeSeconds     int `json:"tlsHandshakeSeconds,omitempty"`
	WriteSeconds            int `json:"writeSeconds,omitempty"` // for one write, of 64 KiB at most
	// DrainSeconds is how long sessions may go on after SIGTERM.
	DrainSeconds int `json:"drainSeconds,omitempty"`
}

// Limits bound what one server spends on its clients. They hold for one server process.
type Limits struct {
	MaxCommandOctets         int `json:"maxCommandOctets,omitempty"` // with CRLF; 40 to 1024 (E0006)
	MaxConnections           int `json:"maxConnections,omitempty"`
	MaxConnectionsPerAddress int `json:"maxConnectionsPerAddress,omitempty"`
	MaxConnectionsPerMailbox int `json:"maxConnectionsPerMailbox,omitempty"`
	MaxFailedLogins          int `json:"maxFailedLogins,omitempty"` // on one connection (C0005)
	MaxBadCommands           int `json:"maxBadCommands,omitempty"`  // in a row, on one connection
	// MaxConcurrentVerifications is how many passwords are hashed at the same time; fewer, if there are no more cores.
	MaxConcurrentVerifications int `json:"maxConcurrentVerifications,omitempty"`
	// MaxFailedLoginsPerAddress and MaxFailedLoginsPerMailbox are how many logins from one address (an IPv6 /64 counts as one) and
	// with one user name may fail within LockoutSeconds; until some of these have passed, logins are refused then, except from
	// addresses that have logged in to the mailbox before.
	MaxFailedLoginsPerAddress int `json:"maxFailedLoginsPerAddress,omitempty"`
	MaxFailedLoginsPerMailbox int `json:"maxFailedLoginsPerMailbox,omitempty"`
	LockoutSeconds            int `json:"lockoutSeconds,omitempty"`
	// LoginDelaySeconds is how long after a login to a mailbox the next one is refused, on this server; 0 is not at all.
	LoginDelaySeconds int `json:"loginDelaySeconds,omitempty"`
}

// LogLevel is the least important level that is logged.
type LogLevel string

// The levels, from the least important one.
const (
	LogDebug LogLevel = "Debug"
	LogInfo  LogLevel = "Info"
	LogWarn  LogLevel = "Warn"
	LogError LogLevel = "Error"
)

// Log says how much is logged. Lines are JSON on standard error and hold no secret at any level.
type Log struct {
	Level LogLevel `json:"level,omitempty"`
	// Protocol logs every command and every reply's status line, whatever the level, with passwords and tokens masked
	// (ProtocolLogEnabled).
	Protocol bool `json:"protocol,omitempty"`
}
