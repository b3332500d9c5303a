package issuers

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/tlstest"
)

// check validates a token, whose name must be the given one where want is nil.
func (f *fixture) check(t *testing.T, token, name string, want error) {
	t.Helper()
	got, err := f.set.Validate(t.Context(), token)
	if want == nil && (err != nil || got != Identity{f.config.URL, name}) {
		t.Errorf("Validate = %v, %v; want %s", got, err, name)
	}
	if want != nil {
		checkError(t, token, got, err, want)
	}
}

func checkError(t *testing.T, token string, got Identity, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || got != (Identity{}) {
		t.Fatalf("Validate = %v, %v; want %v", got, err, want)
	}
	if errors.Is(err, sasl.ErrFailed) == errors.Is(err, ErrUnavailable) {
		t.Errorf("%v is neither ErrFailed nor ErrUnavailable, or both", err)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

func TestClaims(t *testing.T) {
	f := newFixture(t, func(i *Issuer) { i.RequiredScopes = []string{"mail.read", "pop"} }, "p256")
	now, long := start.Unix(), strings.Repeat("n", maxName)
	const name = "user@example.com"
	for _, test := range []struct {
		name   string
		change map[string]any
		want   error
	}{
		{"good", nil, nil},
		{"audience among others", map[string]any{"aud": []string{"x", "https://mail.example.com"}}, nil},
		{"scope in another order", map[string]any{"scope": "pop x mail.read"}, nil},
		{"scope as a list", map[string]any{"scope": []string{"pop", "mail.read"}}, nil},
		{"scp", map[string]any{"scope": nil, "scp": "pop mail.read"}, nil},
		{"scp as a list", map[string]any{"scope": nil, "scp": []string{"pop", "mail.read"}}, nil},
		{"expired within the leeway", map[string]any{"exp": now - 59}, nil},
		{"expiry with a fraction", map[string]any{"exp": float64(now) - 59.5}, nil},
		{"valid from now", map[string]any{"nbf": now}, nil},
		{"not yet valid, within the leeway", map[string]any{"nbf": now + 60, "iat": now + 60}, nil},
		{"no iat", map[string]any{"iat": nil}, nil},
		{"email verified", map[string]any{"email_verified": true}, nil},
		{"email verified, as text", map[string]any{"email_verified": "true"}, nil},

		{"wrong audience", map[string]any{"aud": "pop"}, errAudience},
		{"audience in other case", map[string]any{"aud": "POP3"}, errAudience},
		{"wrong audiences", map[string]any{"aud": []string{"a", "b"}}, errAudience},
		{"no audience", map[string]any{"aud": nil}, errAudience},
		{"audience for ID tokens", map[string]any{"aud": nil, "azp": "pop3", "client_id": "pop3"}, errAudience},
		{"expired", map[string]any{"exp": now - 60}, errExpiry},
		{"no expiry", map[string]any{"exp": nil}, errExpiry},
		{"expiry at zero", map[string]any{"exp": 0}, errExpiry},
		{"expiry after all time", map[string]any{"exp": 1e18}, errExpiry},
		{"expiry under another name", map[string]any{"exp": nil, "EXP": now + 300}, errExpiry},
		{"not yet valid", map[string]any{"nbf": now + 61}, errNotYet},
		{"nbf out of range", map[string]any{"nbf": -1}, errNotYet},
		{"issued in the future", map[string]any{"iat": now + 61}, errNotYet},
		{"no scope", map[string]any{"scope": nil}, errScope},
		{"one scope of two", map[string]any{"scope": "pop"}, errScope},
		{"scope that begins so", map[string]any{"scope": "pop mail.readwrite"}, errScope},
		{"scope is a number", map[string]any{"scope": 1}, errScope},
		{"bound to a key", map[string]any{"cnf": map[string]any{"jkt": "x"}}, errBound},
		{"email not verified", map[string]any{"email_verified": false}, errUnverified},
		{"email not verified, as text", map[string]any{"email_verified": "false"}, errUnverified},
		{"email perhaps verified", map[string]any{"email_verified": 1}, errUnverified},
		{"no email", map[string]any{"email": nil}, errName},
		{"email under another name", map[string]any{"email": nil, "Email": name}, errName},
		{"empty email", map[string]any{"email": ""}, errName},
		{"email is a list", map[string]any{"email": []string{name}}, errName},
		{"email with a control character", map[string]any{"email": "user\x00@example.com"}, errName},
		{"email too long", map[string]any{"email": long + "n"}, errName},
		{"wrong issuer", map[string]any{"iss": "https://evil.example.com"}, errIssuer},
		{"issuer with a slash", map[string]any{"iss": f.config.URL + "/"}, errIssuer},
		{"no issuer", map[string]any{"iss": nil}, errIssuer},
		{"issuer under another name", map[string]any{"iss": nil, "ISS": f.config.URL}, errIssuer},
		{"issuer is a list", map[string]any{"iss": []string{f.config.URL}}, errIssuer},
		{"claims from another place", map[string]any{"_claim_names": map[string]any{"email": "src"}}, errSignature},
		{"audience is a number", map[string]any{"aud": 1}, errSignature},
		{"expiry is text", map[string]any{"exp": "soon"}, errSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := map[string]any{"scope": "mail.read pop"}
			for key, value := range test.change {
				change[key] = value
			}
			f.check(t, f.token(t, "p256", jose.ES256, change), name, test.want)
		})
	}
}

func TestOtherClaim(t *testing.T) {
	f := newFixture(t, func(i *Issuer) { i.Claim = "upn" }, "p256")
	f.check(t, f.token(t, "p256", jose.ES256, map[string]any{"upn": "u@x", "email_verified": false}), "u@x", nil)
	f.check(t, f.token(t, "p256", jose.ES256, nil), "", errName)
}

func TestAlgorithms(t *testing.T) {
	f := newFixture(t, nil, "rsa", "p256", "p384", "p521", "ed25519")
	signers := map[string]string{"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519"}
	for _, algorithm := range Algorithms() {
		key := signers[algorithm]
		if key == "" {
			key = "rsa"
		}
		f.check(t, f.token(t, key, jose.SignatureAlgorithm(algorithm), nil), "user@example.com", nil)
	}
	f.config.Algorithms = []string{"ES256", "PS256"}
	f.set = f.newSet(t, f.set)
	f.check(t, f.token(t, "rsa", jose.PS256, nil), "user@example.com", nil)
	f.check(t, f.token(t, "rsa", jose.RS256, nil), "", errAlgorithm)
	f.check(t, f.token(t, "p384", jose.ES384, nil), "", errAlgorithm)
}

// Tokens are known by their header; what it says of the signature must be what the issuer's key says.
func TestHeaders(t *testing.T) {
	f := newFixture(t, nil)
	encryption, bound := public("rsa3"), public("rsa2")
	encryption.Use, bound.Algorithm = "enc", "RS256"
	f.publishKeys(public("rsa"), public("p384"), public("rsa1024"), encryption, bound)
	for _, test := range []struct {
		name, key, kid string
		algorithm      jose.SignatureAlgorithm
		kind           string
		want           error
	}{
		{"good", "rsa", "rsa", jose.RS256, "at+jwt", nil},
		{"long type", "rsa", "rsa", jose.RS256, "application/at+jwt", nil},
		{"old type", "rsa", "rsa", jose.RS256, "JWT", nil},
		{"no type", "rsa", "rsa", jose.RS256, "", nil},
		{"key for this algorithm", "rsa2", "rsa2", jose.RS256, "", nil},
		{"no kid, one key", "p384", "", jose.ES384, "", nil},

		{"logout token", "rsa", "rsa", jose.RS256, "logout+jwt", errType},
		{"key for another algorithm", "rsa2", "rsa2", jose.PS256, "", errKey},
		{"key for encryption", "rsa3", "rsa3", jose.RS256, "", errKey},
		{"key too small", "rsa1024", "rsa1024", jose.RS256, "", errKey},
		{"no kid, several keys", "rsa", "", jose.RS256, "", errKey},
		{"unknown kid", "rsa", "other", jose.RS256, "", errKey},
		{"kid of another key", "rsa3", "rsa", jose.RS256, "", errSignature},
		{"kid of a key of another kind", "p384", "rsa", jose.ES384, "", errKey},
		{"kid of a key on another curve", "p256", "p384", jose.ES256, "", errKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := sign(t, test.key, test.kid, test.algorithm, test.kind, f.claims())
			f.check(t, token, "user@example.com", test.want)
		})
	}
}

