package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Authorities reads a file of certificates in PEM form, with whatever text between them. One that is cut off, or has something
// else in it, is refused as a whole: half of it might be trusted otherwise.
func Authorities(text []byte) (*x509.CertPool, error) {
	pool, found := x509.NewCertPool(), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it has a %s that is no certificate", block.Type)
		}
		pool.AddCert(certificate)
		found++
	}
	switch begun := bytes.Count(text, []byte("-----BEGIN")); {
	case begun > found:
		return nil, errors.New("a certificate in it is cut off, or not in PEM form")
	case found == 0:
		return nil, errors.New("it has no certificate in PEM form")
	}
	return pool, nil
}
