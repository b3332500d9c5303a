//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

// audience is whom the tokens of these tests are for.
const audience = "pop"

// issuer is an OAuth issuer on the node, with OpenID Connect Discovery and a signing key that changes.
type issuer struct {
	name   string // of the Secret with its authority
	server *httptest.Server
	mu     sync.Mutex
	key    jose.JSONWebKey
}

// newIssuer starts one, and makes the Secret by which a PopService trusts its server.
func newIssuer(t *testing.T, namespace, name string) *issuer {
	t.Helper()
	i := &issuer{name: name}
	i.rotate(t)
	node, a := nodeAddress(t), newAuthority(t)
	listener, err := net.Listen("tcp", net.JoinHostPort(node, "0"))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(a.issue(t, name, node))
	if err != nil {
		t.Fatal(err)
	}
	i.server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	i.server.Listener.Close()
	i.server.Listener, i.server.TLS = listener, &tls.Config{Certificates: []tls.Certificate{certificate}}
	i.server.StartTLS()
	t.Cleanup(i.server.Close)
	create(t, authoritySecret(namespace, name, a))
	return i
}

// nodeAddress is the node's, which pods can reach; the node's network is that of these tests.
func nodeAddress(t *testing.T) string {
	t.Helper()
	var nodes corev1.NodeList
	if err := kube.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	for _, address := range nodes.Items[0].Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	t.Fatal("the node has no address")
	return ""
}

func authoritySecret(namespace, name string, a *authority) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{corev1.ServiceAccountRootCAKey: encodePEM("CERTIFICATE", a.certificate.Raw)},
	}
}

// rotate replaces the key. The old one is published no more.
func (i *issuer) rotate(t *testing.T) {
	t.Helper()
	key := newKey(t)
	noteSigningKey(t, key)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = jose.JSONWebKey{Key: key, KeyID: time.Now().Format(time.RFC3339Nano), Algorithm: string(jose.ES256), Use: "sig"}
}

func noteSigningKey(t *testing.T, key *ecdsa.PrivateKey) {
	t.Helper()
	octets, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range formsOf(octets) {
		noteSecret(form)
	}
}

// serve is discovery, and the keys.
func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var answer any = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}}
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		answer = map[string]any{"issuer": i.server.URL, "jwks_uri": i.server.URL + "/keys"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// spec trusts the issuer for the users of example.com.
func (i *issuer) spec() v1alpha1.Issuer {
	return v1alpha1.Issuer{URL: i.server.URL, Audiences: []string{audience}, Domains: []string{"example.com"},
		CASecretRef: &v1alpha1.LocalSecretReference{Name: i.name}}
}

// token is one of a user, for an audience. None of its parts may turn up anywhere but the header, which tells nothing.
func (i *issuer) token(t *testing.T, user, audience string) string {
	t.Helper()
	i.mu.Lock()
	key := i.key
	i.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": i.server.URL, "aud": audience, "sub": "42", "email": user,
		"email_verified": true, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(text, ".")[1:] {
		noteSecret(part)
	}
	noteSecret(text)
	return text
}
