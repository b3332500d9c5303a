package issuers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when the tests begin, by their clock.
var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is one that tests turn.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// testKeys are made once, for RSA keys take their time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := make(map[string]crypto.Signer)
	for _, name := range []string{"rsa", "rsa2", "rsa3"} {
		keys[name], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	keys["rsa1024"], _ = rsa.GenerateKey(rand.Reader, 1024)
	keys["p256"], _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	keys["p384"], _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	keys["p521"], _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	keys["ed25519"] = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // the same each time, for the corpus of fuzzing
	return keys
})

// public gives the JWK with the named key, whose kid is its name.
func public(name string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: testKeys()[name].Public(), KeyID: name, Use: "sig"}
}

// testIssuer is an issuer with a server. Its answers can be replaced.
type testIssuer struct {
	*httptest.Server
	mu       sync.Mutex
	keys     []any // of the JWK set
	requests map[string]int
	answers  map[string]http.HandlerFunc // by path, in place of its own
}

// newIssuer starts an issuer which has the named keys.
func newIssuer(t *testing.T, keys ...string) *testIssuer {
	t.Helper()
	i := &testIssuer{requests: make(map[string]int), answers: make(map[string]http.HandlerFunc)}
	i.publish(keys...)
	i.Server = httptest.NewUnstartedServer(i)
	i.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.StartTLS()
	t.Cleanup(i.Close)
	return i
}

// publish replaces the JWK set.
func (i *testIssuer) publish(names ...string) {
	var keys []any
	for _, name := range names {
		keys = append(keys, public(name))
	}
	i.publishKeys(keys...)
}

func (i *testIssuer) publishKeys(keys ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append([]any{}, keys...)
}

// Paths of the issuer's documents.
const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

// answer replaces the answer at a path; nil gives it back.
func (i *testIssuer) answer(path string, handler http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answers[path] = handler
}

// goDown lets the issuer break all connections, until comeUp.
func (i *testIssuer) goDown() {
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	i.answer(discoveryPath, abort)
	i.answer(keysPath, abort)
}

func (i *testIssuer) comeUp() {
	i.answer(discoveryPath, nil)
	i.answer(keysPath, nil)
}

func (i *testIssuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

func (i *testIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests[r.URL.Path]++
	answer, keys := i.answers[r.URL.Path], i.keys
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case answer != nil:
		answer(w, r)
	case r.URL.Path == discoveryPath:
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + keysPath})
	case r.URL.Path == keysPath:
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	default:
		http.NotFound(w, r)
	}
}

// config gives the issuer as it is configured.
func (i *testIssuer) config(t *testing.T) Issuer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return Issuer{URL: i.URL, Audiences: []string{"pop3", "https://mail.example.com"}, CAFile: file}
}

// fixture is a set with one issuer.
type fixture struct {
	*testIssuer
	*clock
	set     *Set
	config  Issuer
	reports chan error // of attempts to get keys
}

// newFixture starts an issuer with keys, and makes a set of it, after change.
func newFixture(t *testing.T, change func(*Issuer), keys ...string) *fixture {
	t.Helper()
	f := &fixture{testIssuer: newIssuer(t, keys...), clock: &clock{now: start}, reports: make(chan error, 1000)}
	f.config = f.testIssuer.config(t)
	if change != nil {
		change(&f.config)
	}
	f.set = f.newSet(t, nil)
	return f
}

func (f *fixture) newSet(t *testing.T, previous *Set, others ...Issuer) *Set {
	t.Helper()
	set, err := New(append([]Issuer{f.config}, others...), previous, f.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.settle(set) })
	return set
}

func (f *fixture) options() Options {
	return Options{Now: f.Now, Report: func(_ string, err error) { f.reports <- err }}
}

// settle waits until no attempt to get keys runs.
func (f *fixture) settle(set *Set) {
	cache := set.issuers[f.config.URL].keys
	cache.mu.Lock()
	running := cache.running
	cache.mu.Unlock()
	if running != nil {
		<-running
	}
}

// claims gives those of a good token.
func (f *fixture) claims() map[string]any {
	now := f.Now().Unix()
	return map[string]any{
		"iss": f.config.URL, "aud": "pop3", "sub": "4711", "exp": now + 300, "iat": now, "email": "user@example.com",
	}
}

// token gives a good token but for what change does, signed with the named key.
func (f *fixture) token(t testing.TB, key string, algorithm jose.SignatureAlgorithm, change map[string]any) string {
	t.Helper()
	claims := f.claims()
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return sign(t, key, key, algorithm, "at+jwt", claims)
}

// sign makes a token with a header and claims.
func sign(t testing.TB, key, kid string, algorithm jose.SignatureAlgorithm, kind string, claims any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if kind != "" {
		options.WithType(jose.ContentType(kind))
	}
	signingKey := jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: testKeys()[key], KeyID: kid}}
	signer, err := jose.NewSigner(signingKey, options)
	must(t, err)
	payload, err := json.Marshal(claims)
	must(t, err)
	signed, err := signer.Sign(payload)
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
