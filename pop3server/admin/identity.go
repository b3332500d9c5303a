package admin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
)

var errNoIdentity = errors.New("the control port has no certificate yet")

// Identity is what the control port proves itself with, and what it lets in: its certificate and the CA of its clients.
// Until the files have been loaded once, every handshake fails. Its methods may be called at the same time.
type Identity struct {
	files  config.Control
	loaded atomic.Pointer[tls.Config]
}

// NewIdentity makes an identity of the files that the configuration names; Load reads them.
func NewIdentity(files config.Control) *Identity { return &Identity{files: files} }

// Paths gives the files that Load reads.
func (i *Identity) Paths() []string {
	return []string{i.files.CertFile, i.files.KeyFile, i.files.ClientCAFile}
}

// Load reads the files again. When it fails, what was loaded before stays in use.
func (i *Identity) Load() error {
	certificate, err := tls.LoadX509KeyPair(i.files.CertFile, i.files.KeyFile)
	if err != nil {
		return fmt.Errorf("load the control port's certificate %s and key %s: %w", i.files.CertFile, i.files.KeyFile, err)
	}
	clientCAs, err := loadCAs(i.files.ClientCAFile)
	if err != nil {
		return fmt.Errorf("load the control port's client CA: %w", err)
	}
	i.loaded.Store(controlTLS(certificate, clientCAs))
	return nil
}

func loadCAs(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := config.Authorities(text)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", file, err)
	}
	return pool, nil
}

// TLSConfig gives a configuration that asks the identity at every handshake.
func (i *Identity) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if current := i.loaded.Load(); current != nil {
				return current, nil
			}
			return nil, errNoIdentity
		},
	}
}

// controlTLS lets in the operator alone: its certificate must chain to the CA, be for client authentication, and carry
// the operator's name. Sessions are not resumed, so that a CA that was replaced counts from the next connection on.
func controlTLS(certificate tls.Certificate, clientCAs *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{certificate},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              clientCAs,
		SessionTicketsDisabled: true,
		VerifyConnection:       verifyOperator,
	}
}

func verifyOperator(state tls.ConnectionState) error {
	if name := state.PeerCertificates[0].Subject.CommonName; name != control.ClientName {
		return fmt.Errorf("client certificate is for %q, only %q is let in", name, control.ClientName)
	}
	return nil
}
