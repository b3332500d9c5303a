// Package binding ties an authentication exchange to the TLS connection that it runs in (RFC 5056), so that nobody who relays
// the exchange from another connection can log in with it. Exchange calls it extended protection.
package binding

import (
	"crypto"
	"crypto/md5" //nolint:gosec // the hash of the GSS-API's structure, not of a secret ([MS-NLMP] §2.2.2.1 MsvAvChannelBindings)
	_ "crypto/sha256"
	_ "crypto/sha512" // EndPoint's hashes
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
)

// Policy says what becomes of exchanges with and without a channel binding: Exchange's ExtendedProtectionPolicy.
type Policy string

// The policies.
const (
	None    Policy = "None"    // a binding is not looked at
	Allow   Policy = "Allow"   // one that is there must be right
	Require Policy = "Require" // it must be there
)

// ErrMismatch says that a channel binding is wrong, or is missing where it is required.
var ErrMismatch = errors.New("channel binding is wrong or missing")

// Digest is the form in which NTLM and the GSS-API's Kerberos mechanism carry a binding. Zero stands for none.
type Digest [md5.Size]byte

// prefixEndPoint is in front of tls-server-end-point's hash (RFC 5929 §4; RFC 5056 §2.1).
const prefixEndPoint = "tls-server-end-point:"

// EndPoint gives the tls-server-end-point binding of a connection in which the server has shown this certificate: its hash,
// by the hash of its signature, or by SHA-256 where that is MD5 or SHA-1 (RFC 5929 §4.1). Where the signature has no such
// hash, as Ed25519, the binding is not defined, and it fails.
func EndPoint(leaf *x509.Certificate) ([]byte, error) {
	hash, ok := signatureHashes[leaf.SignatureAlgorithm]
	if !ok {
		return nil, fmt.Errorf("tls-server-end-point is not defined for a certificate that is signed with %s (RFC 5929 §4.1)",
			leaf.SignatureAlgorithm)
	}
	h := hash.New()
	h.Write(leaf.Raw)
	return h.Sum(nil), nil
}

var signatureHashes = map[x509.SignatureAlgorithm]crypto.Hash{
	x509.MD5WithRSA: crypto.SHA256, x509.SHA1WithRSA: crypto.SHA256, x509.ECDSAWithSHA1: crypto.SHA256,
	x509.SHA256WithRSA: crypto.SHA256, x509.SHA256WithRSAPSS: crypto.SHA256, x509.ECDSAWithSHA256: crypto.SHA256,
	x509.SHA384WithRSA: crypto.SHA384, x509.SHA384WithRSAPSS: crypto.SHA384, x509.ECDSAWithSHA384: crypto.SHA384,
	x509.SHA512WithRSA: crypto.SHA512, x509.SHA512WithRSAPSS: crypto.SHA512, x509.ECDSAWithSHA512: crypto.SHA512,
}

// exporterOctets is the length of tls-exporter's binding (RFC 9266 §2).
const exporterOctets = 32

// Exporter gives the tls-exporter binding of a connection. It fails where the connection's keys do not depend on all of its
// handshake, as in TLS 1.2 without extended master secret (RFC 9266 §3).
func Exporter(state *tls.ConnectionState) ([]byte, error) {
	material, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, exporterOctets)
	if err != nil {
		return nil, fmt.Errorf("tls-exporter: %w", err)
	}
	return material, nil
}

// OfEndPoint gives the digest for what EndPoint gave: MD5 over gss_channel_bindings_struct without addresses, its integers
// little-endian (RFC 4121 §4.1.1.2; [MS-NLMP] §2.2.2.1).
func OfEndPoint(endPoint []byte) Digest {
	const addresses = 16 // the types and lengths of the initiator's and the acceptor's address
	data := prefixEndPoint + string(endPoint)
	text := binary.LittleEndian.AppendUint32(make([]byte, addresses), uint32(len(data))) //nolint:gosec // below 100
	return md5.Sum(append(text, data...))                                                //nolint:gosec // see above
}

// Check judges the digest that a client has sent, zero if none. want is that of this connection, zero where it has none.
func (p Policy) Check(want, sent Digest) error {
	switch none := (Digest{}); {
	case p == None, p == Allow && sent == none:
		return nil
	case want == none, subtle.ConstantTimeCompare(want[:], sent[:]) != 1:
		return ErrMismatch
	}
	return nil
}
