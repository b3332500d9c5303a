package issuers

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const user = "user@example.com"

func (f *fixture) good(t *testing.T, key string) string {
	t.Helper()
	return f.token(t, key, jose.RS256, nil)
}

// A new key is found when the first token that it signed comes; keys are not got for each token.
func TestRotation(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	for range 3 {
		f.check(t, f.good(t, "rsa"), user, nil)
	}
	if n := f.count(keysPath); n != 1 {
		t.Fatalf("%d requests for keys, want 1", n)
	}
	f.publish("rsa", "rsa2")
	f.turn(retryAfter)
	f.check(t, f.good(t, "rsa2"), user, nil)
	f.check(t, f.good(t, "rsa"), user, nil)
	if n := f.count(keysPath); n != 2 {
		t.Errorf("%d requests for keys, want 2", n)
	}
}

// A key that the issuer has withdrawn is refused after staleAfter at the latest, and earlier where tokens come.
func TestRetirement(t *testing.T) {
	f := newFixture(t, nil, "rsa", "rsa2")
	f.check(t, f.good(t, "rsa"), user, nil)
	f.publish("rsa2")
	f.turn(refreshAfter - time.Second)
	f.check(t, f.good(t, "rsa"), user, nil)
	f.turn(time.Second)
	f.check(t, f.good(t, "rsa"), user, nil) // and begins to get the keys
	f.settle(f.set)
	f.check(t, f.good(t, "rsa"), "", errKey)
	f.check(t, f.good(t, "rsa2"), user, nil)

	f.publish()
	f.turn(staleAfter)
	f.check(t, f.good(t, "rsa2"), "", errKey) // waits for the keys
	if n := f.count(keysPath); n != 3 {
		t.Errorf("%d requests for keys, want 3", n)
	}
}

// While the issuer is down, tokens with known keys are good; others may be good another time.
func TestIssuerDown(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	f.check(t, f.good(t, "rsa"), user, nil)
	f.goDown()
	f.turn(24 * time.Hour)
	f.check(t, f.good(t, "rsa"), user, nil)
	f.check(t, f.good(t, "rsa2"), "", ErrUnavailable)
	f.publish("rsa2")
	f.comeUp()
	f.check(t, f.good(t, "rsa2"), "", ErrUnavailable) // too early to try again
	f.turn(retryAfter)
	f.check(t, f.good(t, "rsa2"), user, nil)
	f.check(t, f.good(t, "rsa"), "", errKey)
}

func TestDownAtStart(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	f.goDown()
	f.check(t, f.good(t, "rsa"), "", ErrUnavailable)
	if err := <-f.reports; err == nil {
		t.Error("nothing is reported of an issuer that is down")
	}
	f.comeUp()
	f.turn(retryAfter)
	f.check(t, f.good(t, "rsa"), user, nil)
	if err := <-f.reports; err != nil {
		t.Errorf("%v is reported of an issuer that is up", err)
	}
}

// However many tokens with unknown keys come, the issuer is asked once in retryAfter.
func TestHammering(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	claims := f.claims()
	for round := 1; round <= 3; round++ {
		var all sync.WaitGroup
		for i := range 100 {
			token := sign(t, "rsa2", fmt.Sprint("unknown", i), jose.RS256, "", claims)
			all.Go(func() { f.check(t, token, "", errKey) })
		}
		all.Wait()
		f.turn(retryAfter - 1)
		f.check(t, f.token(t, "rsa2", jose.RS256, nil), "", errKey)
		if d, k := f.count(discoveryPath), f.count(keysPath); d != round || k != round {
			t.Fatalf("round %d: %d and %d requests, want one each", round, d, k)
		}
		f.turn(1)
	}
}

// The same holds while the issuer fails, and while it is known that keys are stale.
func TestHammeringIssuerDown(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	f.check(t, f.good(t, "rsa"), user, nil)
	f.goDown()
	f.turn(time.Hour)
	for range 10 {
		f.check(t, f.good(t, "rsa"), user, nil)
		f.check(t, f.good(t, "rsa2"), "", ErrUnavailable)
	}
	if n := f.count(discoveryPath); n > 3 { // the client may send a request again whose connection broke
		t.Errorf("%d requests, want one more than at first", n)
	}
	if n := len(f.reports); n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
}

