package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what a configuration may say.
const (
	maxListeners      = 8
	maxCertificates   = 16
	maxBannerOctets   = 506 // with "+OK " and CRLF 512: [MS-STANXPOP3] C0001
	minCommandOctets  = 40  // [MS-STANXPOP3] E0006
	maxCommandOctets  = 1024
	maxSeconds        = 24 * 60 * 60
	maxCount          = 1<<31 - 1 // Exchange's largest limit
	maxMessageOctets  = 2 << 30
	minRecipients     = 100 // RFC 5321 §4.5.3.1.8
	maxRecipients     = 10000
	maxHostnameOctets = 253
	maxAgeSeconds     = 100 * 366 * maxSeconds
	maxHeaderOctets   = 200
	maxWarningOctets  = 16 << 10 // 4096 characters of any kind
	maxNetworks       = 64
)

var (
	listenerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	hostname     = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$`)
	serverName   = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$`)
	// subaddressSeparator is a character of an atom (RFC 5322 §3.2.3) that is no letter and no digit.
	subaddressSeparator = regexp.MustCompile("^[!#$%&'*+/=?^_`{|}~-]$")
	// apopTimestamp is what would tell a client that APOP is there (RFC 1939 §7; [MS-STANXPOP3] V0012).
	apopTimestamp = regexp.MustCompile(`<[^>]*@[^>]*>`)
)

// Validate tells everything that is wrong with a configuration whose defaults are set. Each problem names the field and what
// it may be.
func (c *Config) Validate() error {
	var p problems
	oneOf(&p, "apiVersion", c.APIVersion, APIVersion)
	oneOf(&p, "kind", c.Kind, Kind)
	if c.Hostname != "" && (len(c.Hostname) > maxHostnameOctets || !hostname.MatchString(c.Hostname)) {
		p.add("hostname", "%q is not a host name", c.Hostname)
	}
	c.checkListeners(&p)
	c.checkAddresses(&p)
	if c.LMTP != nil {
		c.LMTP.check(&p)
	}
	if c.Admin.Control != nil {
		c.Admin.Control.check(&p)
	}
	p.required("directory.path", c.Directory.Path)
	c.Maildrop.check(&p)
	c.TLS.check(&p)
	c.Authentication.check(&p)
	c.Timeouts.check(&p)
	c.Limits.check(&p)
	c.checkBanner(&p)
	oneOf(&p, "sortOrder", c.SortOrder, Ascending, Descending)
	c.checkCapabilities(&p)
	oneOf(&p, "log.level", c.Log.Level, LogDebug, LogInfo, LogWarn, LogError)
	return errors.Join(p...)
}

func (c *Config) checkListeners(p *problems) {
	inRange(p, "the number of listeners", len(c.Listeners), 1, maxListeners)
	names := unique{}
	for i, l := range c.Listeners {
		field := fmt.Sprintf("listeners[%d]", i)
		if !listenerName.MatchString(l.Name) {
			p.add(field+".name", "%q must be 1 to 63 characters of a-z, 0-9 and '-', with no '-' at either end", l.Name)
		}
		names.check(p, field+".name", l.Name)
		oneOf(p, field+".security", l.Security, StartTLS, ImplicitTLS, Plaintext)
		if l.ProxyProtocol != nil {
			l.ProxyProtocol.check(p, field+".proxyProtocol.trustedNetworks")
		}
	}
}

func (x *ProxyProtocol) check(p *problems, field string) {
	inRange(p, "the number of "+field, len(x.TrustedNetworks), 1, maxNetworks)
	for i, network := range x.TrustedNetworks {
		if _, err := netip.ParsePrefix(network); err != nil {
			p.add(fmt.Sprintf("%s[%d]", field, i), "%q is not a network in CIDR notation, such as 10.0.0.0/8", network)
		}
	}
}

func (c *Config) checkCapabilities(p *problems) {
	names := unique{}
	for i, name := range c.ExtendedCapabilities {
		field := fmt.Sprintf("extendedCapabilities[%d]", i)
		oneOf(p, field, name, Capabilities()...)
		names.check(p, field, string(name))
	}
	if slices.Contains(c.ExtendedCapabilities, CapabilityAuthRespCode) &&
		!slices.Contains(c.ExtendedCapabilities, CapabilityRespCodes) {
		p.add("extendedCapabilities", "%s needs %s (RFC 3206 §6)", CapabilityAuthRespCode, CapabilityRespCodes)
	}
}

