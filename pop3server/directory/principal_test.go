package directory

import (
	"strings"
	"testing"
)

// named is a mailbox with a credential that names a principal.
func named(address string, p Principal) Record {
	return mailbox(address, func(r *Record) { r.Credentials = []Credential{{Name: "p", Principal: p}} })
}

func TestPrincipalsAreFound(t *testing.T) {
	alice := Principal{Kind: Kerberos, Name: "alice@EXAMPLE.COM"}
	dir := t.TempDir()
	write(t, dir, 1, named("a@example.com", alice),
		named("b@example.com", Principal{Kind: OAuth, Issuer: "https://id.example.com", Name: "sub-1"}))
	d := loadClean(t, dir, nil)
	for p, want := range map[Principal]string{
		alice: "a@example.com",
		{Kind: OAuth, Issuer: "https://id.example.com", Name: "sub-1"}: "b@example.com",
		{Kind: OAuth, Issuer: "https://evil.example", Name: "sub-1"}:   "",
		{Kind: Certificate, Name: "alice@EXAMPLE.COM"}:                 "",
		{Kind: Kerberos, Name: "ALICE@EXAMPLE.COM"}:                    "",
	} {
		if r, ok := d.LookupPrincipal(p); ok != (want != "") || r.Address != want {
			t.Errorf("%+v: %q, %v; want %q", p, r.Address, ok, want)
		}
	}
}

// A principal that two mailboxes name opens neither: nobody gets into a mailbox because somebody else made a mistake.
func TestPrincipalOfTwoMailboxes(t *testing.T) {
	p := Principal{Kind: Kerberos, Name: "alice@EXAMPLE.COM"}
	dir := t.TempDir()
	write(t, dir, 1, named("a@example.com", p), named("b@example.com", p), named("c@example.com", p))
	d, problems := Load(dir, nil)
	if r, ok := d.LookupPrincipal(p); ok {
		t.Errorf("%s is found", r.Address)
	}
	if len(problems) != 2 || !strings.Contains(problems[0].Err.Error(), "another mailbox names too") {
		t.Errorf("problems %v", problems)
	}
}

func TestCredentialsThatNobodyCouldUse(t *testing.T) {
	for text, c := range map[string]Credential{
		"neither a verifier nor a principal": {},
		"has no name":                        {Principal: Principal{Kind: Kerberos}},
		"must have an issuer":                {Principal: Principal{Kind: OAuth, Name: "a"}},
		"must have none otherwise":           {Principal: Principal{Kind: Certificate, Name: "a", Issuer: "b"}},
		"must be of kind":                    {Principal: Principal{Kind: "Other", Name: "a"}},
		"not a verifier":                     {SCRAM: "x"},
	} {
		if err := c.check(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v, want %q in it", c, err, text)
		}
	}
}

func TestDelegatesAreChecked(t *testing.T) {
	for _, delegates := range [][]string{{"b@example.com", "a@example.com"}, {"a@example.com", "a@example.com"},
		{"A@example.com"}, {"a"}} {
		r := mailbox("x@example.com", func(r *Record) { r.Delegates = delegates })
		if _, err := Encode(Header{Version, bucketOf(r), 1}, []Record{r}); err == nil || !strings.Contains(err.Error(),
			"delegates[") {
			t.Errorf("%q: %v", delegates, err)
		}
	}
}
