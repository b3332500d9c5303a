// Package controlpki makes the certificates of the control port: a CA a PopService, a certificate for its servers,
// and, in memory only, one for the operator.
package controlpki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/popservice/popservice/pop3server/control"
)

// Keys of the Secrets' data.
const (
	KeyCA          = "ca.crt"
	KeyCertificate = "tls.crt"
	KeyPrivate     = "tls.key"
)

const (
	caLifetime     = 10 * 365 * 24 * time.Hour
	serverLifetime = 365 * 24 * time.Hour
	clientLifetime = 24 * time.Hour
	backdate       = time.Hour // for clocks that are behind
)

// pair is a certificate with its key.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// EnsureCA gives the data of the CA's Secret: what it has, or, where that is of no use or near its end, a new CA.
func EnsureCA(data map[string][]byte, now time.Time) (map[string][]byte, error) {
	if ca, err := parse(data); err == nil && ca.certificate.IsCA && fresh(ca.certificate, now) {
		return data, nil
	}
	template := newTemplate("popservice control CA", now, caLifetime)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign
	return issue(template, nil)
}

// EnsureServer gives the data of the servers' Secret: what it has, or, where that is not of this CA, of no use or near its end,
// a new certificate.
func EnsureServer(caData, data map[string][]byte, now time.Time) (map[string][]byte, error) {
	ca, err := parse(caData)
	if err != nil {
		return nil, fmt.Errorf("read control CA: %w", err)
	}
	server, err := parse(data)
	if err == nil && fresh(server.certificate, now) && server.certificate.CheckSignatureFrom(ca.certificate) == nil &&
		string(data[KeyCA]) == string(caData[KeyCertificate]) {
		return data, nil
	}
	template := newTemplate(control.ServerName, now, serverLifetime)
	template.DNSNames = []string{control.ServerName}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	made, err := issue(template, &ca)
	if err != nil {
		return nil, err
	}
	made[KeyCA] = caData[KeyCertificate]
	return made, nil
}

// Client gives what the operator reaches the servers of this CA with. It is good for half a day.
func Client(caData map[string][]byte, now time.Time) (*tls.Config, error) {
	ca, err := parse(caData)
	if err != nil {
		return nil, fmt.Errorf("read control CA: %w", err)
	}
	template := newTemplate(control.ClientName, now, clientLifetime)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	made, err := issue(template, &ca)
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(made[KeyCertificate], made[KeyPrivate])
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{certificate},
		RootCAs:      roots,
		ServerName:   control.ServerName,
	}, nil
}

// fresh tells whether more than a third of a certificate's time is left.
func fresh(c *x509.Certificate, now time.Time) bool {
	lifetime := c.NotAfter.Sub(c.NotBefore)
	return now.After(c.NotBefore) && c.NotAfter.Sub(now) > lifetime/3
}

func newTemplate(name string, now time.Time, lifetime time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate),
		NotAfter:  now.Add(lifetime),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

// issue makes a key and a certificate for it, signed by the issuer, or by itself if there is none.
func issue(template *x509.Certificate, issuer *pair) (map[string][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126)); err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	if issuer == nil {
		issuer = &pair{certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, key.Public(), issuer.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return map[string][]byte{
		KeyCertificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPrivate:     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}

// parse reads a Secret's data.
func parse(data map[string][]byte) (pair, error) {
	both, err := tls.X509KeyPair(data[KeyCertificate], data[KeyPrivate])
	if err != nil {
		return pair{}, err
	}
	key, ok := both.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return pair{}, errors.New("the key is not an ECDSA key")
	}
	return pair{certificate: both.Leaf, key: key}, nil
}