// forge makes a token with any header, which mac signs.
func (f *fixture) forge(t *testing.T, header map[string]any, mac func(signed string) []byte) string {
	t.Helper()
	h, err := json.Marshal(header)
	must(t, err)
	c, err := json.Marshal(f.claims())
	must(t, err)
	signed := encoding.EncodeToString(h) + "." + encoding.EncodeToString(c)
	return signed + "." + encoding.EncodeToString(mac(signed))
}

func TestForgeries(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	f.check(t, f.token(t, "rsa", jose.RS256, nil), "user@example.com", nil)
	nothing := func(string) []byte { return nil }
	for _, algorithm := range []any{"none", "None", "", nil, 1, "RS256 ", "rs256"} {
		f.check(t, f.forge(t, map[string]any{"alg": algorithm, "kid": "rsa"}, nothing), "", sasl.ErrFailed)
		some := f.forge(t, map[string]any{"alg": algorithm, "kid": "rsa"}, func(string) []byte { return []byte("x") })
		f.check(t, some, "", errAlgorithm)
	}
	der, err := x509.MarshalPKIXPublicKey(testKeys()["rsa"].Public())
	must(t, err)
	jwk, err := public("rsa").MarshalJSON()
	must(t, err)
	secret := []byte("secret")
	f.publishKeys(public("rsa"), jose.JSONWebKey{Key: secret, KeyID: "oct", Use: "sig", Algorithm: "HS256"})
	f.turn(staleAfter)
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), jwk, secret} {
		for _, kid := range []string{"rsa", "oct"} {
			f.check(t, f.forge(t, map[string]any{"alg": "HS256", "kid": kid}, func(signed string) []byte {
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(signed))
				return mac.Sum(nil)
			}), "", errAlgorithm)
		}
	}
}

