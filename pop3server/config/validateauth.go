package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
)

const (
	maxDomains   = 64
	maxIssuers   = 8
	maxAudiences = 16
	maxScopes    = 16
)

var (
	// netBIOSName is [MS-NBTE] §2.2.1, without what Windows does not allow.
	netBIOSName = regexp.MustCompile(`^[A-Za-z0-9!@#$%^&')(.{}_~-]{1,15}$`)
	realmName   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$`)
)

func (a *Authentication) check(p *problems) {
	oneOf(p, "authentication.loginType", a.LoginType, PlainTextLogin, PlainTextAuthentication, SecureLogin)
	oneOf(p, "authentication.extendedProtection", a.ExtendedProtection, ProtectionNone, ProtectionAllow, ProtectionRequire)
	names := unique{}
	for i, m := range a.Mechanisms {
		field := fmt.Sprintf("authentication.mechanisms[%d]", i)
		oneOf(p, field, m, Mechanisms()...)
		names.check(p, field, string(m))
	}
	a.checkNeeds(p)
	a.checkDomains(p)
	a.OAuth.check(p)
}

// checkNeeds: a mechanism that nobody could use is a mistake.
func (a *Authentication) checkNeeds(p *problems) {
	for _, need := range []struct {
		mechanism Mechanism
		field     string
		met       bool
	}{
		{MechanismGSSAPI, "kerberos.keytabFile", a.Kerberos.KeytabFile != ""},
		{MechanismOAuthBearer, "oauth.issuers", len(a.OAuth.Issuers) > 0},
		{MechanismXOAuth2, "oauth.issuers", len(a.OAuth.Issuers) > 0},
		{MechanismExternal, "clientCAFile", a.ClientCAFile != ""},
	} {
		if slices.Contains(a.Mechanisms, need.mechanism) && !need.met {
			p.add("authentication."+need.field, "must be set for mechanism %s", need.mechanism)
		}
	}
}

func (a *Authentication) checkDomains(p *problems) {
	inRange(p, "the number of authentication.domains", len(a.Domains), 0, maxDomains)
	names := unique{}
	for i, d := range a.Domains {
		field := fmt.Sprintf("authentication.domains[%d]", i)
		checkHost(p, field+".name", d.Name)
		names.check(p, field+".name", d.Name)
		if d.NetBIOSName != "" && !netBIOSName.MatchString(d.NetBIOSName) {
			p.add(field+".netBIOSName", "%q is not a NetBIOS name of 1 to 15 characters", d.NetBIOSName)
		}
		if d.Realm != "" && !realmName.MatchString(d.Realm) {
			p.add(field+".realm", "%q is not a Kerberos realm", d.Realm)
		}
	}
}

func checkHost(p *problems, field, name string) {
	if len(name) > maxHostnameOctets || !hostname.MatchString(name) {
		p.add(field, "%q is not a host name", name)
	}
}

func (o *OAuth) check(p *problems) {
	inRange(p, "the number of authentication.oauth.issuers", len(o.Issuers), 0, maxIssuers)
	urls := unique{}
	for i := range o.Issuers {
		field := fmt.Sprintf("authentication.oauth.issuers[%d]", i)
		o.Issuers[i].check(p, field)
		urls.check(p, field+".url", o.Issuers[i].URL)
	}
}

func (i *Issuer) check(p *problems, field string) {
	checkURL(p, field+".url", i.URL)
	if i.JWKSURL != "" {
		checkURL(p, field+".jwksURL", i.JWKSURL)
	}
	inRange(p, "the number of "+field+".audiences", len(i.Audiences), 1, maxAudiences)
	inRange(p, "the number of "+field+".domains", len(i.Domains), 0, maxDomains)
	inRange(p, "the number of "+field+".requiredScopes", len(i.RequiredScopes), 0, maxScopes)
	for j, domain := range i.Domains {
		checkHost(p, fmt.Sprintf("%s.domains[%d]", field, j), domain)
	}
}

func checkURL(p *problems, field, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		p.add(field, "%q is not a URL of the form https://host/path", text)
	}
}