// checkAddresses checks every address on which the server would listen; no two may be the same.
func (c *Config) checkAddresses(p *problems) {
	addresses := unique{}
	check := func(field, address string) {
		port, err := parsePort(address)
		if err != nil {
			p.add(field, "%q must have the form host:port with a port from 0 to 65535", address)
		}
		if port != 0 { // each listener on port 0 gets a free port of its own
			addresses.check(p, field, address)
		}
	}
	for i, l := range c.Listeners {
		check(fmt.Sprintf("listeners[%d].address", i), l.Address)
	}
	if c.LMTP != nil {
		check("lmtp.address", c.LMTP.Address)
	}
	if c.Admin.Address != "" {
		check("admin.address", c.Admin.Address)
	}
	if c.Admin.Control != nil {
		check("admin.control.address", c.Admin.Control.Address)
	}
}

func parsePort(address string) (uint64, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(port, 10, 16)
}

func (l *LMTP) check(p *problems) {
	inRange(p, "lmtp.maxMessageOctets", l.MaxMessageOctets, 1, maxMessageOctets)
	inRange(p, "lmtp.maxRecipients", l.MaxRecipients, minRecipients, maxRecipients)
	oneOf(p, "lmtp.overQuotaReply", l.OverQuotaReply, Reject, Defer)
	if l.SubaddressSeparator != "" && !subaddressSeparator.MatchString(l.SubaddressSeparator) {
		p.add("lmtp.subaddressSeparator", "%q must be one of the characters !#$%%&'*+-/=?^_`{|}~", l.SubaddressSeparator)
	}
	inRange(p, "lmtp.maxConnections", l.MaxConnections, 1, maxCount)
	inRange(p, "lmtp.maxConnectionsPerAddress", l.MaxConnectionsPerAddress, 1, maxCount)
	inRange(p, "lmtp.idleSeconds", l.IdleSeconds, 1, maxSeconds)
	if l.TLS != nil {
		l.TLS.check(p)
	}
}

func (t *LMTPTLS) check(p *problems) {
	p.required("lmtp.tls.certFile", t.CertFile)
	p.required("lmtp.tls.keyFile", t.KeyFile)
	oneOf(p, "lmtp.tls.mode", t.Mode, LMTPTLSRequired, LMTPTLSOffered)
	if t.ClientCAFile != "" && t.Mode == LMTPTLSOffered {
		p.add("lmtp.tls.clientCAFile", "a client could go round it without TLS: set lmtp.tls.mode to %s", LMTPTLSRequired)
	}
}

func (m *Maildrop) check(p *problems) {
	p.required("maildrop.path", m.Path)
	oneOf(p, "maildrop.size", m.Size, StorageSize, ExactSize)
	inRange(p, "maildrop.retention.unreadMaxAgeSeconds", m.Retention.UnreadMaxAgeSeconds, 0, maxAgeSeconds)
	inRange(p, "maildrop.retention.readMaxAgeSeconds", m.Retention.ReadMaxAgeSeconds, 0, maxAgeSeconds)
	inRange(p, "maildrop.retention.deletedItemRetentionSeconds", m.Retention.DeletedItemRetentionSeconds, 0, maxAgeSeconds)
	for field, text := range map[string]string{"from": m.QuotaWarning.From, "subject": m.QuotaWarning.Subject} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) || len(text) > maxHeaderOctets {
			p.add("maildrop.quotaWarning."+field, "must be at most %d printable ASCII characters", maxHeaderOctets)
		}
	}
	if len(m.QuotaWarning.Text) > maxWarningOctets {
		p.add("maildrop.quotaWarning.text", "has %d octets, at most %d are allowed", len(m.QuotaWarning.Text), maxWarningOctets)
	}
}

func (c *Control) check(p *problems) {
	p.required("admin.control.certFile", c.CertFile)
	p.required("admin.control.keyFile", c.KeyFile)
	p.required("admin.control.clientCAFile", c.ClientCAFile)
}

