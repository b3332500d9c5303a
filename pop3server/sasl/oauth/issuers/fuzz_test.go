package issuers

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/popservice/popservice/pop3server/sasl"
)

// FuzzValidate: of tokens that the issuer has not signed none is good, and no error says what is in them.
func FuzzValidate(f *testing.F) {
	config := Issuer{URL: "https://issuer.example.com", Audiences: []string{"pop3"}}
	set, err := New([]Issuer{config}, nil, Options{Now: (&clock{now: start}).Now})
	must(f, err)
	attempts := 0
	set.issuers[config.URL].keys.get = func(context.Context) ([]key, error) {
		attempts++
		return []key{{"p256", "", testKeys()["p256"].Public()}, {"ed25519", "", testKeys()["ed25519"].Public()}}, nil
	}
	claims := map[string]any{"iss": config.URL, "aud": "pop3", "exp": start.Unix() + 300, "email": user}
	good := make(map[string]bool)
	for _, seed := range []string{
		sign(f, "p256", "p256", jose.ES256, "at+jwt", claims), sign(f, "ed25519", "ed25519", jose.EdDSA, "", claims),
		sign(f, "p256", "", jose.ES256, "JWT", claims),
	} {
		good[seed] = true
		f.Add(seed)
		if _, err := set.Validate(f.Context(), seed); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(sign(f, "p256", "unknown", jose.ES256, "", claims))
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := set.Validate(t.Context(), token)
		if (err == nil) != good[token] {
			t.Fatalf("Validate = %v, %v", got, err)
		}
		if err != nil && (!errors.Is(err, sasl.ErrFailed) || len(err.Error()) > 200 || got != (Identity{})) {
			t.Errorf("Validate = %v, %v", got, err)
		}
		if attempts > 1 {
			t.Errorf("%d attempts to get keys", attempts)
		}
	})
}

// FuzzClaims: a name comes out of claims that say it, for this audience and time.
func FuzzClaims(f *testing.F) {
	f.Add(`{"aud":"pop3","exp":2000000000,"email":"user@example.com"}`, "email")
	f.Add(`{"aud":["a","pop3"],"exp":2e9,"nbf":1.5,"iat":0,"upn":"u@x","scope":"a b"}`, "upn")
	f.Add(`{"aud":"pop3","exp":2000000000,"email":"u@x","email_verified":"false"}`, "email")
	f.Fuzz(func(t *testing.T, payload, claim string) {
		var c claims
		if json.Unmarshal([]byte(payload), &c) != nil {
			return
		}
		i := issuer{settings: settings{Issuer: Issuer{Claim: claim, Audiences: []string{"pop3"}}}}
		name, err := i.accept(c, start)
		if (err == nil) != (name != "") || len(name) > maxName || strings.ContainsAny(name, "\x00\r\n\x1b") {
			t.Errorf("%s: name %q, error %v", payload, name, err)
		}
		if err == nil && (!strings.Contains(payload, `"aud"`) && !strings.Contains(payload, `\u`) || c["exp"] == nil) {
			t.Errorf("%s is taken", payload)
		}
	})
}

// FuzzKeys: of what an issuer answers, only public keys for signatures are kept, and they can be tried.
func FuzzKeys(f *testing.F) {
	for _, name := range []string{"rsa", "p256", "p384", "ed25519", "rsa1024"} {
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public(name)}})
		must(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"a"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil && keys != nil || len(keys) > maxKeys {
			t.Fatalf("%d keys, error %v", len(keys), err)
		}
		for _, k := range keys {
			if !isPublic(k.public) {
				t.Errorf("a %T is kept", k.public)
			}
			for _, algorithm := range []string{"none", "HS256", "HS384", "HS512", "", "ES", "dir"} {
				if match(keys, k.id, algorithm) != nil {
					t.Errorf("keys are found for %q", algorithm)
				}
			}
		}
	})
}
