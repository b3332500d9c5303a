package authn

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
	"github.com/popservice/popservice/pop3server/sasl"
)

// withSCRAM is an office where alice can log in with SCRAM.
func withSCRAM() map[string]directory.Record {
	all := office()
	alice := all["alice@example.com"]
	alice.Credentials = []directory.Credential{{Name: "phone", SCRAM: verifier.DeriveSCRAM([]byte("secret"))}}
	all["alice@example.com"], all["al@example.com"] = alice, alice
	return all
}

// Whoever sees another salt after too many failures knows that there is such a user: one who does not exist keeps the salt.
func TestLockoutKeepsTheSalt(t *testing.T) {
	f := newFixture(withSCRAM())
	f.lockout.PerMailbox = 3
	before := f.Begin(t.Context(), remote).Claim("alice", "").SCRAM()
	for range 3 {
		f.Begin(t.Context(), remote).fail("alice")
	}
	l := f.Begin(t.Context(), remote)
	proof := l.Claim("alice", "")
	after := proof.SCRAM()
	if len(before) != 1 || len(after) != 1 || !before[0].SameSalt(after[0]) {
		t.Errorf("%v before, %v after", before, after)
	}
	if err := proof.Open(0, ""); !errors.Is(err, errLockedOut) {
		t.Errorf("locked out, and right: %v", err)
	}
	l = f.Begin(t.Context(), remote)
	l.Claim("alice", "")
	if steps := l.Failed(sasl.ErrFailed); steps != 0 {
		t.Errorf("locked out, and wrong, is delayed by %d steps, as if it had been looked at", steps)
	}
}

// fail is a login with a wrong proof.
func (l *Login) fail(name string) {
	l.Claim(name, "")
	l.Failed(sasl.ErrFailed)
}

// All names of one user are one, be there such a user or not: what is made up for one who does not exist is the same for all.
func TestCanonical(t *testing.T) {
	f := newFixture(office())
	for want, names := range map[string][]string{
		"nobody@example.com": {"nobody", "NoBody@Example.com", `EXAMPLE\nobody`, "example.com/nobody", `R.EXAMPLE.COM\nobody`,
			"nobody@example.com/boss", `EXAMPLE\nobody\boss`},
		"alice@example.com": {"alice", "alice@example.com", `EXAMPLE\alice`},
		"no/valid/na/me":    {"no/Valid/na/me"},
	} {
		for _, name := range names {
			if got := f.Begin(t.Context(), remote).Canonical(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
}

// Who begins many logins at once, and ends them when all have begun, has no more guesses than others.
func TestLockoutOfLoginsThatHaveBegun(t *testing.T) {
	f := newFixture(withSCRAM())
	f.lockout.PerMailbox = 3
	var logins []*Login
	var proofs []*Proof
	for range 10 {
		l := f.Begin(t.Context(), remote)
		logins = append(logins, l)
		proofs = append(proofs, l.Claim("alice", ""))
	}
	for i, proof := range slices.Backward(proofs) {
		if proof.SCRAM() == nil {
			t.Fatal("no verifier")
		}
		if i > 0 {
			logins[i].Failed(sasl.ErrFailed)
		}
	}
	if err := proofs[0].Open(0, ""); !errors.Is(err, errLockedOut) {
		t.Errorf("the last guess is right: %v", err)
	}
	elsewhere := f.Begin(t.Context(), netip.MustParseAddr("198.51.100.1"))
	if err := elsewhere.Kerberos("bob", "R.EXAMPLE.COM", ""); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// The sign of the unit kelvin is "k" in lower case, but may be another user to whoever vouches for it.
func TestVouchedNamesThatAreAlikeInLowerCase(t *testing.T) {
	f := newFixture(map[string]directory.Record{
		"kim@example.com": {ID: "kim", Address: "kim@example.com", State: directory.Enabled},
	})
	for name, good := range map[string]bool{"kim": true, "KIM": true, "\u212aim": false} {
		for kind, err := range map[string]error{
			"OAuth": f.Begin(t.Context(), remote).OAuth("https://id", name+"@example.com", []string{"example.com"}, ""),
			"realm": f.Begin(t.Context(), remote).Kerberos(name, "R.EXAMPLE.COM", ""),
		} {
			if (err == nil) != good {
				t.Errorf("%s of %q: %v", kind, name, err)
			}
		}
	}
}

// A client is told one salt, so that verifiers with others are passed over; the names stay those of the verifiers.
func TestSCRAMOfSeveralSalts(t *testing.T) {
	all := withSCRAM()
	alice := all["alice@example.com"]
	first := alice.Credentials[0].SCRAM
	alice.Credentials = append(alice.Credentials, directory.Credential{Name: "tablet", SCRAM: verifier.DeriveSCRAM([]byte("two"))})
	all["alice@example.com"] = alice
	f := newFixture(all)
	proof := f.Begin(t.Context(), remote).Claim("alice", "")
	if got := proof.SCRAM(); len(got) != 1 || !errors.Is(proof.Open(1, ""), ErrRejected) {
		t.Errorf("two salts give %d verifiers, or more can be opened", len(got))
	}
	alice.Credentials = append(alice.Credentials,
		directory.Credential{Name: "laptop", SCRAM: verifier.DeriveSCRAMBeside(first, []byte("three"))})
	all["alice@example.com"] = alice
	for matched, want := range []string{"phone", "laptop"} {
		l := f.Begin(t.Context(), remote)
		proof := l.Claim("alice", "")
		got := proof.SCRAM()
		if err := proof.Open(matched, ""); len(got) != 2 || err != nil || l.credential != want {
			t.Errorf("%d of %d opens %q, %v; want %q of 2", matched, len(got), l.credential, err, want)
		}
	}
}

// Whoever is disabled looks as before, but nothing opens.
func TestDisabledKeepsTheSalt(t *testing.T) {
	all := withSCRAM()
	alice := all["alice@example.com"]
	alice.Credentials[0].Verifier = verifier.Derive([]byte("secret"))
	f := newFixture(all)
	before := f.Begin(t.Context(), remote).Claim("alice", "").SCRAM()
	if _, err := f.verifyFrom(t, remote, "boss", "alice", "secret"); err != nil {
		t.Fatal(err)
	}
	alice.State = directory.Disabled
	all["alice@example.com"], all["al@example.com"] = alice, alice
	for _, authzid := range []string{"", "boss"} {
		l := f.Begin(t.Context(), remote)
		proof := l.Claim("alice", "")
		after := proof.SCRAM()
		if len(before) != 1 || len(after) != 1 || !before[0].SameSalt(after[0]) {
			t.Errorf("%v before, %v after", before, after)
		}
		if err := proof.Open(0, authzid); !errors.Is(err, ErrRejected) || l.Mailbox().ID != "" {
			t.Errorf("a right proof for %q: %v opens %q", authzid, err, l.Mailbox().ID)
		}
		if got, err := f.verifyFrom(t, remote, authzid, "alice", "secret"); !errors.Is(err, ErrRejected) || got.ID != "" {
			t.Errorf("the right password for %q: %v opens %q", authzid, err, got.ID)
		}
	}
}
