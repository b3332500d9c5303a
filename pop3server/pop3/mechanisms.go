package pop3

import (
	"context"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/popservice/popservice/pop3server/authn"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory/verifier"
	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
	"github.com/popservice/popservice/pop3server/sasl/external"
	"github.com/popservice/popservice/pop3server/sasl/gssapi"
	"github.com/popservice/popservice/pop3server/sasl/ntlm"
	"github.com/popservice/popservice/pop3server/sasl/ntlm/nthash"
	"github.com/popservice/popservice/pop3server/sasl/oauth"
	"github.com/popservice/popservice/pop3server/sasl/plain"
	"github.com/popservice/popservice/pop3server/sasl/scram"
)

// Keys are what mechanisms need beside the directory. The functions are asked each time; what they give is in force then.
type Keys struct {
	// Keytab has the keys of the Kerberos service; nil while there is none, and then GSSAPI is not offered.
	Keytab func() *gssapi.Keytab
	// Replays are the Kerberos tickets that this process has seen.
	Replays *gssapi.ReplayCache
	// Token tells whose an access token is.
	Token func(ctx context.Context, token string) (Subject, error)
	// Fake is the secret from which SCRAM's salts of users come who do not exist; at least 16 octets.
	Fake func() []byte
	// ClientCAs are the authorities of clients' certificates now; nil where such certificates count for nothing.
	ClientCAs func() *x509.CertPool
	// Hostname is this server's name, for NTLM.
	Hostname func() string
}

// Subject is the user of an access token.
type Subject struct {
	Issuer, Name string
	// Domains are the mail domains for which the issuer vouches.
	Domains []string
}

// saslMechanism is a mechanism that AUTH knows.
type saslMechanism struct {
	plaintext bool // sends the password, or a token that is as good, in the clear
	// maxOctets bounds a client's line within an exchange, with its end. It is no command, so that the limit for commands
	// does not hold for it (RFC 5034 §4): each mechanism has what its longest message takes, since a stranger may send as much.
	maxOctets int
	// usable tells whether the mechanism can succeed on this connection; nil for always.
	usable func(*session) bool
	begin  func(*session) sasl.Mechanism
}

// base64Line is how long a line is that holds so many octets in base64.
func base64Line(octets int) int { return (octets+2)/3*4 + len("\r\n") }

var saslMechanisms = map[config.Mechanism]saslMechanism{
	config.MechanismPlain: {plaintext: true, maxOctets: 4096,
		begin: func(s *session) sasl.Mechanism { return plain.New(s.verify) }},
	config.MechanismSCRAM: {maxOctets: base64Line(scram.MaxOctets),
		begin:  func(s *session) sasl.Mechanism { return s.scram(false) },
		usable: func(s *session) bool { return s.protection() != binding.Require }},
	config.MechanismSCRAMPlus: {maxOctets: base64Line(scram.MaxOctets), usable: (*session).hasBinding,
		begin: func(s *session) sasl.Mechanism { return s.scram(true) }},
	config.MechanismNTLM:   {maxOctets: 8192, usable: (*session).isProtected, begin: (*session).ntlm},
	config.MechanismGSSAPI: {maxOctets: base64Line(gssapi.MaxToken), usable: (*session).hasKeytab, begin: (*session).gssapi},
	config.MechanismOAuthBearer: {plaintext: true, maxOctets: base64Line(oauth.MaxMessage), usable: (*session).isEncrypted,
		begin: func(s *session) sasl.Mechanism { return oauth.NewBearer(s.oauth()) }},
	config.MechanismXOAuth2: {plaintext: true, maxOctets: base64Line(oauth.MaxMessage), usable: (*session).isEncrypted,
		begin: func(s *session) sasl.Mechanism { return oauth.NewXOAuth2(s.oauth()) }},
	config.MechanismExternal: {maxOctets: 512, usable: (*session).hasCertificate, begin: (*session).external},
}

// protection is what the settings say of channel bindings.
func (s *session) protection() binding.Policy {
	return binding.Policy(s.settings.Authentication.ExtendedProtection)
}

// isProtected tells whether a mechanism with an optional binding may be used: not where a binding is required and there can be
// none, nor where the process may not use MD5, on which these bindings stand (GODEBUG=fips140=only).
func (s *session) isProtected() bool {
	return !fips140.Enforced() && (s.protection() != binding.Require || s.endPoint() != binding.Digest{})
}

func (s *session) hasBinding() bool { return len(s.bindings()) > 0 }

func (s *session) hasKeytab() bool { return s.server.options.Keys.Keytab() != nil && s.isProtected() }

// isEncrypted: a bearer token is never shown in the clear, whatever the login type (RFC 6750 §5.3).
func (s *session) isEncrypted() bool { return s.tls != nil }

func (s *session) hasCertificate() bool { return len(s.identities()) > 0 }

// identities are the names of the certificate that the client has shown. Its authority may be none any more since then, or
// its time may be over.
func (s *session) identities() []string {
	if s.tls == nil {
		return nil
	}
	state := s.tls.ConnectionState()
	authorities := s.server.options.Keys.ClientCAs()
	if len(state.VerifiedChains) == 0 || authorities == nil {
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return nil
	}
	return external.IdentitiesOf(state.PeerCertificates[0])
}

// Names of channel binding types (RFC 5929, RFC 9266).
const (
	bindingEndPoint = "tls-server-end-point"
	bindingExporter = "tls-exporter"
)

