// Package verifier makes and checks password verifiers: what a server needs to check a password, and from which nobody can
// read the password back.
//
// A verifier is text with its scheme in front, in the forms that Dovecot's doveadm pw writes too:
//
//	{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
//	{BLF-CRYPT}$2b$10$<salt and hash>         bcrypt; also $2a$ and $2y$, and {CRYPT} in front
//	{SHA512-CRYPT}$6$rounds=100000$<salt>$<hash>  SHA-512 crypt; also without rounds, and {CRYPT} in front
//	{SSHA512}<base64 of hash and salt>
//	{SCRAM-SHA-256}<iterations>,<salt>,<StoredKey>,<ServerKey>
//	{NT}<32 hexadecimal digits>
//
// The scheme may be in lower case, and may be left out where a dollar sign begins the text. Any of them can check a password;
// Methods tells what else it can. Derive's is the one to choose where passwords alone are checked.
package verifier

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxTextOctets is the most that a verifier may have; the longest that Derive and its like make has 147.
const maxTextOctets = 512

var (
	// ErrFormat says that a text is no verifier. It never quotes the text.
	ErrFormat = errors.New("not a verifier of the form {ARGON2ID}$argon2id$v=19$m=…,t=…,p=…$salt$hash, or of BLF-CRYPT, " +
		"SHA512-CRYPT, SSHA512, SCRAM-SHA-256 or NT")
	// ErrUnsalted says that equal passwords have equal verifiers in this scheme, so that a table tells the password.
	ErrUnsalted = errors.New("verifier has no salt, so that a table tells the password: make a new one, or use {SSHA512}")
	// ErrCleartext says that the text is the password itself, or as good as that.
	ErrCleartext = errors.New("verifier is the password itself: make one of it")
	// ErrCost says that a check would take too long, or too much memory; what it wraps says what is allowed.
	ErrCost = errors.New("verifier costs too much")
)

// Verifier is a parsed verifier. The zero Verifier matches no password.
type Verifier struct{ form form }

// form is a verifier of one scheme.
type form interface {
	matches(password []byte) bool
	String() string
}

// parse reads what follows a scheme's name.
type parse func(text string) (form, error)

// parsers are the schemes. Without a name, and with CRYPT's, the form of crypt(3) tells.
var parsers = map[string]parse{
	string(Argon2id):    parseArgon2id,
	string(Bcrypt):      parseBcrypt,
	string(SHA512Crypt): parseSHA512Crypt,
	string(SSHA512):     parseSSHA512,
	string(SCRAMSHA256): parseSCRAM,
	string(NT):          parseNT,
	"CRYPT":             parseCrypt,
	"":                  parseBare,
	"SHA512":            refuse(ErrUnsalted),
	"SHA256":            refuse(ErrUnsalted),
	"SHA":               refuse(ErrUnsalted),
	"SHA1":              refuse(ErrUnsalted),
	"MD5":               refuse(ErrUnsalted),
	"LDAP-MD5":          refuse(ErrUnsalted),
	"PLAIN-MD5":         refuse(ErrUnsalted),
	"PLAIN-MD4":         refuse(ErrUnsalted),
	"PLAIN":             refuse(ErrCleartext),
	"CLEAR":             refuse(ErrCleartext),
	"CLEARTEXT":         refuse(ErrCleartext),
}

// refuse is the parser of a scheme that is known and must not be used.
func refuse(err error) parse { return func(string) (form, error) { return nil, err } }

// Parse reads a verifier. It refuses one that would cost too much to check, or that protects nothing.
func Parse(text string) (Verifier, error) {
	if len(text) > maxTextOctets {
		return Verifier{}, ErrFormat
	}
	scheme, rest := cutScheme(text)
	parse, ok := parsers[scheme]
	if !ok {
		return Verifier{}, ErrFormat
	}
	f, err := parse(rest)
	if err != nil {
		return Verifier{}, err
	}
	return Verifier{f}, nil
}

// cutScheme gives the scheme's name in capitals, empty if there is none, and what follows it.
func cutScheme(text string) (scheme, rest string) {
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		if name, rest, ok := strings.Cut(inner, "}"); ok && name != "" {
			return strings.ToUpper(name), rest
		}
	}
	return "", text
}

// parseCrypt reads the forms of crypt(3) that Dovecot and others put {CRYPT} in front of.
func parseCrypt(text string) (form, error) {
	if strings.HasPrefix(text, "$6$") {
		return parseSHA512Crypt(text)
	}
	return parseBcrypt(text)
}

// parseBare reads what has no scheme in front.
func parseBare(text string) (form, error) {
	if strings.HasPrefix(text, "$argon2id$") {
		return parseArgon2id(text)
	}
	return parseCrypt(text)
}

// Matches tells, in constant time, whether the password is the one that the verifier was made of.
func (v Verifier) Matches(password []byte) bool { return v.form != nil && v.form.matches(password) }

// String gives the text that Parse reads, with the scheme in front. It is empty for the zero Verifier.
func (v Verifier) String() string {
	if v.form == nil {
		return ""
	}
	return v.form.String()
}

// decode reads base64 of min to max octets. The decoder passes over line ends, which have no place in a verifier.
func decode(encoding *base64.Encoding, text string, least, most int) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, ErrFormat
	}
	decoded, err := encoding.DecodeString(text)
	if err != nil || len(decoded) < least || len(decoded) > most {
		return nil, ErrFormat
	}
	return decoded, nil
}

// number reads a decimal number as programs write it: no sign, no zero in front.
func number(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, ErrFormat
	}
	return n, nil
}

// tooMuch says that a verifier's cost is above what is allowed.
func tooMuch(allowed string, values ...any) error {
	return fmt.Errorf("%w: at most "+allowed, append([]any{ErrCost}, values...)...)
}
