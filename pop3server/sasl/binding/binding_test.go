package binding

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"testing"
)

// The digest is what MIT Kerberos and gss-ntlmssp make of a certificate's hash of 32 octets 0x11.
func TestDigestOfEndPoint(t *testing.T) {
	digest := OfEndPoint(bytes.Repeat([]byte{0x11}, 32))
	if got := hex.EncodeToString(digest[:]); got != "187b8ed16257050635bf9bbd99eb5e29" {
		t.Errorf("the digest is %s", got)
	}
}

func TestEndPointTakesTheHashOfTheSignature(t *testing.T) {
	raw := []byte("a certificate")
	short, middle, long := sha256.Sum256(raw), sha512.Sum384(raw), sha512.Sum512(raw)
	for algorithm, want := range map[x509.SignatureAlgorithm][]byte{
		x509.MD5WithRSA: short[:], x509.SHA1WithRSA: short[:], x509.ECDSAWithSHA1: short[:], x509.SHA256WithRSA: short[:],
		x509.ECDSAWithSHA256: short[:], x509.ECDSAWithSHA384: middle[:], x509.SHA512WithRSAPSS: long[:],
	} {
		got, err := EndPoint(&x509.Certificate{Raw: raw, SignatureAlgorithm: algorithm})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v; want %x", algorithm, got, err, want)
		}
	}
	if got, err := EndPoint(&x509.Certificate{Raw: raw, SignatureAlgorithm: x509.PureEd25519}); err == nil {
		t.Errorf("Ed25519: %x, want an error", got)
	}
}

func TestPolicies(t *testing.T) {
	none, right, wrong := Digest{}, Digest{1}, Digest{2}
	for _, test := range []struct {
		policy     Policy
		want, sent Digest
		ok         bool
	}{
		{None, right, none, true}, {None, right, wrong, true}, {None, none, wrong, true},
		{Allow, right, none, true}, {Allow, right, right, true}, {Allow, right, wrong, false},
		{Allow, none, none, true}, {Allow, none, wrong, false},
		{Require, right, right, true}, {Require, right, none, false}, {Require, right, wrong, false},
		{Require, none, none, false}, {Require, none, wrong, false},
	} {
		if err := test.policy.Check(test.want, test.sent); errors.Is(err, ErrMismatch) == test.ok {
			t.Errorf("%s: %x is wanted, %x is sent: %v", test.policy, test.want, test.sent, err)
		}
	}
}
