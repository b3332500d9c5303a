// Package verifier makes and checks password verifiers: what a server needs to check a password, and from which nobody can
// read the password back.
//
// A verifier is text in the PHC string format with its scheme in front:
//
//	{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
package verifier

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

const scheme = "{ARGON2ID}"

// The cost of a new verifier: 19 MiB and two passes, the least that OWASP's Password Storage Cheat Sheet recommends for
// argon2id. About 30 ms of one core.
const (
	newMemoryKiB = 19 * 1024
	newPasses    = 2
	newLanes     = 1
	saltOctets   = 16
	hashOctets   = 32
)

// Bounds of a verifier that somebody else made: one check may cost no more than this.
const (
	maxMemoryKiB  = 256 * 1024
	maxPasses     = 16
	maxLanes      = 16
	maxHashOctets = 64
	maxSaltOctets = 64
)

var encoding = base64.RawStdEncoding.Strict()

// ErrFormat says that a text is no verifier. It never quotes the text.
var ErrFormat = errors.New("not a verifier of the form {ARGON2ID}$argon2id$v=19$m=…,t=…,p=…$salt$hash")

// Verifier is a parsed verifier.
type Verifier struct {
	memoryKiB uint32
	passes    uint32
	lanes     uint8
	salt      []byte
	hash      []byte
}

// Derive makes a verifier of a password, with a new random salt.
func Derive(password []byte) string {
	v := Verifier{memoryKiB: newMemoryKiB, passes: newPasses, lanes: newLanes, salt: make([]byte, saltOctets)}
	_, _ = rand.Read(v.salt) // never fails (crypto/rand)
	v.hash = v.derive(password, hashOctets)
	return v.String()
}

// Unmatched gives a verifier that costs as much to check as one that Derive makes, and that no password is known to match.
func Unmatched() Verifier {
	v := Verifier{memoryKiB: newMemoryKiB, passes: newPasses, lanes: newLanes, salt: make([]byte, saltOctets),
		hash: make([]byte, hashOctets)}
	_, _ = rand.Read(v.salt) // never fails (crypto/rand)
	_, _ = rand.Read(v.hash)
	return v
}

// Matches tells, in constant time, whether the password is the one that the verifier was made of.
func (v Verifier) Matches(password []byte) bool {
	octets := uint32(len(v.hash)) //nolint:gosec // at most maxHashOctets
	return subtle.ConstantTimeCompare(v.derive(password, octets), v.hash) == 1
}

// String gives the text that Parse reads.
func (v Verifier) String() string {
	return fmt.Sprintf("%s$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", scheme, argon2.Version,
		v.memoryKiB, v.passes, v.lanes, encoding.EncodeToString(v.salt), encoding.EncodeToString(v.hash))
}

func (v Verifier) derive(password []byte, octets uint32) []byte {
	return argon2.IDKey(password, v.salt, v.passes, v.memoryKiB, v.lanes, octets)
}

// Parse reads a verifier. The scheme in front may be left out. It refuses one that would cost too much to check.
func Parse(text string) (Verifier, error) {
	fields := strings.Split(strings.TrimPrefix(text, scheme), "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return Verifier{}, ErrFormat
	}
	var v Verifier
	if err := v.parseCost(fields[3]); err != nil {
		return Verifier{}, err
	}
	return v, v.parseHash(fields[4], fields[5])
}

func (v *Verifier) parseCost(text string) error {
	n, err := fmt.Sscanf(text, "m=%d,t=%d,p=%d", &v.memoryKiB, &v.passes, &v.lanes)
	if err != nil || n != 3 || text != fmt.Sprintf("m=%d,t=%d,p=%d", v.memoryKiB, v.passes, v.lanes) {
		return ErrFormat
	}
	if v.memoryKiB > maxMemoryKiB || v.passes > maxPasses || v.lanes > maxLanes {
		return fmt.Errorf("verifier costs too much: at most m=%d,t=%d,p=%d", maxMemoryKiB, maxPasses, maxLanes)
	}
	if v.memoryKiB == 0 || v.passes == 0 || v.lanes == 0 {
		return ErrFormat
	}
	return nil
}

func (v *Verifier) parseHash(salt, hash string) (err error) {
	if v.salt, err = encoding.DecodeString(salt); err != nil || len(v.salt) < 8 || len(v.salt) > maxSaltOctets {
		return ErrFormat
	}
	if v.hash, err = encoding.DecodeString(hash); err != nil || len(v.hash) < 16 || len(v.hash) > maxHashOctets {
		return ErrFormat
	}
	return nil
}
