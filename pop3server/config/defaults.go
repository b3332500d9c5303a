package config

// Exchange's defaults, as Set-PopSettings documents them, and our own where Exchange has no such setting.
const (
	DefaultBanner                  = "The PopService POP3 service is ready."
	DefaultPreAuthenticatedSeconds = 60   // [MS-STANXPOP3] V0002
	DefaultAuthenticatedSeconds    = 1800 // [MS-STANXPOP3] V0002
	DefaultTLSHandshakeSeconds     = 10
	DefaultWriteSeconds            = 60
	DefaultDrainSeconds            = 300
	DefaultMaxCommandOctets        = 512 // [MS-STANXPOP3] E0006
	DefaultConnectionsPerMailbox   = 16  // MaxConnectionsPerUser
	DefaultMaxConnections          = 10000
	DefaultConnectionsPerAddress   = 2000
	DefaultMaxFailedLogins         = 3
	DefaultMaxBadCommands          = 20
	DefaultFailedLoginsPerAddress  = 1000
	DefaultFailedLoginsPerMailbox  = 100
	DefaultLockoutSeconds          = 900
	DefaultVerifications           = 4
	DefaultMaxMessageOctets        = 50 << 20
	DefaultMaxRecipients           = 1000
	DefaultLMTPConnections         = 500
	DefaultLMTPPerAddress          = 100
	DefaultLMTPIdleSeconds         = 300 // the least that RFC 5321 §4.5.3.2.7 allows
)

// DefaultMechanisms are the ways to log in where the file names none.
func DefaultMechanisms() []Mechanism { return []Mechanism{MechanismUser, MechanismPlain} }

// Default fills every setting that the file leaves out.
func (c *Config) Default() {
	set(&c.Banner, DefaultBanner)
	set(&c.SortOrder, Ascending)
	set(&c.Maildrop.Size, StorageSize)
	set(&c.TLS.MinVersion, TLS12)
	set(&c.Log.Level, LogInfo)
	c.Authentication.setDefaults()
	c.Timeouts.setDefaults()
	c.Limits.setDefaults()
	if c.LMTP != nil {
		c.LMTP.setDefaults()
	}
}

func (a *Authentication) setDefaults() {
	set(&a.LoginType, SecureLogin)
	set(&a.ExtendedProtection, ProtectionNone)
	if len(a.Mechanisms) == 0 {
		a.Mechanisms = DefaultMechanisms()
	}
	for i := range a.OAuth.Issuers {
		set(&a.OAuth.Issuers[i].Claim, "email")
	}
}

func (t *Timeouts) setDefaults() {
	set(&t.PreAuthenticatedSeconds, DefaultPreAuthenticatedSeconds)
	set(&t.AuthenticatedSeconds, DefaultAuthenticatedSeconds)
	set(&t.TLSHandshakeSeconds, DefaultTLSHandshakeSeconds)
	set(&t.WriteSeconds, DefaultWriteSeconds)
	set(&t.DrainSeconds, DefaultDrainSeconds)
}

func (l *Limits) setDefaults() {
	set(&l.MaxCommandOctets, DefaultMaxCommandOctets)
	set(&l.MaxConnections, DefaultMaxConnections)
	set(&l.MaxConnectionsPerAddress, DefaultConnectionsPerAddress)
	set(&l.MaxConnectionsPerMailbox, DefaultConnectionsPerMailbox)
	set(&l.MaxFailedLogins, DefaultMaxFailedLogins)
	set(&l.MaxBadCommands, DefaultMaxBadCommands)
	set(&l.MaxFailedLoginsPerAddress, DefaultFailedLoginsPerAddress)
	set(&l.MaxFailedLoginsPerMailbox, DefaultFailedLoginsPerMailbox)
	set(&l.LockoutSeconds, DefaultLockoutSeconds)
	set(&l.MaxConcurrentVerifications, DefaultVerifications)
}

func (l *LMTP) setDefaults() {
	set(&l.MaxMessageOctets, DefaultMaxMessageOctets)
	set(&l.MaxRecipients, DefaultMaxRecipients)
	set(&l.OverQuotaReply, Reject)
	set(&l.MaxConnections, DefaultLMTPConnections)
	set(&l.MaxConnectionsPerAddress, DefaultLMTPPerAddress)
	set(&l.IdleSeconds, DefaultLMTPIdleSeconds)
	if l.TLS != nil {
		set(&l.TLS.Mode, LMTPTLSRequired)
	}
}

// set gives a value to a setting that has none.
func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
