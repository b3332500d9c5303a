package authn

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// office has a boss, whose mailbox alice may open, and mailboxes that nobody may.
func office() map[string]directory.Record {
	secret := verifier.Derive([]byte("secret"))
	with := func(id, address string, change func(*directory.Record)) directory.Record {
		r := record(id, directory.Enabled, secret)
		r.Address = address
		change(&r)
		return r
	}
	all := map[string]directory.Record{
		"alice@example.com": with("alice", "alice@example.com", func(*directory.Record) {}),
		"bob@example.com":   with("bob", "bob@example.com", func(*directory.Record) {}),
		"off@example.com":   with("off", "off@example.com", func(r *directory.Record) { r.State = directory.Disabled }),
		"boss@example.com": with("boss", "boss@example.com", func(r *directory.Record) {
			r.Delegates = []string{"al@example.com", "off@example.com", "unknown@example.com"}
		}),
		"closed@example.com": with("closed", "closed@example.com", func(r *directory.Record) {
			r.Delegates, r.State = []string{"alice@example.com"}, directory.Disabled
		}),
	}
	all["al@example.com"] = all["alice@example.com"] // an alias
	return all
}

func TestNamesAndDelegates(t *testing.T) {
	f := newFixture(office())
	for _, test := range []struct{ name, authzid, mailbox string }{
		{"alice", "", "alice"},
		{"alice@example.com", "", "alice"},
		{`EXAMPLE\alice`, "", "alice"},
		{"example.com/alice", "", "alice"},
		{"al", "", "alice"},
		{"alice/alice", "", ""}, // a domain "alice"
		{"alice@example.com/alice", "", "alice"},
		{"alice@example.com/boss", "", "boss"},
		{"alice@example.com/boss@example.com", "", "boss"},
		{`EXAMPLE\alice\boss`, "", "boss"},
		{"al@example.com/boss", "", "boss"},
		{"alice", "boss", "boss"},
		{"alice", "boss@example.com", "boss"},
		{"alice", "al", "alice"},
		{"alice@example.com/boss", "boss", ""}, // said twice
		{"bob@example.com/boss", "", ""},
		{"bob", "boss", ""},
		{"off@example.com/boss", "", ""},
		{"alice@example.com/closed", "", ""},
		{"alice@example.com/unknown", "", ""},
		{"alice", "boss@elsewhere.example", ""},
		{"boss@example.com/alice", "", ""},
		{"a/b/c/d", "", ""},
		{"/alice", "", ""},
		{"", "", ""},
	} {
		got, err := f.verifyFrom(t, remote, test.authzid, test.name, "secret")
		if got.ID != test.mailbox || (test.mailbox == "") != errors.Is(err, ErrRejected) {
			t.Errorf("%s for %q: %q, %v; want %q", test.name, test.authzid, got.ID, err, test.mailbox)
		}
	}
	if got, err := f.verify(t, "alice@example.com/boss", "wrong"); err == nil {
		t.Errorf("with a wrong password the delegate opens %q", got.ID)
	}
}

func TestLockoutByName(t *testing.T) {
	f := newFixture(office())
	f.lockout.PerMailbox = 3
	elsewhere, home := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.77")
	if _, err := f.verifyFrom(t, home, "", "alice", "secret"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "AL", `EXAMPLE\alice`} { // one mailbox, whatever it is called
		if _, err := f.verifyFrom(t, elsewhere, "", name, "wrong"); err == nil {
			t.Fatal("a wrong password opens a mailbox")
		}
	}
	if _, err := f.verifyFrom(t, elsewhere, "", "alice", "secret"); !errors.Is(err, errLockedOut) {
		t.Errorf("after too many failures: %v", err)
	}
	if _, err := f.verifyFrom(t, home, "", "alice", "secret"); err != nil {
		t.Errorf("at the usual place: %v", err)
	}
	if _, err := f.verifyFrom(t, elsewhere, "", "bob", "secret"); err != nil {
		t.Errorf("another user: %v", err)
	}
}

func TestLockoutByAddress(t *testing.T) {
	f := newFixture(office())
	f.lockout.PerAddress = 3
	for _, from := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"} { // one network
		if _, err := f.verifyFrom(t, netip.MustParseAddr(from), "", "unknown"+from, "wrong"); err == nil {
			t.Fatal("an unknown user has a mailbox")
		}
	}
	if _, err := f.verifyFrom(t, netip.MustParseAddr("2001:db8::4"), "", "alice", "secret"); !errors.Is(err, errLockedOut) {
		t.Errorf("after too many failures: %v", err)
	}
	if _, err := f.verifyFrom(t, netip.MustParseAddr("2001:db8:0:1::1"), "", "alice", "secret"); err != nil {
		t.Errorf("from another network: %v", err)
	}
}

// A name that does not exist locks out like one that does: being locked out tells nothing.
func TestLockoutOfNobody(t *testing.T) {
	f := newFixture(office())
	f.lockout.PerMailbox = 2
	for _, name := range []string{"alice", "nobody", "no/valid/na/me"} {
		var last error
		for range 3 {
			_, last = f.verify(t, name, "wrong")
		}
		if !errors.Is(last, errLockedOut) || last.Error() != errLockedOut.Error() {
			t.Errorf("%s: %v", name, last)
		}
	}
}