// A key that the token brings with it proves nothing, nor does the address of one.
func TestKeyInToken(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	jwk := public("rsa2")
	signingKey := jose.SigningKey{Algorithm: jose.RS256, Key: testKeys()["rsa2"]}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", "rsa").WithHeader("jku", f.URL+"/evil")
	options = options.WithHeader("jwk", jwk)
	signer, err := jose.NewSigner(signingKey, options)
	must(t, err)
	payload, err := json.Marshal(f.claims())
	must(t, err)
	signed, err := signer.Sign(payload)
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	f.check(t, token, "", errSignature)
	if n := f.count("/evil"); n != 0 {
		t.Errorf("%d requests to the token's own address", n)
	}
}

func TestBrokenTokens(t *testing.T) {
	f := newFixture(t, nil, "p256")
	good := f.token(t, "p256", jose.ES256, nil)
	f.check(t, good, "user@example.com", nil)
	for length := range len(good) {
		f.check(t, good[:length], "", sasl.ErrFailed)
	}
	for i := range good { // no octet can be another
		changed := []byte(good)
		changed[i] ^= 1
		f.check(t, string(changed), "", sasl.ErrFailed)
	}
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" { // nor the bits after the last one
		if changed := good[:len(good)-1] + string(last); changed != good {
			f.check(t, changed, "", sasl.ErrFailed)
		}
	}
	parts := strings.Split(good, ".")
	full, err := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	must(t, err)
	for _, token := range []string{
		"", "..", "...", "x", good + ".", good + ".x.y", "." + good, good + "=", good + "\n", good + "\r\n",
		parts[0] + "\n." + parts[1] + "." + parts[2], string(full),
		"bnVsbA.bnVsbA.bnVsbA", "W10.W10.W10", parts[0] + ".bnVsbA." + parts[2],
		f.token(t, "p256", jose.ES256, map[string]any{"x": strings.Repeat("x", maxOctets)}),
		strings.Repeat("a", 1<<20), strings.Repeat(".", 1<<20),
	} {
		f.check(t, token, "", errNoJWT)
	}
	junk := func(string) []byte { return bytes.Repeat([]byte("["), 9000) }
	f.check(t, f.forge(t, map[string]any{"alg": "ES256", "kid": "p256"}, junk), "", errSignature)
	deep := encoding.EncodeToString(bytes.Repeat([]byte("["), maxOctets/3))
	f.check(t, deep+"."+deep+"."+parts[2], "", errNoJWT)
}