// blockUntil answers when released, and tells when it has been entered.
func blockUntil(entered chan<- struct{}, release <-chan struct{}) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	}
}

// All who wait share one attempt, which ends in time; meanwhile tokens with known keys do not wait.
func TestSlowIssuer(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	options := f.options()
	options.timeout = 50 * time.Millisecond
	set, err := New([]Issuer{f.config}, nil, options)
	must(t, err)
	f.set = set
	entered, release := make(chan struct{}), make(chan struct{})
	f.answer(keysPath, blockUntil(entered, release))
	defer close(release)
	var all sync.WaitGroup
	token := f.good(t, "rsa")
	for range 20 {
		all.Go(func() { f.check(t, token, "", ErrUnavailable) })
	}
	all.Wait()
	if n := len(f.reports); n != 1 {
		t.Errorf("%d attempts, want 1", n)
	}
}

func TestKnownKeysDoNotWait(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	f.check(t, f.good(t, "rsa"), user, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	f.answer(keysPath, blockUntil(entered, release))
	f.turn(refreshAfter)
	f.check(t, f.good(t, "rsa"), user, nil)
	<-entered
	f.check(t, f.good(t, "rsa"), user, nil)
	close(release)
	f.settle(f.set)
}

func redirect(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, location, http.StatusFound) }
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

// What an issuer answers is not believed where it is wrong, too large or from another place.
func TestWrongAnswers(t *testing.T) {
	plain := httptest.NewServer(text(`{"keys":[]}`))
	t.Cleanup(plain.Close)
	large := strings.Repeat(" ", maxBody) + `{"keys":[]}`
	f := newFixture(t, nil, "rsa")
	document := `{"issuer":"` + f.URL + `","jwks_uri":"%s"}`
	for _, test := range []struct {
		name, path string
		answer     http.HandlerFunc
	}{
		{"discovery is not found", discoveryPath, http.NotFound},
		{"discovery is no JSON", discoveryPath, text("<html>")},
		{"discovery of another issuer", discoveryPath, text(`{"issuer":"https://x","jwks_uri":"` + f.URL + keysPath + `"}`)},
		{"discovery of an issuer with a long name", discoveryPath, text(`{"issuer":"` + large[:maxBody/2] + `"}`)},
		{"discovery without keys", discoveryPath, text(fmt.Sprintf(document, ""))},
		{"discovery with keys in the clear", discoveryPath, text(fmt.Sprintf(document, plain.URL))},
		{"discovery too large", discoveryPath, text(large)},
		{"discovery moved into the clear", discoveryPath, redirect(plain.URL)},
		{"keys are not found", keysPath, http.NotFound},
		{"keys are no JSON", keysPath, text("keys")},
		{"no keys", keysPath, text("{}")},
		{"keys are no list", keysPath, text(`{"keys":{}}`)},
		{"too many keys", keysPath, text(`{"keys":[{}` + strings.Repeat(",{}", maxKeys) + `]}`)},
		{"keys too large", keysPath, text(large)},
		{"keys moved into the clear", keysPath, redirect(plain.URL)},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.set = f.newSet(t, nil)
			f.answer(test.path, test.answer)
			defer f.comeUp()
			f.check(t, f.good(t, "rsa"), "", ErrUnavailable)
			if err := <-f.reports; err == nil || len(err.Error()) > 2*maxText {
				t.Errorf("%v is reported", err)
			}
		})
	}
}

func TestMovedWithinHTTPS(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	f.answer(discoveryPath, redirect("/moved"))
	f.answer("/moved", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, f.URL, f.URL+keysPath)
	})
	f.check(t, f.good(t, "rsa"), user, nil)
}

func TestRedirectCircle(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	f.answer(discoveryPath, redirect(discoveryPath))
	f.check(t, f.good(t, "rsa"), "", ErrUnavailable)
	if n := f.count(discoveryPath); n != 1+maxRedirects {
		t.Errorf("%d requests, want one and %d redirected", n, maxRedirects)
	}
}

