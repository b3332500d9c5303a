package verifier

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

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
	maxWork       = 4 * maxMemoryKiB // memory times passes: a second or two of a core
	maxLanes      = 16
	maxHashOctets = 64
	maxSaltOctets = 64
)

var phcEncoding = base64.RawStdEncoding.Strict()

// argon2id is a verifier in the PHC string format (RFC 9106 has the function).
type argon2id struct {
	memoryKiB uint32
	passes    uint32
	lanes     uint8
	salt      []byte
	hash      []byte
}

// Derive makes a verifier of a password, with a new random salt, by the scheme ARGON2ID.
func Derive(password []byte) string {
	v := argon2id{memoryKiB: newMemoryKiB, passes: newPasses, lanes: newLanes, salt: random(saltOctets)}
	v.hash = v.derive(password, hashOctets)
	return v.String()
}

// Unmatched gives a verifier that costs as much to check as one that Derive makes, and that no password is known to match.
func Unmatched() Verifier {
	return Verifier{argon2id{memoryKiB: newMemoryKiB, passes: newPasses, lanes: newLanes,
		salt: random(saltOctets), hash: random(hashOctets)}}
}

// random gives so many random octets.
func random(octets int) []byte {
	b := make([]byte, octets)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

func (v argon2id) matches(password []byte) bool {
	octets := uint32(len(v.hash)) //nolint:gosec // at most maxHashOctets
	return subtle.ConstantTimeCompare(v.derive(password, octets), v.hash) == 1
}

func (v argon2id) String() string {
	return fmt.Sprintf("{%s}$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", Argon2id, argon2.Version,
		v.memoryKiB, v.passes, v.lanes, phcEncoding.EncodeToString(v.salt), phcEncoding.EncodeToString(v.hash))
}

func (v argon2id) derive(password []byte, octets uint32) []byte {
	return argon2.IDKey(password, v.salt, v.passes, v.memoryKiB, v.lanes, octets)
}

func parseArgon2id(text string) (form, error) {
	fields := strings.Split(text, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, ErrFormat
	}
	var v argon2id
	if err := v.parseCost(fields[3]); err != nil {
		return nil, err
	}
	if err := v.parseHash(fields[4], fields[5]); err != nil {
		return nil, err
	}
	return v, nil
}

// parseCost reads m=…,t=…,p=….
func (v *argon2id) parseCost(text string) error {
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return ErrFormat
	}
	var n [3]uint64
	for i, name := range [...]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(fields[i], name)
		var err error
		if n[i], err = number(digits); err != nil || !ok || n[i] == 0 {
			return ErrFormat
		}
	}
	if n[0] > maxMemoryKiB || n[1] > maxPasses || n[2] > maxLanes || n[0]*n[1] > maxWork {
		return tooMuch("m=%d,t=%d,p=%d, and m times t at most %d", maxMemoryKiB, maxPasses, maxLanes, maxWork)
	}
	v.memoryKiB, v.passes, v.lanes = uint32(n[0]), uint32(n[1]), uint8(n[2]) //nolint:gosec // within these bounds
	return nil
}

func (v *argon2id) parseHash(salt, hash string) (err error) {
	if v.salt, err = decode(phcEncoding, salt, 8, maxSaltOctets); err != nil {
		return err
	}
	v.hash, err = decode(phcEncoding, hash, 16, maxHashOctets)
	return err
}
