package resources

import (
	"path"
	"slices"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/pop3server/config"
)

// Keys of what logins need, beside the certificates. No certificate can be named like that.
const (
	KeytabKey   = "_keytab"
	ClientCAKey = "_clients-ca.crt"
	SCRAMKey    = "_scram.key"
)

// IssuerCAKey is the key of the authorities of an OAuth issuer's certificate.
func IssuerCAKey(url string) string { return "_issuer-" + hash([]byte(url)) + ".crt" }

func authentication(spec v1alpha1.Authentication) config.Authentication {
	a := config.Authentication{
		LoginType:          config.LoginType(spec.LoginType),
		ExtendedProtection: config.ExtendedProtection(spec.ExtendedProtection),
		NTLM:               config.NTLM{RequireMIC: spec.NTLM.RequireMIC},
		OAuth:              oauth(spec.OAuth),
	}
	for _, m := range spec.Mechanisms {
		a.Mechanisms = append(a.Mechanisms, config.Mechanism(m))
	}
	for _, d := range spec.Domains {
		a.Domains = append(a.Domains, config.Domain(d))
	}
	if spec.Kerberos != nil {
		a.Kerberos = config.Kerberos{KeytabFile: path.Join(tlsFolder, KeytabKey), Negotiate: spec.Kerberos.Negotiate}
	}
	if FormsOf(spec).SCRAM {
		a.SCRAM.KeyFile = path.Join(tlsFolder, SCRAMKey)
	}
	if spec.ClientCASecretRef != nil {
		a.ClientCAFile = path.Join(tlsFolder, ClientCAKey)
	}
	return a
}

// Forms says in which forms the servers need a password: only those that an enabled mechanism checks it by.
type Forms struct {
	Password bool // for USER and PLAIN
	SCRAM    bool
	NT       bool // for NTLM; as good as the password
}

// FormsOf gives the forms that a PopService's mechanisms need.
func FormsOf(spec v1alpha1.Authentication) Forms {
	has := func(mechanism v1alpha1.Mechanism) bool { return slices.Contains(spec.Mechanisms, mechanism) }
	return Forms{
		Password: has(v1alpha1.MechanismUser) || has(v1alpha1.MechanismPlain),
		SCRAM:    has(v1alpha1.MechanismSCRAM) || has(v1alpha1.MechanismSCRAMPlus),
		NT:       has(v1alpha1.MechanismNTLM),
	}
}

func oauth(spec *v1alpha1.OAuth) config.OAuth {
	if spec == nil {
		return config.OAuth{}
	}
	var all config.OAuth
	for _, i := range spec.Issuers {
		issuer := config.Issuer{URL: i.URL, Audiences: i.Audiences, Claim: i.Claim, Domains: i.Domains,
			RequiredScopes: i.RequiredScopes, JWKSURL: i.JWKSURL}
		if i.CASecretRef != nil {
			issuer.CAFile = path.Join(tlsFolder, IssuerCAKey(i.URL))
		}
		all.Issuers = append(all.Issuers, issuer)
	}
	return all
}