// With the keys' place in the configuration nothing is discovered. Keys of unknown kinds do not matter.
func TestJWKS(t *testing.T) {
	f := newFixture(t, nil, "rsa")
	f.config.JWKS = f.URL + keysPath
	f.set = f.newSet(t, nil)
	f.publishKeys(
		map[string]string{"kty": "OKP", "crv": "Ed448", "kid": "rsa", "x": "AAAA"}, map[string]string{"kty": "new"}, "text", nil,
		map[string]string{"kty": "RSA", "kid": "rsa", "n": "", "e": ""}, public("rsa"))
	f.check(t, f.good(t, "rsa"), user, nil)
	if n := f.count(discoveryPath); n != 0 {
		t.Errorf("%d requests for discovery, want none", n)
	}
}

// A key that is too large would cost more time than a login is worth.
func TestSizeOfKeys(t *testing.T) {
	for bits, want := range map[uint]int{minRSABits - 1: 0, minRSABits: 1, maxRSABits: 1, maxRSABits + 1: 0} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &rsa.PublicKey{N: n, E: 65537}, KeyID: "k"}}}
		text, err := json.Marshal(set)
		must(t, err)
		if keys, err := parseKeys(text); len(keys) != want || err != nil {
			t.Errorf("%d bits: %d keys, error %v; want %d", bits, len(keys), err, want)
		}
	}
}

// The certificate of the issuer's server must be from the authority that is configured.
func TestUntrustedServer(t *testing.T) {
	f := newFixture(t, func(i *Issuer) { i.CAFile = "" }, "rsa") // the system's do not know it
	f.check(t, f.good(t, "rsa"), "", ErrUnavailable)
	if n := f.count(discoveryPath); n != 0 {
		t.Errorf("%d requests to a server that nobody vouches for", n)
	}
}

func TestConfiguration(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	must(t, os.WriteFile(empty, []byte("no certificate"), 0o600))
	for _, test := range []struct {
		name   string
		change func(*Issuer)
	}{
		{"no URL", func(i *Issuer) { i.URL = "" }},
		{"URL in the clear", func(i *Issuer) { i.URL = "http://x" }},
		{"URL without a host", func(i *Issuer) { i.URL = "https:///x" }},
		{"URL with a query", func(i *Issuer) { i.URL = "https://x?a" }},
		{"URL with a fragment", func(i *Issuer) { i.URL = "https://x#a" }},
		{"URL with an empty fragment", func(i *Issuer) { i.URL = "https://x#" }},
		{"URL with a password", func(i *Issuer) { i.URL = "https://u:p@x" }},
		{"keys in the clear", func(i *Issuer) { i.JWKS = "http://x" }},
		{"no audience", func(i *Issuer) { i.Audiences = nil }},
		{"empty audience", func(i *Issuer) { i.Audiences = []string{"a", ""} }},
		{"two scopes in one", func(i *Issuer) { i.RequiredScopes = []string{"a b"} }},
		{"empty scope", func(i *Issuer) { i.RequiredScopes = []string{""} }},
		{"no signature", func(i *Issuer) { i.Algorithms = []string{"none"} }},
		{"signature with a secret", func(i *Issuer) { i.Algorithms = []string{"RS256", "HS256"} }},
		{"CA file that is not there", func(i *Issuer) { i.CAFile = empty + "x" }},
		{"CA file without a certificate", func(i *Issuer) { i.CAFile = empty }},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer := Issuer{URL: "https://x.example.com", Audiences: []string{"a"}, RequiredScopes: []string{"s"}}
			if _, err := New([]Issuer{issuer}, nil, Options{}); err != nil {
				t.Fatal(err)
			}
			test.change(&issuer)
			if set, err := New([]Issuer{issuer}, nil, Options{}); err == nil || set != nil {
				t.Errorf("New = %v, %v; want an error", set, err)
			}
		})
	}
	twice := Issuer{URL: "https://x.example.com", Audiences: []string{"a"}}
	if _, err := New([]Issuer{twice, twice}, nil, Options{}); err == nil {
		t.Error("an issuer may be there twice")
	}
}