// bindings are this connection's channel bindings by type; none in the clear.
func (s *session) bindings() map[string][]byte {
	all := make(map[string][]byte, 2)
	if hash := s.certificateHash(); hash != nil {
		all[bindingEndPoint] = hash
	}
	if s.tls == nil {
		return all
	}
	state := s.tls.ConnectionState()
	if exported, err := binding.Exporter(&state); err == nil {
		all[bindingExporter] = exported
	}
	return all
}

// endPoint is the binding of NTLM and GSSAPI; zero where there is none.
func (s *session) endPoint() binding.Digest {
	hash := s.certificateHash()
	if hash == nil {
		return binding.Digest{}
	}
	return binding.OfEndPoint(hash)
}

// certificateHash is the tls-server-end-point binding of the certificate that this connection was served, which may have been
// replaced meanwhile; nil without one. A resumed connection had it from the same configuration, for each has tickets
// of its own.
func (s *session) certificateHash() []byte {
	if s.tls == nil || s.tlsConfig.GetCertificate == nil {
		return nil
	}
	served, err := s.tlsConfig.GetCertificate(&tls.ClientHelloInfo{ServerName: s.tls.ConnectionState().ServerName})
	if err != nil || served.Leaf == nil {
		return nil
	}
	hash, err := binding.EndPoint(served.Leaf)
	if err != nil {
		return nil
	}
	return hash
}

// ntlm proves a password by its NT hash. The mailbox cannot be chosen: it is the user's own ([MS-OXPOP3]).
func (s *session) ntlm() sasl.Mechanism {
	var proof *authn.Proof
	return ntlm.New(ntlm.Options{
		Target:     s.ntlmTarget(),
		Policy:     s.protection(),
		Binding:    s.endPoint(),
		RequireMIC: s.settings.Authentication.NTLM.RequireMIC,
		Hashes: func(user, domain string) (hashes []nthash.Hash) {
			proof = s.login.Claim(user, domain)
			for _, hash := range proof.NTHashes() {
				hashes = append(hashes, hash)
			}
			return hashes
		},
		Authorize: func(_, _ string, matched int) error { return proof.Open(matched, "") },
	})
}

// ntlmTarget names this server as Windows would: by the first label of its name, in capitals.
func (s *session) ntlmTarget() ntlm.Target {
	host := s.server.options.Keys.Hostname()
	label, domain, _ := strings.Cut(host, ".")
	target := ntlm.Target{NetBIOSComputer: netBIOS(label), DNSComputer: host, DNSDomain: domain}
	if domains := s.settings.Authentication.Domains; len(domains) > 0 {
		target.NetBIOSDomain, target.DNSDomain = domains[0].NetBIOSName, domains[0].Name
	}
	return target
}

// netBIOS makes a label a NetBIOS name ([MS-NBTE] §2.2.1: at most 15 characters).
func netBIOS(label string) string {
	const most = 15
	return strings.ToUpper(label[:min(len(label), most)])
}

// gssapi takes a Kerberos ticket.
func (s *session) gssapi() sasl.Mechanism {
	keys := s.server.options.Keys
	return gssapi.New(gssapi.Options{
		Keytab:  keys.Keytab(),
		Replays: keys.Replays,
		Policy:  s.protection(),
		Binding: s.endPoint(),
		SPNEGO:  s.settings.Authentication.Kerberos.Negotiate,
		Authorize: func(client gssapi.Principal, authzid string) error {
			return s.login.Kerberos(client.Name, client.Realm, authzid)
		},
	})
}

// scram proves a password by a verifier that is no password.
func (s *session) scram(plus bool) sasl.Mechanism {
	var proof *authn.Proof
	return scram.New(scram.Options{
		Plus:       plus,
		OffersPlus: s.hasBinding() && slices.Contains(s.settings.Authentication.Mechanisms, config.MechanismSCRAMPlus),
		Bindings:   s.bindings(),
		Policy:     s.protection(),
		Lookup: func(name string) (scram.Credentials, bool) {
			proof = s.login.Claim(name, "")
			return credentialsOf(proof.SCRAM())
		},
		Canonical:      s.login.Canonical,
		FakeKey:        s.server.options.Keys.Fake(),
		FakeIterations: verifier.SCRAMIterations,
		Authorize:      func(authzid string, matched int) error { return proof.Open(matched, authzid) },
	})
}

// credentialsOf puts verifiers of one salt together.
func credentialsOf(verifiers []verifier.SCRAM) (c scram.Credentials, ok bool) {
	if len(verifiers) == 0 {
		return c, false
	}
	c.Salt, c.Iterations = verifiers[0].Salt, verifiers[0].Iterations
	c.Keys = make([]scram.Keys, 0, len(verifiers))
	for _, v := range verifiers {
		c.Keys = append(c.Keys, scram.Keys{StoredKey: v.StoredKey, ServerKey: v.ServerKey})
	}
	return c, true
}

// oauth takes an access token.
func (s *session) oauth() oauth.Options {
	var subject Subject
	options := oauth.Options{
		Validate: func(token string) (_ string, err error) {
			subject, err = s.server.options.Keys.Token(s.ctx, token)
			return subject.Name, err
		},
		Authorize: func(_, authzid string) error {
			return s.login.OAuth(subject.Issuer, subject.Name, subject.Domains, authzid)
		},
	}
	if issuers := s.settings.Authentication.OAuth.Issuers; len(issuers) == 1 {
		options.Discovery = strings.TrimSuffix(issuers[0].URL, "/") + "/.well-known/openid-configuration"
		options.Scope = strings.Join(issuers[0].RequiredScopes, " ")
	}
	return options
}

// external takes the certificate that the client has shown in the handshake.
func (s *session) external() sasl.Mechanism {
	return external.New(external.Options{Identities: s.identities(), Authorize: s.login.Certificate})
}
