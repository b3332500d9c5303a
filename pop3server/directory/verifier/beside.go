package verifier

import (
	"bytes"
	"crypto/subtle"
)

// A mailbox may have several passwords. To check one against verifiers that have nothing in common takes a hash for
// each, which is slow and tells how many there are. Those that are made beside each other have one salt, and take one
// hash together.

// DeriveBeside makes a verifier as Derive does, with the salt of another one that Derive has made; with a new one if
// it has not.
func DeriveBeside(other string, password []byte) string {
	parsed, err := Parse(other)
	beside, ok := parsed.form.(argon2id)
	if err != nil || !ok || len(beside.salt) != saltOctets ||
		beside.memoryKiB != newMemoryKiB || beside.passes != newPasses || beside.lanes != newLanes {
		return Derive(password)
	}
	beside.hash = beside.derive(password, hashOctets)
	return beside.String()
}

// DeriveSCRAMBeside makes a verifier as DeriveSCRAM does, with the salt of another one that DeriveSCRAM has made; with
// a new one if it has not.
func DeriveSCRAMBeside(other string, password []byte) string {
	parsed, err := Parse(other)
	beside, ok := parsed.form.(scram)
	if err != nil || !ok || len(beside.salt) != saltOctets || beside.iterations != SCRAMIterations {
		return DeriveSCRAM(password)
	}
	beside.storedKey, beside.serverKey = beside.derive(password)
	return beside.String()
}

// Match gives the index of a verifier that the password matches, -1 if there is none. Verifiers of ARGON2ID with one
// salt and one cost take one hash together.
func Match(verifiers []Verifier, password []byte) int {
	matched := -1
	var last argon2id // whose hash is that of the password
	for i, v := range verifiers {
		a, ok := v.form.(argon2id)
		if !ok {
			if v.Matches(password) {
				matched = i
			}
			continue
		}
		if !a.sameHash(last) {
			last = a
			last.hash = a.derive(password, uint32(len(a.hash))) //nolint:gosec // at most maxHashOctets
		}
		if subtle.ConstantTimeCompare(last.hash, a.hash) == 1 {
			matched = i
		}
	}
	return matched
}

// sameHash tells whether a password has the same hash with both.
func (v argon2id) sameHash(other argon2id) bool {
	return v.memoryKiB == other.memoryKiB && v.passes == other.passes && v.lanes == other.lanes &&
		len(v.hash) == len(other.hash) && bytes.Equal(v.salt, other.salt)
}
