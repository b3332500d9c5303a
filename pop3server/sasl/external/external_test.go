package external

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/sasl"
)

var errRefused = errors.New("test: refused")

// options let each identity be itself, and b@x also boss.
func options(identities ...string) Options {
	return Options{Identities: identities, Authorize: func(identity, authzid string) error {
		if identity != "stranger@x" && (authzid == "" || authzid == identity || identity == "b@x" && authzid == "boss") {
			return nil
		}
		return errRefused
	}}
}

func TestNext(t *testing.T) {
	one, two := []string{"a@x"}, []string{"a@x", "b@x"}
	for _, test := range []struct {
		name       string
		identities []string
		authzid    string
		want       error
	}{
		{"own", one, "", nil},
		{"own, named", one, "a@x", nil},
		{"for another", two, "boss", nil},
		{"second name", two, "b@x", nil},
		{"longest", one, strings.Repeat("n", maxOctets), errRefused},
		{"first name is a stranger's", []string{"stranger@x", "a@x"}, "", nil},

		{"not for another", one, "boss", errRefused},
		{"stranger", []string{"stranger@x"}, "", errRefused},
		{"no certificate", nil, "", sasl.ErrFailed},
		{"no certificate, named", nil, "a@x", sasl.ErrFailed},
		{"NUL", one, "a@x\x00", sasl.ErrMalformed},
		{"not UTF-8", one, "a@x\xff", sasl.ErrMalformed},
		{"too long", one, strings.Repeat("n", maxOctets+1), sasl.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := New(options(test.identities...))
			challenge, done, err := m.Next([]byte(test.authzid))
			if challenge != nil || done != (test.want == nil) || !errors.Is(err, test.want) {
				t.Errorf("Next = %q, %v, %v; want %v", challenge, done, err, test.want)
			}
			if _, done, err := m.Next([]byte{}); done || !errors.Is(err, sasl.ErrMalformed) {
				t.Errorf("a further Next = %v, %v; want ErrMalformed", done, err)
			}
		})
	}
}

func TestNoInitialResponse(t *testing.T) {
	m := New(options("a@x"))
	challenge, done, err := m.Next(nil)
	if challenge == nil || len(challenge) != 0 || done || err != nil {
		t.Fatalf("Next(nil) = %q, %v, %v; want an empty challenge", challenge, done, err)
	}
	if _, done, err := m.Next([]byte{}); !done || err != nil {
		t.Errorf("Next(empty) = %v, %v; want done", done, err)
	}
	if _, done, err := New(options("a@x")).Next([]byte{}); !done || err != nil { // "=" is an initial response of no octets
		t.Errorf("Next(empty) at first = %v, %v; want done", done, err)
	}
}

// certificate makes one that has been through DER, with everything in its subject that looks like a mail address.
func certificate(t *testing.T, emails ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	emailAddress := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "boss@x"}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		Subject:        pkix.Name{CommonName: "boss@x", ExtraNames: []pkix.AttributeTypeAndValue{emailAddress}},
		DNSNames:       []string{"boss.x"},
		EmailAddresses: emails,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestIdentitiesOf(t *testing.T) {
	many := make([]string, 2*maxIdentities)
	for i := range many {
		many[i] = strings.Repeat("m", i+1) + "@x"
	}
	for _, test := range []struct {
		name            string
		has, identities []string
	}{
		{"no alternative name", nil, nil},
		{"in order", []string{"b@x", "a@x"}, []string{"b@x", "a@x"}},
		{"case of the domain", []string{"Some.Body@EXAMPLE.com"}, []string{"Some.Body@example.com"}},
		{"at sign in the local part", []string{`"A@B"@X`}, []string{`"A@B"@x`}},
		{"twice", []string{"a@x", "a@X", "A@x"}, []string{"a@x", "A@x"}},
		{"no addresses", []string{"a", "@x", "a@", "a b@x", "a@x\x00.y", ""}, nil},
		{"too long", []string{strings.Repeat("a", maxOctets) + "@x"}, nil},
		{"too many", many, many[:maxIdentities]},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := IdentitiesOf(certificate(t, test.has...)); !slices.Equal(got, test.identities) {
				t.Errorf("identities are %q, want %q", got, test.identities)
			}
		})
	}
	if got := IdentitiesOf(nil); got != nil {
		t.Errorf("identities of no certificate are %q", got)
	}
}

// FuzzNext: nobody without an identity gets in, and the caller is asked about proper text alone.
func FuzzNext(f *testing.F) {
	f.Add([]byte("a@x"), "a@x")
	f.Add([]byte{}, "A@B@X")
	f.Fuzz(func(t *testing.T, response []byte, address string) {
		identities := IdentitiesOf(&x509.Certificate{EmailAddresses: []string{address}})
		m := New(Options{Identities: identities, Authorize: func(identity, authzid string) error {
			if len(identity) > maxOctets || !strings.EqualFold(identity, address) || authzid != string(response) ||
				len(authzid) > maxOctets || strings.ContainsRune(authzid, 0) {
				t.Errorf("asked for %q as %q", identity, authzid)
			}
			return nil
		}})
		if response == nil {
			response = []byte{}
		}
		if _, done, err := m.Next(response); done != (err == nil) || done && len(identities) == 0 {
			t.Errorf("Next = %v, %v with identities %q", done, err, identities)
		}
	})
}
