package authn

import "testing"

func TestParseName(t *testing.T) {
	for text, want := range map[string]Name{
		"alice":                             {User: "alice"},
		"alice@example.com":                 {User: "alice@example.com"},
		`EXAMPLE\alice`:                     {User: "alice", Domain: "EXAMPLE"},
		"example.com/alice":                 {User: "alice", Domain: "example.com"},
		"alice@example.com/boss":            {User: "alice@example.com", Mailbox: "boss"},
		`alice@example.com\boss`:            {User: "alice@example.com", Mailbox: "boss"},
		"alice@example.com/boss@example.de": {User: "alice@example.com", Mailbox: "boss@example.de"},
		`EXAMPLE\alice/boss`:                {User: "alice", Domain: "EXAMPLE", Mailbox: "boss"},
		`EXAMPLE\alice\boss`:                {User: "alice", Domain: "EXAMPLE", Mailbox: "boss"},
		"example.com/alice/b@example.com":   {User: "alice", Domain: "example.com", Mailbox: "b@example.com"},
		"EXAMPLE/alice@example.com/boss":    {User: "alice@example.com", Domain: "EXAMPLE", Mailbox: "boss"},
	} {
		if got, ok := ParseName(text); !ok || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "/", `\`, "/alice", "alice/", `EXAMPLE\`, `\alice`, "a//b", `a\/b`, "a/b/c/d",
		"a@b/c/d", "a/b/"} {
		if got, ok := ParseName(text); ok {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestDomains(t *testing.T) {
	domains := Domains{
		{Name: "example.com", NetBIOSName: "EXAMPLE", Realm: "AD.EXAMPLE.COM"}, {Name: "example.de"}, {Name: "local", Realm: "R"},
	}
	for _, test := range []struct{ user, domain, want string }{
		{"alice", "", "alice@example.com"},
		{"alice", "example", "alice@example.com"},
		{"alice", "ad.example.com", "alice@example.com"},
		{"alice", "EXAMPLE.DE", "alice@example.de"},
		{"alice", "LOCAL", "alice@local"},
		{"alice", "elsewhere.example", "alice@elsewhere.example"},
		{"alice@example.de", "", "alice@example.de"},
		{"alice@example.de", "EXAMPLE", "alice@example.de"},
		{"alice", "UNKNOWN", ""},
	} {
		got, ok := domains.address(test.user, test.domain)
		if ok != (test.want != "") || ok && got != test.want {
			t.Errorf("%s in %q: %q, %v; want %q", test.user, test.domain, got, ok, test.want)
		}
	}
	if got, ok := (Domains{}).address("alice", ""); ok {
		t.Errorf("without domains alice is %s", got)
	}
	for realm, want := range map[string]string{"AD.EXAMPLE.COM": "example.com", "ad.example.com": "", "": "", "R": "local"} {
		if got, ok := domains.ofRealm(realm); got != want || ok != (want != "") {
			t.Errorf("realm %q: %q, %v; want %q", realm, got, ok, want)
		}
	}
}