// Each issuer's keys are good for its own tokens only.
func TestTwoIssuers(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	other := newIssuer(t, "rsa2")
	f.set = f.newSet(t, nil, other.config(t))
	f.check(t, f.token(t, "rsa", jose.RS256, nil), "user@example.com", nil)
	f.check(t, f.token(t, "rsa2", jose.RS256, nil), "", errKey)
	got, err := f.set.Validate(t.Context(), f.token(t, "rsa2", jose.RS256, map[string]any{"iss": other.URL}))
	if want := (Identity{other.URL, "user@example.com"}); got != want || err != nil {
		t.Errorf("Validate = %v, %v; want %v", got, err, want)
	}
	claims := f.claims()
	claims["iss"] = other.URL
	f.check(t, sign(t, "rsa", "rsa2", jose.RS256, "", claims), "", errSignature)
}

// Strangers' tokens cost no request where the issuer or the algorithm is unknown.
func TestNoRequestForStrangers(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	for i := range 100 {
		f.check(t, f.token(t, "rsa", jose.RS256, map[string]any{"iss": fmt.Sprint("https://", i, ".example.com")}), "", errIssuer)
		f.check(t, f.forge(t, map[string]any{"alg": "HS512", "kid": i}, func(string) []byte { return []byte("x") }), "", errAlgorithm)
	}
	if n := f.count(discoveryPath) + f.count(keysPath); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

// A set made anew keeps the keys of issuers whose keys are where they were.
func TestReload(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	good := f.token(t, "rsa", jose.RS256, nil)
	f.check(t, good, "user@example.com", nil)
	f.goDown()

	f.config.Claim, f.config.Audiences = "sub", []string{"pop3"}
	f.config.CAFile = f.testIssuer.config(t).CAFile // another file with the same content
	f.set = f.newSet(t, f.set)
	f.check(t, good, "4711", nil)

	f.config.JWKS = f.URL + keysPath
	f.set = f.newSet(t, f.set)
	f.check(t, good, "", ErrUnavailable)
	f.comeUp()
	f.check(t, good, "", ErrUnavailable) // too early to try again
	f.turn(retryAfter)
	f.check(t, good, "4711", nil)

	f.config.CAFile = filepath.Join(t.TempDir(), "other.pem")
	must(t, os.WriteFile(f.config.CAFile, tlstest.NewCA(t).PEM, 0o600))
	f.set = f.newSet(t, f.set)
	f.check(t, good, "", ErrUnavailable)

	set, err := New(nil, f.set, f.options())
	must(t, err)
	got, err := set.Validate(t.Context(), good)
	checkError(t, good, got, err, errIssuer)
}

func TestCanceled(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	entered, release := make(chan struct{}), make(chan struct{})
	f.answer(discoveryPath, blockUntil(entered, release))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	token := f.token(t, "rsa", jose.RS256, nil)
	got, err := f.set.Validate(ctx, token)
	checkError(t, token, got, err, ErrUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want Canceled", err)
	}
	close(release)
	f.settle(f.set)
	if age := f.set.issuers[f.URL].keys.fetched; !age.IsZero() {
		t.Errorf("an answer without content is taken for keys, at %v", age)
	}
}
