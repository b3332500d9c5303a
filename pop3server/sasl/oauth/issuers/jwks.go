package issuers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of a key set: keys, and bits of an RSA key (RFC 7518 §3.3 has the lower one; the upper one is go-jose's, too).
const (
	maxKeys    = 64
	minRSABits = 2048
	maxRSABits = 4096
)

// key is a public key that signs tokens.
type key struct {
	id        string // kid; may be empty
	algorithm string // alg, if the issuer says that it is for this one only
	public    crypto.PublicKey
}

// parseKeys takes a JWK set apart (RFC 7517 §5). Keys that are not for signatures, or of a kind that no allowed algorithm has,
// are passed over; so none, too, is a set.
func parseKeys(text []byte) ([]key, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, errors.New("the answer is no JWK set")
	}
	if len(*set.Keys) > maxKeys {
		return nil, fmt.Errorf("the JWK set has more than %d keys", maxKeys)
	}
	var keys []key
	for _, raw := range *set.Keys {
		var jwk jose.JSONWebKey
		if json.Unmarshal(raw, &jwk) == nil && (jwk.Use == "" || jwk.Use == "sig") && isPublic(jwk.Key) {
			keys = append(keys, key{jwk.KeyID, jwk.Algorithm, jwk.Key})
		}
	}
	return keys, nil
}

// isPublic tells whether a key is a public one that can sign. Secrets, with which HS256 signs, are none.
func isPublic(k any) bool {
	switch k := k.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// match gives the keys that may have made a signature. One without a kid is taken only where there is no choice
// (OpenID Connect Core §10.1).
func match(keys []key, kid, algorithm string) []crypto.PublicKey {
	var found []crypto.PublicKey
	for _, k := range keys {
		if (kid == "" || k.id == kid) && k.fits(algorithm) {
			found = append(found, k.public)
		}
	}
	if kid == "" && len(found) > 1 {
		return nil
	}
	return found
}

// fits tells whether a key is for an algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
func (k key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return public.Curve == curves[algorithm]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