func (t *TLS) check(p *problems) {
	oneOf(p, "tls.minVersion", t.MinVersion, TLS12, TLS13)
	inRange(p, "the number of tls.certificates", len(t.Certificates), 0, maxCertificates)
	names := unique{}
	for i, c := range t.Certificates {
		field := fmt.Sprintf("tls.certificates[%d]", i)
		p.required(field+".name", c.Name)
		names.check(p, field+".name", c.Name)
		p.required(field+".certFile", c.CertFile)
		p.required(field+".keyFile", c.KeyFile)
		for j, name := range c.ServerNames {
			if len(name) > maxHostnameOctets || !serverName.MatchString(name) {
				p.add(fmt.Sprintf("%s.serverNames[%d]", field, j), `%q is not a host name, nor one with "*." in front`, name)
			}
		}
	}
}

func (t *Timeouts) check(p *problems) {
	inRange(p, "timeouts.preAuthenticatedSeconds", t.PreAuthenticatedSeconds, 1, maxSeconds)
	inRange(p, "timeouts.authenticatedSeconds", t.AuthenticatedSeconds, 1, maxSeconds)
	inRange(p, "timeouts.tlsHandshakeSeconds", t.TLSHandshakeSeconds, 1, maxSeconds)
	inRange(p, "timeouts.writeSeconds", t.WriteSeconds, 1, maxSeconds)
	inRange(p, "timeouts.drainSeconds", t.DrainSeconds, 1, maxSeconds)
}

func (l *Limits) check(p *problems) {
	inRange(p, "limits.maxCommandOctets", l.MaxCommandOctets, minCommandOctets, maxCommandOctets)
	inRange(p, "limits.maxConnections", l.MaxConnections, 1, maxCount)
	inRange(p, "limits.maxConnectionsPerAddress", l.MaxConnectionsPerAddress, 1, maxCount)
	inRange(p, "limits.maxConnectionsPerMailbox", l.MaxConnectionsPerMailbox, 1, maxCount)
	inRange(p, "limits.maxFailedLogins", l.MaxFailedLogins, 1, maxCount)
	inRange(p, "limits.maxBadCommands", l.MaxBadCommands, 1, maxCount)
	inRange(p, "limits.maxFailedLoginsPerAddress", l.MaxFailedLoginsPerAddress, 1, maxCount)
	inRange(p, "limits.maxFailedLoginsPerMailbox", l.MaxFailedLoginsPerMailbox, 1, maxCount)
	inRange(p, "limits.lockoutSeconds", l.LockoutSeconds, 1, maxSeconds)
	inRange(p, "limits.loginDelaySeconds", l.LoginDelaySeconds, 0, maxSeconds)
	inRange(p, "limits.maxConcurrentVerifications", l.MaxConcurrentVerifications, 1, maxCount)
}

func (c *Config) checkBanner(p *problems) {
	banner := c.Banner
	if len(banner) > maxBannerOctets {
		p.add("banner", "has %d octets, at most %d are allowed", len(banner), maxBannerOctets)
	}
	if strings.ContainsAny(banner, "\r\n\x00") {
		p.add("banner", "must not have CR, LF or NUL")
	}
	if apopTimestamp.MatchString(banner) {
		p.add("banner", "must not have a text of the form <…@…>: clients would take it for an offer of APOP")
	}
	if strings.HasPrefix(banner, "[") && slices.Contains(c.ExtendedCapabilities, CapabilityRespCodes) {
		p.add("banner", "must not begin with [ where extendedCapabilities has %s: clients would take it for a response code "+
			"(RFC 2449 §6.4)", CapabilityRespCodes)
	}
}

// problems gathers what is wrong.
type problems []error

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, fmt.Errorf(field+": "+format, args...))
}

func (p *problems) required(field, value string) {
	if value == "" {
		p.add(field, "must be set")
	}
}

func inRange[T cmp.Ordered](p *problems, field string, value, least, most T) {
	if value < least || value > most {
		p.add(field, "%v is out of range %v to %v", value, least, most)
	}
}

func oneOf[T ~string](p *problems, field string, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		p.add(field, "%q is not one of %q", value, allowed)
	}
}

// unique remembers which field had a value first.
type unique map[string]string

func (u unique) check(p *problems, field, value string) {
	if first, ok := u[value]; ok {
		p.add(field, "%q is taken by %s already", value, first)
		return
	}
	u[value] = field
}
