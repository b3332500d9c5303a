package config

import (
	"strings"
	"testing"
)

func TestValidateAuthentication(t *testing.T) {
	issuer := Issuer{URL: "https://id.example.com/", Audiences: []string{"pop"}}
	with := func(change func(*Issuer)) []Issuer {
		changed := issuer
		change(&changed)
		return []Issuer{changed}
	}
	for _, test := range []struct {
		change func(*Authentication)
		want   string // in the error; empty is none
	}{
		{func(a *Authentication) { a.Mechanisms = Mechanisms() }, "kerberos.keytabFile: must be set for mechanism GSSAPI"},
		{func(a *Authentication) { a.Mechanisms = Mechanisms() }, "oauth.issuers: must be set for mechanism OAUTHBEARER"},
		{func(a *Authentication) { a.Mechanisms = Mechanisms() }, "clientCAFile: must be set for mechanism EXTERNAL"},
		{func(a *Authentication) {
			a.Mechanisms, a.Kerberos.KeytabFile, a.OAuth.Issuers, a.ClientCAFile = Mechanisms(), "k", []Issuer{issuer}, "c"
		}, ""},
		{func(a *Authentication) { a.ExtendedProtection = "Always" },
			`authentication.extendedProtection: "Always" is not one of ["None" "Allow" "Require"]`},
		{func(a *Authentication) { a.Domains = []Domain{{Name: "a b"}} }, `domains[0].name: "a b" is not a host name`},
		{func(a *Authentication) { a.Domains = []Domain{{Name: "a"}, {Name: "a"}} },
			`"a" is taken by authentication.domains[0].name`},
		{func(a *Authentication) { a.Domains = []Domain{{Name: "a", NetBIOSName: "0123456789abcdef"}} },
			"domains[0].netBIOSName: \"0123456789abcdef\" is not a NetBIOS name of 1 to 15 characters"},
		{func(a *Authentication) { a.Domains = []Domain{{Name: "a", Realm: "A/B"}} },
			`domains[0].realm: "A/B" is not a Kerberos realm`},
		{func(a *Authentication) { a.OAuth.Issuers = with(func(i *Issuer) { i.URL = "http://id.example.com" }) },
			`oauth.issuers[0].url: "http://id.example.com" is not a URL of the form https://host/path`},
		{func(a *Authentication) { a.OAuth.Issuers = with(func(i *Issuer) { i.JWKSURL = "https://" }) },
			"oauth.issuers[0].jwksURL"},
		{func(a *Authentication) { a.OAuth.Issuers = with(func(i *Issuer) { i.Audiences = nil }) },
			"the number of authentication.oauth.issuers[0].audiences: 0 is out of range 1 to 16"},
		{func(a *Authentication) { a.OAuth.Issuers = with(func(i *Issuer) { i.Domains = []string{"@x"} }) },
			`oauth.issuers[0].domains[0]: "@x" is not a host name`},
		{func(a *Authentication) { a.OAuth.Issuers = []Issuer{issuer, issuer} }, "is taken by authentication.oauth.issuers[0].url"},
	} {
		c := parse(t, minimal)
		test.change(&c.Authentication)
		err := c.Validate()
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q in it", err, test.want)
		}
	}
}
