package verifier

import (
	"bytes"
	"crypto/sha256"
)

// Methods are ways to log in that a verifier can serve, as a set of bits.
type Methods uint8

// The ways to log in.
const (
	MethodPassword Methods = 1 << iota // the client sends the password: USER and PASS, PLAIN
	MethodSCRAM                        // SCRAM-SHA-256 and SCRAM-SHA-256-PLUS
	MethodNTLM
)

// Has tells whether all of the given methods are in the set.
func (m Methods) Has(methods Methods) bool { return m&methods == methods }

// Methods gives what the verifier can serve: none for the zero Verifier.
func (v Verifier) Methods() Methods {
	switch v.form.(type) {
	case nil:
		return 0
	case scram:
		return MethodPassword | MethodSCRAM
	case ntHash:
		return MethodPassword | MethodNTLM
	}
	return MethodPassword
}

// SCRAM is what SCRAM-SHA-256 needs of a password (RFC 5802 §3).
type SCRAM struct {
	Salt                 []byte // 8 to 64 octets; must not be changed
	Iterations           int    // 4096 to 1,000,000
	StoredKey, ServerKey [sha256.Size]byte
}

// SCRAM gives what SCRAM-SHA-256 needs. With ok false the verifier is none of that scheme.
func (v Verifier) SCRAM() (s SCRAM, ok bool) {
	parsed, ok := v.form.(scram)
	return SCRAM{parsed.salt, parsed.iterations, parsed.storedKey, parsed.serverKey}, ok
}

// SameSalt tells whether a client would be told the same of both.
func (s SCRAM) SameSalt(other SCRAM) bool {
	return s.Iterations == other.Iterations && bytes.Equal(s.Salt, other.Salt)
}

// NTHash gives what NTLM needs: NTOWFv1, the hash of the password ([MS-NLMP] §3.3.1). Whoever has it can log in with NTLM.
// With ok false the verifier is none of that scheme.
func (v Verifier) NTHash() (hash [16]byte, ok bool) {
	n, ok := v.form.(ntHash)
	return n, ok
}
