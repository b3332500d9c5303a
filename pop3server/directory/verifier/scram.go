package verifier

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
)

// SCRAMIterations is the count of a new verifier of SCRAM-SHA-256: what RFC 7677 §4 finds right for machines of its time. More
// would make a verifier that was stolen harder to guess, but each client computes it at each login, phones too, and cannot
// choose; the least that the RFC allows is 4096.
const SCRAMIterations = 15_000

// Bounds of SCRAM-SHA-256.
const (
	minSCRAMIterations = 4096 // RFC 7677 §4
	maxSCRAMIterations = 1_000_000
	minSCRAMSalt       = 8
)

// scram is a verifier of SCRAM-SHA-256 (RFC 5802 §3), in the form that Dovecot gives it.
type scram struct {
	salt                 []byte
	iterations           int
	storedKey, serverKey [sha256.Size]byte
}

// DeriveSCRAM makes a verifier of a password, with a new random salt of 16 octets, by the scheme SCRAM-SHA-256. One of a
// password with a NUL, which SASLprep does not allow, lets nobody in.
func DeriveSCRAM(password []byte) string {
	s := scram{salt: random(saltOctets), iterations: SCRAMIterations}
	s.storedKey, s.serverKey = s.derive(password)
	return s.String()
}

// derive gives the keys of a password (RFC 5802 §3).
func (s scram) derive(password []byte) (storedKey, serverKey [sha256.Size]byte) {
	// It fails only where the process may use nothing but what FIPS 140 allows, and the salt is below 16 octets. Then the
	// keys are of no password.
	salted, err := pbkdf2.Key(sha256.New, prepare(password), s.salt, s.iterations, sha256.Size)
	if err != nil {
		salted = random(sha256.Size)
	}
	clientKey := mac(salted, "Client Key")
	return sha256.Sum256(clientKey[:]), mac(salted, "Server Key")
}

func mac(key []byte, text string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	h.Sum(sum[:0])
	return sum
}

// prepare gives the password as clients hash it: with SASLprep (RFC 5802 §5.1, RFC 4013). One that SASLprep does not allow, or
// of which it leaves nothing, is taken as it is, as PostgreSQL does, since nothing else can be made of it.
func prepare(password []byte) string {
	raw := string(password)
	if !utf8.ValidString(raw) {
		return raw
	}
	prepared, err := stringprep.SASLprep.Prepare(raw)
	if err != nil || prepared == "" {
		return raw
	}
	return prepared
}

// matches fails for a password with a NUL: HMAC fills its key up with NULs, so that one at the end would not count.
func (s scram) matches(password []byte) bool {
	if bytes.IndexByte(password, 0) >= 0 {
		return false
	}
	storedKey, serverKey := s.derive(password)
	return subtle.ConstantTimeCompare(storedKey[:], s.storedKey[:])&subtle.ConstantTimeCompare(serverKey[:], s.serverKey[:]) == 1
}

func (s scram) String() string {
	encode := paddedEncoding.EncodeToString
	return fmt.Sprintf("{%s}%d,%s,%s,%s", SCRAMSHA256, s.iterations,
		encode(s.salt), encode(s.storedKey[:]), encode(s.serverKey[:]))
}

func parseSCRAM(text string) (form, error) {
	fields := strings.Split(text, ",")
	if len(fields) != 4 {
		return nil, ErrFormat
	}
	var s scram
	if err := s.parseIterations(fields[0]); err != nil {
		return nil, err
	}
	if err := s.parseKeys(fields[1], fields[2], fields[3]); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *scram) parseIterations(text string) error {
	n, err := number(text)
	switch {
	case err != nil, n < minSCRAMIterations:
		return ErrFormat
	case n > maxSCRAMIterations:
		return tooMuch("%d iterations", maxSCRAMIterations)
	}
	s.iterations = int(n)
	return nil
}

func (s *scram) parseKeys(salt, storedKey, serverKey string) (err error) {
	if s.salt, err = decode(paddedEncoding, salt, minSCRAMSalt, maxSaltOctets); err != nil {
		return err
	}
	stored, err := decode(paddedEncoding, storedKey, sha256.Size, sha256.Size)
	if err != nil {
		return err
	}
	server, err := decode(paddedEncoding, serverKey, sha256.Size, sha256.Size)
	if err != nil {
		return err
	}
	s.storedKey, s.serverKey = [sha256.Size]byte(stored), [sha256.Size]byte(server)
	return nil
}
