package server

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/authn"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/pop3"
	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/tlstest"
)

func TestAuthorities(t *testing.T) {
	one, two := tlstest.NewCA(t).PEM, tlstest.NewCA(t).PEM
	key := tlstest.NewCA(t).Issue(t, "x").Key
	both := slices.Concat([]byte("# ours\n"), one, []byte("\n# theirs: of 2030\n"), two, []byte("# the end\n"))
	want := x509.NewCertPool()
	want.AppendCertsFromPEM(slices.Concat(one, two))
	if got, err := config.Authorities(both); err != nil || !got.Equal(want) {
		t.Errorf("two with comments: %v", err)
	}
	for name, text := range map[string][]byte{
		"nothing":                       nil,
		"no PEM":                        []byte("hello\n"),
		"the first cut":                 one[:len(one)/2],
		"the second cut":                slices.Concat(one, two[:len(two)/2]),
		"the second begun":              slices.Concat(one, []byte("-----BEGIN CERTIFICATE-----\n")),
		"the second's end cut":          slices.Concat(one, two[:len(two)-10]),
		"the first cut, another behind": slices.Concat(one[:len(one)/2], two),
		"a key":                         key,
		"a key behind":                  slices.Concat(one, key),
		"a key in front":                slices.Concat(key, one),
		"another name":                  bytes.ReplaceAll(one, []byte("CERTIFICATE"), []byte("X509 CRL")),
		"no certificate":                pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
	} {
		if pool, err := config.Authorities(text); err == nil || pool != nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Authorities stay while their file is bad, and go with its path: whoever they vouch for may log in.
func TestClientAuthorities(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clients.pem")
	ca := tlstest.NewCA(t)
	must(t, os.WriteFile(path, ca.PEM, 0o600))
	settings := config.Authentication{Mechanisms: []config.Mechanism{config.MechanismExternal}, ClientCAFile: path}
	k := newLoginKeys(settings, slog.New(slog.DiscardHandler))
	expect := func(what string, want *tlstest.CA) {
		t.Helper()
		if got := k.clientCAs(); (got == nil) != (want == nil) || want != nil && !got.Equal(want.Pool()) {
			t.Errorf("%s: there are authorities: %t, want %t, and these", what, got != nil, want != nil)
		}
	}
	expect("a good file", ca)
	must(t, os.WriteFile(path, ca.PEM[:len(ca.PEM)/2], 0o600))
	k.reload()
	expect("bad content", ca)
	must(t, os.Remove(path))
	k.use(settings)
	expect("no file", ca)
	if told := k.status(); len(told) != 1 || told[0].Error == "" || told[0].Fingerprint == "" {
		t.Errorf("the status is %+v", told)
	}
	settings.ClientCAFile = path + ".other"
	k.use(settings)
	expect("another path, and no file", nil)
	k.reload()
	expect("and again", nil)
	settings.ClientCAFile = path
	k.use(settings)
	expect("the path of before, and no file", nil)
	other := tlstest.NewCA(t)
	must(t, os.WriteFile(path, other.PEM, 0o600))
	k.reload()
	expect("a new file", other)
	settings.ClientCAFile = ""
	k.use(settings)
	expect("no path", nil)
}

// tokens is an issuer's server.
type tokens struct {
	*httptest.Server
	key    ed25519.PrivateKey
	caFile string
}

func newTokens(t *testing.T) *tokens {
	t.Helper()
	i := &tokens{key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), caFile: filepath.Join(t.TempDir(), "ca.pem")}
	public, _ := i.key.Public().(ed25519.PublicKey)
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","x":%q}]}`, encoded(public))
	}))
	t.Cleanup(i.Close)
	i.writeCA(t)
	return i
}

func (i *tokens) writeCA(t *testing.T) {
	t.Helper()
	must(t, os.WriteFile(i.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}), 0o600))
}

func encoded(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

// token makes one whose claims differ.
func (i *tokens) token(t *testing.T) string {
	t.Helper()
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": i.URL, "aud": "pop3", "sub": "4711", "iat": now, "exp": now + 300,
		"email": "user@example.com", "upn": "user@example.org"})
	must(t, err)
	signed := encoded([]byte(`{"alg":"EdDSA","kid":"k","typ":"at+jwt"}`)) + "." + encoded(claims)
	return signed + "." + encoded(ed25519.Sign(i.key, []byte(signed)))
}

// issuer gives the setting.
func (i *tokens) issuer(claim, domain string) config.Issuer {
	return config.Issuer{URL: i.URL, Audiences: []string{"pop3"}, Claim: claim, Domains: []string{domain}, JWKSURL: i.URL,
		CAFile: i.caFile}
}

func withIssuers(all ...config.Issuer) config.Authentication {
	return config.Authentication{OAuth: config.OAuth{Issuers: all}}
}

// What a claim is worth is told by the domains that stand beside it: where one stays, so do the others.
func TestIssuersThatCannotBeUsed(t *testing.T) {
	i := newTokens(t)
	token := i.token(t)
	k := newLoginKeys(withIssuers(i.issuer("email", "example.com")), slog.New(slog.DiscardHandler))
	expect := func(what, name, domain string) {
		t.Helper()
		want := pop3.Subject{Issuer: i.URL, Name: name, Domains: []string{domain}}
		if got, err := k.token(t.Context(), token); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", what, got, err, want)
		}
	}
	refused := func(what string, want error) {
		t.Helper()
		if got, err := k.token(t.Context(), token); !errors.Is(err, want) || !reflect.DeepEqual(got, pop3.Subject{}) {
			t.Errorf("%s: %+v, %v; want %v", what, got, err, want)
		}
	}
	expect("first", "user@example.com", "example.com")
	must(t, os.Remove(i.caFile))
	k.use(withIssuers(i.issuer("upn", "example.org")))
	expect("without its CA file", "user@example.com", "example.com")
	k.reload()
	expect("and read again", "user@example.com", "example.com")
	other := config.Issuer{URL: "https://id.example", Audiences: []string{"pop3"}, CAFile: i.caFile}
	k.use(withIssuers(other))
	refused("taken out, beside one that cannot be used", authn.ErrRejected)
	k.use(withIssuers(other, i.issuer("upn", "example.org")))
	expect("put in again, without its CA file", "user@example.com", "example.com")
	i.writeCA(t)
	k.reload()
	expect("with its CA file", "user@example.org", "example.org")
	k.use(withIssuers())
	refused("taken out", sasl.ErrFailed)
	must(t, os.Remove(i.caFile))
	k = newLoginKeys(withIssuers(i.issuer("email", "example.com")), slog.New(slog.DiscardHandler))
	refused("never of use", authn.ErrUnavailable)
	if _, err := k.token(t.Context(), token); err == nil || !strings.Contains(err.Error(), i.caFile) {
		t.Errorf("the error does not say why: %v", err)
	}
}
