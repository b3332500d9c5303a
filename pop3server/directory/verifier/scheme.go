package verifier

import (
	"bytes"
	"errors"
)

// errPassword says that a scheme cannot take a password.
var errPassword = errors.New("the password is too long for this scheme, or has a NUL in it")

// Scheme is a kind of verifier, by the name that stands in front of it.
type Scheme string

// The schemes that DeriveAs makes.
const (
	Argon2id    Scheme = "ARGON2ID"
	SCRAMSHA256 Scheme = "SCRAM-SHA-256"
	SSHA512     Scheme = "SSHA512"
	NT          Scheme = "NT"
	SHA512Crypt Scheme = "SHA512-CRYPT"
	Bcrypt      Scheme = "BLF-CRYPT"
)

// Schemes gives what DeriveAs knows, the best for passwords first.
func Schemes() []Scheme { return []Scheme{Argon2id, SCRAMSHA256, SSHA512, NT, SHA512Crypt, Bcrypt} }

// DeriveAs makes a verifier of a password, with a new random salt where the scheme has one. It fails for a scheme that it does
// not know, and where the scheme cannot take this password.
func DeriveAs(scheme Scheme, password []byte) (string, error) {
	switch scheme {
	case Argon2id:
		return Derive(password), nil
	case SCRAMSHA256:
		return deriveSCRAMOf(password)
	case SSHA512:
		return deriveSSHA512(password).String(), nil
	case NT:
		return textOf(deriveNT(password))
	case SHA512Crypt:
		return textOf(deriveSHA512Crypt(password))
	case Bcrypt:
		return textOf(deriveBcrypt(password))
	}
	return "", errors.New("no such scheme of verifiers")
}

func deriveSCRAMOf(password []byte) (string, error) {
	if bytes.IndexByte(password, 0) >= 0 {
		return "", errPassword
	}
	return DeriveSCRAM(password), nil
}

func textOf(f form, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return f.String(), nil
}
