package issuers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Bounds of what an issuer's servers may do.
const (
	maxBody      = 1 << 20
	maxHeader    = 64 << 10
	maxRedirects = 3
	maxText      = 300 // octets of an error's text, which may quote an answer
)

// newSource gives what gets an issuer's keys: from where the configuration says, or else from where the issuer says.
func newSource(s settings) source {
	client := newClient(s.roots)
	return func(ctx context.Context) ([]key, error) {
		keys, err := fetchKeys(ctx, client, s)
		if err != nil {
			return nil, shorten(err)
		}
		return keys, nil
	}
}

func fetchKeys(ctx context.Context, client *http.Client, s settings) ([]key, error) {
	location := s.JWKS
	if location == "" {
		var err error
		if location, err = discover(ctx, client, s.URL); err != nil {
			return nil, err
		}
	}
	text, err := fetch(ctx, client, location)
	if err != nil {
		return nil, err
	}
	return parseKeys(text)
}

// discover asks the issuer where its keys are (OpenID Connect Discovery §4). The library checks that the answer is this
// issuer's (§4.3).
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return "", err
	}
	var metadata struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return "", err
	}
	if err := checkHTTPS(metadata.JWKS); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	return metadata.JWKS, nil
}

// fetch gets a document.
func fetch(ctx context.Context, client *http.Client, location string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers with status %d", location, response.StatusCode)
	}
	return io.ReadAll(response.Body)
}

// newClient gives a client that stays on HTTPS, and reads no more than it should. Its requests are minutes apart, so that it
// keeps no connections. The proxy is the environment's, as for all programs. A request's context has the time limit.
func newClient(roots []byte) *http.Client {
	return &http.Client{CheckRedirect: checkRedirect, Transport: bounded{&http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool(roots)},
		DialContext:            (&net.Dialer{Timeout: fetchTimeout}).DialContext, // it may outlive its request, and so may
		TLSHandshakeTimeout:    fetchTimeout,                                     // the handshake
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxHeader,
	}}}
}

// pool gives the authorities of a CA file; nil, which stands for the system's, without one.
func pool(roots []byte) *x509.CertPool {
	if roots == nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	return pool
}

func checkRedirect(request *http.Request, via []*http.Request) error {
	if request.URL.Scheme != "https" {
		return errors.New("a redirect leaves HTTPS")
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

// bounded is a transport whose bodies end with an error where they are too large, after decompression.
type bounded struct{ http.RoundTripper }

// RoundTrip does one request.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxBody)
	return response, nil
}

// shorten bounds the text of an error of which libraries made a part out of what the issuer answered.
func shorten(err error) error {
	if text := err.Error(); len(text) > maxText {
		return fmt.Errorf("%.*s…", maxText, text)
	}
	return err
}
