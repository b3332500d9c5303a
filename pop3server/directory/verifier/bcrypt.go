package verifier

import (
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Bounds of bcrypt.
const (
	newBcryptCost        = 10 // the least that OWASP's Password Storage Cheat Sheet recommends; some 50 ms of one core
	maxBcryptCost        = 14 // 16 times as much
	maxBcryptPassword    = 72 // it does not look at what follows
	bcryptOctets         = 60 // of the text
	bcryptSettingsOctets = len("$2b$10$")
	bcryptSaltCharacters = 22
	bcryptHashOctets     = 23
)

// bcryptEncoding is bcrypt's base64. Salts with stray bits are about, and mean the same as those without.
var bcryptEncoding = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").
	WithPadding(base64.NoPadding).Strict()

// blowfish is a verifier of bcrypt: its text in the form of crypt(3), without scheme.
type blowfish string

// deriveBcrypt fails for passwords of more than 72 octets, or with a NUL.
func deriveBcrypt(password []byte) (form, error) {
	if !cryptable(password, maxBcryptPassword) {
		return nil, errPassword
	}
	text, err := bcrypt.GenerateFromPassword(password, newBcryptCost)
	if err != nil {
		return nil, err
	}
	return blowfish(text), nil
}

// matches fails for a password of more than 72 octets, though one whose first 72 octets are right has the same hash.
func (b blowfish) matches(password []byte) bool {
	return cryptable(password, maxBcryptPassword) && bcrypt.CompareHashAndPassword([]byte(b), password) == nil
}

func (b blowfish) String() string { return "{" + string(Bcrypt) + "}" + string(b) }

// parseBcrypt reads $2a$, $2b$ and $2y$, which are the same for all passwords that are taken here. $2x$ is not: it marks the
// hashes of a version that was wrong.
func parseBcrypt(text string) (form, error) {
	if len(text) != bcryptOctets || !hasAnyPrefix(text, "$2a$", "$2b$", "$2y$") || text[bcryptSettingsOctets-1] != '$' {
		return nil, ErrFormat
	}
	if err := checkBcryptCost(text[4:6]); err != nil {
		return nil, err
	}
	salt, hash := text[bcryptSettingsOctets:][:bcryptSaltCharacters], text[bcryptSettingsOctets+bcryptSaltCharacters:]
	if !inCryptAlphabet(salt) {
		return nil, ErrFormat
	}
	if _, err := decode(bcryptEncoding, hash, bcryptHashOctets, bcryptHashOctets); err != nil {
		return nil, err
	}
	return blowfish(text), nil
}

// checkBcryptCost takes the two digits of a cost.
func checkBcryptCost(digits string) error {
	cost, err := strconv.ParseUint(digits, 10, 8)
	switch {
	case err != nil, cost < uint64(bcrypt.MinCost):
		return ErrFormat
	case cost > maxBcryptCost:
		return tooMuch("a cost of %d", maxBcryptCost)
	}
	return nil
}

func hasAnyPrefix(text string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return false
}
