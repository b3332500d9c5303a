package issuers

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// maxOctets bounds a token.
const maxOctets = 16 << 10

// Reasons for refusing a token. They quote nothing of it.
var (
	errNoJWT     = errors.New("it is no signed JSON Web Token, or too large")
	errType      = errors.New("it is a JSON Web Token for another purpose")
	errAlgorithm = errors.New("its signature is of an algorithm that is not allowed")
	errIssuer    = errors.New("its issuer is not configured")
	errKey       = errors.New("the issuer has no key for its signature")
	errSignature = errors.New("its signature or the form of its claims is wrong")
)

// header is what a token says of itself before anything is verified. It only chooses what the token is verified against.
type header struct {
	algorithm string // alg
	keyID     string // kid; may be empty
	kind      string // typ; may be empty
	issuer    string // the iss claim
}

// parse takes a token's compact serialization apart (RFC 7515 §7.1). Others, with several signatures, are not for tokens
// (RFC 7519 §1).
func parse(token string) (header, error) {
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 || len(token) > maxOctets {
		return header{}, errNoJWT
	}
	joseHeader, err1 := decode(parts[0])
	payload, err2 := decode(parts[1])
	_, err3 := decodeBase64(parts[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return header{}, errNoJWT
	}
	var h header
	h.algorithm, _ = joseHeader.text("alg")
	h.keyID, _ = joseHeader.text("kid")
	h.kind, _ = joseHeader.text("typ")
	h.issuer, _ = payload.text("iss")
	return h, nil
}

// decode decodes a part that is a JSON object.
func decode(part string) (claims, error) {
	text, err := decodeBase64(part)
	if err != nil {
		return nil, err
	}
	var c claims
	if err := json.Unmarshal(text, &c); err != nil || c == nil { // nil: null
		return nil, errNoJWT
	}
	return c, nil
}

// encoding is base64url without padding, with one form for each value (RFC 7515 §2).
var encoding = base64.RawURLEncoding.Strict()

func decodeBase64(part string) ([]byte, error) {
	if part == "" || strings.ContainsAny(part, "\r\n") { // the decoder passes over these
		return nil, errNoJWT
	}
	return encoding.DecodeString(part)
}

// check checks what can be checked of a header without a key.
func (h header) check(allowed []string) error {
	if !slices.Contains(allowed, h.algorithm) {
		return errAlgorithm
	}
	if !slices.Contains(types, strings.ToLower(h.kind)) {
		return errType
	}
	return nil
}

// types are those of access tokens: RFC 9068 §2.1, and what issuers older than that have. It keeps out tokens which the same
// issuer signs for other purposes, such as logout tokens.
var types = []string{"at+jwt", "application/at+jwt", "jwt", ""}
