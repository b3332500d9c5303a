package verifier

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/md4" //nolint:staticcheck,gosec // NTLM is made on it
)

// ntHash is a verifier of Windows: the MD4 of the password in UTF-16 ([MS-NLMP] §3.3.1, NTOWFv1).
//
// It is the password as far as NTLM goes: whoever has it can log in. And it has no salt. NTLM works with nothing else, though,
// so it is here for those who want NTLM. It checks passwords too: whoever has nothing but the hashes of a domain expects, as
// with Exchange, that one password is good for all ways to log in, and refusing it would protect nobody, since the harm
// is in keeping the hash, not in comparing with it.
type ntHash [md4.Size]byte

// errNotUTF8 says that a password has no form in UTF-16.
var errNotUTF8 = errors.New("the password is not UTF-8, as this scheme needs it")

func deriveNT(password []byte) (form, error) {
	if !utf8.Valid(password) {
		return nil, errNotUTF8
	}
	return ntOf(password), nil
}

func ntOf(password []byte) (n ntHash) {
	var text []byte
	for _, unit := range utf16.Encode([]rune(string(password))) {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	h := md4.New() //nolint:gosec // see above
	h.Write(text)
	h.Sum(n[:0])
	return n
}

// matches fails for what is not UTF-8: its faults would all count as the same character.
func (n ntHash) matches(password []byte) bool {
	hash := ntOf(password)
	return utf8.Valid(password) && subtle.ConstantTimeCompare(hash[:], n[:]) == 1
}

func (n ntHash) String() string { return "{" + string(NT) + "}" + hex.EncodeToString(n[:]) }

// parseNT takes digits in upper and in lower case.
func parseNT(text string) (form, error) {
	decoded, err := hex.DecodeString(text)
	if err != nil || len(decoded) != md4.Size {
		return nil, ErrFormat
	}
	return ntHash(decoded), nil
}
