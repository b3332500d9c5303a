package verifier

import (
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
)

// Bounds of the salt; Dovecot's has 4 octets, OpenLDAP's 8.
const (
	minSSHA512Salt = 4
	maxSSHA512Salt = 64
)

var paddedEncoding = base64.StdEncoding.Strict()

// ssha512 is a verifier of LDAP's salted SHA-512: the hash of password and salt. It costs next to nothing to check, and so to
// guess.
type ssha512 struct {
	hash [sha512.Size]byte
	salt []byte
}

func deriveSSHA512(password []byte) ssha512 {
	s := ssha512{salt: random(saltOctets)}
	s.hash = s.derive(password)
	return s
}

func (s ssha512) derive(password []byte) (hash [sha512.Size]byte) {
	h := sha512.New()
	h.Write(password)
	h.Write(s.salt)
	h.Sum(hash[:0])
	return hash
}

func (s ssha512) matches(password []byte) bool {
	hash := s.derive(password)
	return subtle.ConstantTimeCompare(hash[:], s.hash[:]) == 1
}

func (s ssha512) String() string {
	return "{" + string(SSHA512) + "}" + paddedEncoding.EncodeToString(append(s.hash[:], s.salt...))
}

func parseSSHA512(text string) (form, error) {
	decoded, err := decode(paddedEncoding, text, sha512.Size, sha512.Size+maxSSHA512Salt)
	switch {
	case err != nil:
		return nil, err
	case len(decoded) == sha512.Size:
		return nil, ErrUnsalted
	case len(decoded) < sha512.Size+minSSHA512Salt:
		return nil, ErrFormat
	}
	return ssha512{hash: [sha512.Size]byte(decoded), salt: decoded[sha512.Size:]}, nil
}
