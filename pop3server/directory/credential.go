package directory

import (
	"errors"

	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// check says why nobody could log in with a credential.
func (c Credential) check() error {
	if c.Principal != (Principal{}) {
		return c.Principal.check()
	}
	if c.Verifier == "" && c.SCRAM == "" && c.NT == "" {
		return errors.New("it has neither a verifier nor a principal")
	}
	for _, text := range []string{c.Verifier, c.SCRAM, c.NT} {
		if text == "" {
			continue
		}
		if _, err := verifier.Parse(text); err != nil {
			return err
		}
	}
	return nil
}

func (p Principal) check() error {
	switch {
	case p.Name == "":
		return errors.New("its principal has no name")
	case (p.Kind == OAuth) != (p.Issuer != ""):
		return errors.New("its principal must have an issuer if it is of kind OAuth, and must have none otherwise")
	case p.Kind != Kerberos && p.Kind != OAuth && p.Kind != Certificate:
		return errors.New("its principal must be of kind Kerberos, OAuth or Certificate")
	}
	return nil
}

// SCRAMVerifier gives what SCRAM-SHA-256 proves the password by, if there is such a thing.
func (c Credential) SCRAMVerifier() (verifier.SCRAM, bool) {
	v, err := verifier.Parse(c.SCRAM)
	if err != nil {
		return verifier.SCRAM{}, false
	}
	return v.SCRAM()
}

// NTHash gives what NTLM proves the password by, if there is such a thing.
func (c Credential) NTHash() ([16]byte, bool) {
	v, err := verifier.Parse(c.NT)
	if err != nil {
		return [16]byte{}, false
	}
	return v.NTHash()
}
