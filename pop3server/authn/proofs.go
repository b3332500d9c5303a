package authn

import (
	"crypto/rand"
	"strings"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// Password is a login by user name and password. authzid is the mailbox that the client wants, empty where it names none or
// where the mechanism has no such thing. The error is ErrRejected, or ErrBusy where the password could not be checked in time.
// It does not retain the password.
func (l *Login) Password(authzid, name string, password []byte) error {
	u, err := l.claim(name, authzid)
	if err != nil {
		return err
	}
	credential, err := l.server.check(l.ctx, u.ID, u.Credentials, password)
	if err != nil {
		return err
	}
	return l.open(u, credential.Name)
}

// candidates is how many credentials are looked at for a proof at least: as many as a Mailbox of the operator may have.
const candidates = 16

// newDecoy makes a credential that nobody has.
func newDecoy() directory.Credential {
	password := []byte(rand.Text())
	nt, _ := verifier.DeriveAs(verifier.NT, password) // it takes any text
	return directory.Credential{SCRAM: verifier.DeriveSCRAM(password), NT: nt}
}

// Proof is a login by a mechanism in which a client proves that it knows a password without telling it.
type Proof struct {
	login *Login
	user  user
	err   error
	names []string // of the credentials, in the order in which they were given out
}

// Canonical gives the one spelling that stands for all names of a user who does not exist, as an address does for those of one
// who does. Wherever a mechanism makes something up for such a user, it is to be the same for all of them.
func (l *Login) Canonical(text string) string {
	if name, ok := ParseName(text); ok {
		text = l.server.addressOf(name)
	}
	return strings.ToLower(text)
}

// Claim begins such a login: who the client says to be. domain is empty where the mechanism has none.
func (l *Login) Claim(name, domain string) *Proof {
	var u user
	var err error
	if domain != "" {
		l.name = domain + `\` + name
		u, err = l.claimName(Name{User: name, Domain: domain})
	} else {
		u, err = l.claim(name, "")
	}
	return &Proof{login: l, user: u, err: err}
}

// NTHashes gives the NT hashes of the user's passwords; none where there is no such user.
func (p *Proof) NTHashes() (hashes [][16]byte) {
	hashes = make([][16]byte, 0, candidates)
	p.each(func(c directory.Credential, real bool) bool {
		hash, ok := c.NTHash()
		if ok = ok && real; ok {
			hashes = append(hashes, hash)
		}
		return ok
	})
	return hashes
}

// SCRAM gives the user's SCRAM verifiers with one salt and one cost; none where there is no such user.
func (p *Proof) SCRAM() (verifiers []verifier.SCRAM) {
	verifiers = make([]verifier.SCRAM, 0, candidates)
	p.each(func(c directory.Credential, real bool) bool {
		v, ok := c.SCRAMVerifier()
		if ok = ok && real && (len(verifiers) == 0 || v.SameSalt(verifiers[0])); ok {
			verifiers = append(verifiers, v)
		}
		return ok
	})
	return verifiers
}

// each goes through the credentials that may be used, and notes the names of those that were. It does so for a user
// who is locked out as well, whose salt would change otherwise, as no salt does of a user who does not exist. Open
// refuses that one. Where there are few, it goes through some that are none, so that the time that it takes does not
// tell how many there are.
func (p *Proof) each(use func(c directory.Credential, real bool) bool) {
	p.names = make([]string, 0, candidates)
	for _, c := range p.user.Credentials {
		if use(c, true) {
			p.names = append(p.names, c.Name)
		}
	}
	for range candidates - len(p.user.Credentials) {
		use(p.login.server.decoy, false)
	}
}

// Open ends the login of a client that has proven to know the password of the credential with that index. authzid is
// the mailbox that it wants; empty is its own.
func (p *Proof) Open(matched int, authzid string) error {
	switch {
	case p.err != nil:
		return p.err
	case matched < 0 || matched >= len(p.names) || authzid != "" && p.user.mailbox != "":
		return errName
	case authzid != "":
		p.user.mailbox = authzid
	}
	return p.login.open(p.user, p.names[matched])
}