// What could not be checked is nobody's fault.
func TestNoLockoutByWhatCouldNotBeChecked(t *testing.T) {
	for _, err := range []error{ErrBusy, ErrUnavailable, fmt.Errorf("%w: the issuer is down", ErrUnavailable)} {
		f := newFixture(office())
		f.lockout.PerMailbox, f.lockout.PerAddress = 2, 2
		for range 5 {
			l := f.Begin(t.Context(), remote)
			l.Claim("alice", "")
			if steps := l.Failed(err); steps != 0 {
				t.Errorf("%v: delayed by %d steps", err, steps)
			}
		}
		if _, failed := f.verify(t, "alice", "secret"); failed != nil {
			t.Errorf("%v, five times, and then the right password: %v", err, failed)
		}
	}
}

func TestPrincipals(t *testing.T) {
	all := office()
	bob := all["bob@example.com"]
	bob.Credentials = []directory.Credential{
		{Name: "k", Principal: directory.Principal{Kind: directory.Kerberos, Name: "robert@ELSEWHERE.EXAMPLE"}},
		{Name: "o", Principal: directory.Principal{Kind: directory.OAuth, Issuer: "https://id", Name: "42"}},
	}
	all["bob@example.com"] = bob
	off := all["off@example.com"]
	off.Credentials = []directory.Credential{
		{Name: "k", Principal: directory.Principal{Kind: directory.Kerberos, Name: "away@ELSEWHERE.EXAMPLE"}},
		{Name: "b", Principal: directory.Principal{Kind: directory.Kerberos, Name: "boss@R.EXAMPLE.COM"}},
		{Name: "o", Principal: directory.Principal{Kind: directory.OAuth, Issuer: "https://id", Name: "43"}},
	}
	all["off@example.com"] = off
	f := newFixture(all)
	for name, test := range map[string]struct {
		do      func(*Login) error
		mailbox string
	}{
		"named":                       {func(l *Login) error { return l.Kerberos("robert", "ELSEWHERE.EXAMPLE", "") }, "bob"},
		"by its realm":                {func(l *Login) error { return l.Kerberos("alice", "R.EXAMPLE.COM", "") }, "alice"},
		"by an alias":                 {func(l *Login) error { return l.Kerberos("al", "R.EXAMPLE.COM", "boss") }, "boss"},
		"of another realm":            {func(l *Login) error { return l.Kerberos("alice", "ELSEWHERE.EXAMPLE", "") }, ""},
		"of a realm in other letters": {func(l *Login) error { return l.Kerberos("alice", "r.example.com", "") }, ""},
		"a service":                   {func(l *Login) error { return l.Kerberos("host/alice", "R.EXAMPLE.COM", "") }, ""},
		"an enterprise name":          {func(l *Login) error { return l.Kerberos("alice@example.com", "R.EXAMPLE.COM", "") }, ""},
		"no delegate":                 {func(l *Login) error { return l.Kerberos("robert", "ELSEWHERE.EXAMPLE", "boss") }, ""},
		"disabled":                    {func(l *Login) error { return l.Kerberos("off", "R.EXAMPLE.COM", "") }, ""},
		"named, disabled":             {func(l *Login) error { return l.Kerberos("away", "ELSEWHERE.EXAMPLE", "") }, ""},
		"a disabled delegate":         {func(l *Login) error { return l.Kerberos("away", "ELSEWHERE.EXAMPLE", "boss") }, ""},
		"disabled, by another's name": {func(l *Login) error { return l.Kerberos("boss", "R.EXAMPLE.COM", "") }, ""},
		"a disabled one's token":      {func(l *Login) error { return l.OAuth("https://id", "43", nil, "") }, ""},
		"a disabled delegate's token": {func(l *Login) error { return l.OAuth("https://id", "43", nil, "boss") }, ""},
		"a token's subject":           {func(l *Login) error { return l.OAuth("https://id", "42", nil, "bob@example.com") }, "bob"},
		"of another issuer":           {func(l *Login) error { return l.OAuth("https://evil", "42", nil, "") }, ""},
		"a token's address": {func(l *Login) error {
			return l.OAuth("https://id", "alice@example.com", []string{"example.com"}, "")
		}, "alice"},
		"an address that the issuer does not vouch for": {func(l *Login) error {
			return l.OAuth("https://id", "alice@example.com", []string{"example.org"}, "")
		}, ""},
		"a certificate":                 {func(l *Login) error { return l.Certificate("alice@example.com", "") }, "alice"},
		"a certificate of nobody":       {func(l *Login) error { return l.Certificate("x@example.com", "") }, ""},
		"a principal of another kind's": {func(l *Login) error { return l.Certificate("robert@ELSEWHERE.EXAMPLE", "") }, ""},
	} {
		l := f.Begin(t.Context(), remote)
		err := test.do(l)
		if got := l.Mailbox().ID; got != test.mailbox || (test.mailbox == "") != errors.Is(err, ErrRejected) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, test.mailbox)
		}
	}
}

// The log says why, for the operator; whoever logs in is told one thing.
func TestReasonsAreLogged(t *testing.T) {
	f := newFixture(office())
	for name, reason := range map[string]string{
		"bob@example.com/boss": "no delegate", "nobody": "unknown user name", "alice": "unknown user name or bad password",
	} {
		password := "secret"
		if name == "alice" {
			password = "wrong"
		}
		_, _ = f.verify(t, name, password)
		if !strings.Contains(f.log.String(), reason) {
			t.Errorf("%s: the log lacks %q:\n%s", name, reason, f.log.String())
		}
	}
}
