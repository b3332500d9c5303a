package verifier

import (
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// Bounds of SHA-512 crypt. Its cost is the number of rounds times the password's length, in steps of 64 octets or so.
const (
	newSHA512CryptRounds     = 100_000 // some 50 ms of one core
	defaultSHA512CryptRounds = 5000
	minSHA512CryptRounds     = 1000 // no crypt(3) makes fewer
	maxSHA512CryptRounds     = 1_000_000
	maxSHA512CryptPassword   = 512 // as in libxcrypt
	minSHA512CryptSalt       = 4
	maxSHA512CryptSalt       = 16
	sha512CryptCharacters    = 86 // of the hash
)

// sha512Crypt is a verifier of crypt(3)'s SHA-512 (Drepper, Unix crypt using SHA-256 and SHA-512).
type sha512Crypt struct {
	digest *shacrypt.Digest
	rounds uint64
}

// deriveSHA512Crypt fails for passwords of more than 512 octets, or with a NUL.
func deriveSHA512Crypt(password []byte) (form, error) {
	if !cryptable(password, maxSHA512CryptPassword) {
		return nil, errPassword
	}
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(newSHA512CryptRounds))
	if err != nil {
		return nil, err
	}
	digest, err := hasher.Hash(string(password))
	if err != nil {
		return nil, err
	}
	return parseSHA512Crypt(digest.Encode())
}

func (s sha512Crypt) matches(password []byte) bool {
	return cryptable(password, maxSHA512CryptPassword) && s.digest.MatchBytes(password)
}

func (s sha512Crypt) String() string { return "{" + string(SHA512Crypt) + "}" + s.digest.Encode() }

// parseSHA512Crypt reads $6$[rounds=N$]salt$hash.
func parseSHA512Crypt(text string) (form, error) {
	rest, ok := strings.CutPrefix(text, "$6$")
	n := uint64(defaultSHA512CryptRounds)
	first, others, _ := strings.Cut(rest, "$")
	if rounds, counted := strings.CutPrefix(first, "rounds="); counted {
		var err error
		if n, err = parseRounds(rounds); err != nil {
			return nil, err
		}
		rest = others
	}
	salt, hash, _ := strings.Cut(rest, "$")
	if !ok || !isSHA512CryptSalt(salt) || !isSHA512CryptHash(hash) {
		return nil, ErrFormat
	}
	digest, err := shacrypt.DecodeVariant(shacrypt.VariantSHA512)(text)
	if err != nil { // which may quote it
		return nil, ErrFormat
	}
	return sha512Crypt{digest.(*shacrypt.Digest), n}, nil
}

// parseRounds takes a number as crypt(3) writes it.
func parseRounds(text string) (uint64, error) {
	rounds, err := number(text)
	switch {
	case err != nil, rounds < minSHA512CryptRounds:
		return 0, ErrFormat
	case rounds > maxSHA512CryptRounds:
		return 0, tooMuch("%d rounds", maxSHA512CryptRounds)
	}
	return rounds, nil
}

func isSHA512CryptSalt(text string) bool {
	return len(text) >= minSHA512CryptSalt && len(text) <= maxSHA512CryptSalt && inCryptAlphabet(text)
}

// isSHA512CryptHash tells whether the text can be a hash: its last character stands for two bits.
func isSHA512CryptHash(text string) bool {
	return len(text) == sha512CryptCharacters && inCryptAlphabet(text) &&
		strings.IndexByte(cryptAlphabet, text[sha512CryptCharacters-1]) < 4
}
