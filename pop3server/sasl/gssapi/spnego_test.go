package gssapi

import (
	encoding_asn1 "encoding/asn1"
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/popservice/popservice/pop3server/sasl"
)

var oidNTLM = encoding_asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 2, 10}

// negTokenInit is a client's first token of SPNEGO, which prefers a mechanism and offers NTLM besides.
func negTokenInit(mechanism encoding_asn1.ObjectIdentifier, inner []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(application(0), func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSPNEGO)
		addSequence(b, choiceInit, func(b *cryptobyte.Builder) {
			addSequence(b, 0, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(mechanism)
				b.AddASN1ObjectIdentifier(oidNTLM)
			})
			addField(b, 1, func(b *cryptobyte.Builder) { b.AddASN1BitString([]byte{0}) })
			if inner != nil {
				addField(b, 2, func(b *cryptobyte.Builder) { b.AddASN1(asn1.OCTET_STRING, add(inner)) })
			}
			addField(b, 3, func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte("MIC")) })
		})
	})
	return b.BytesOrPanic()
}

func add(octets []byte) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) { b.AddBytes(octets) }
}

// takeNegTokenResp checks that the negotiation is over, and gives the token in the response.
func takeNegTokenResp(t *testing.T, token []byte, want encoding_asn1.ObjectIdentifier) []byte {
	t.Helper()
	var response struct {
		State     encoding_asn1.Enumerated       `asn1:"explicit,tag:0"`
		Mechanism encoding_asn1.ObjectIdentifier `asn1:"explicit,tag:1"`
		Token     []byte                         `asn1:"explicit,optional,omitempty,tag:2"`
	}
	rest, err := encoding_asn1.UnmarshalWithParams(token, &response, "explicit,tag:1")
	if err != nil || len(rest) > 0 {
		t.Fatal(err, rest)
	}
	if response.State != 0 || !response.Mechanism.Equal(want) {
		t.Errorf("the response has state %v and mechanism %v", response.State, response.Mechanism)
	}
	return response.Token
}

func TestSPNEGO(t *testing.T) {
	for _, mechanism := range []encoding_asn1.ObjectIdentifier{oidKerberos, oidMicrosoft} {
		for _, mutual := range []bool{false, true} {
			i, e := newInitiator(t, 18), newExchange(t)
			e.SPNEGO = true
			i.sum[20] = 0 // integrity is not needed
			if mutual {
				i.mutual()
			}
			m := New(e.Options)
			challenge, done, err := m.Next(negTokenInit(mechanism, i.token()))
			if done || err != nil {
				t.Fatalf("Next(token) = %v, %v", done, err)
			}
			response := takeNegTokenResp(t, challenge, mechanism)
			if mutual {
				i.takeReply(response)
			} else if response != nil {
				t.Errorf("the response has a token: %x", response)
			}
			if _, done, err := m.Next([]byte{}); !done || err != nil {
				t.Errorf("Next = %v, %v", done, err)
			}
			if want := []string{"alice@EXAMPLE.COM for "}; !slices.Equal(e.authorized, want) {
				t.Errorf("authorized %q, want %q", e.authorized, want)
			}
		}
	}
}

// With SPNEGO allowed, the exchange of RFC 4752 is there as before.
func TestSPNEGOIsNotAllThereIs(t *testing.T) {
	checkLogin(t, newInitiator(t, 18), func(e *exchange) { e.SPNEGO = true })
}

func TestSPNEGORefusals(t *testing.T) {
	i := newInitiator(t, 18)
	other := negTokenInit(oidKerberos, i.token())
	for name, test := range map[string]struct {
		token []byte
		want  error
	}{
		"NTLM":          {negTokenInit(oidNTLM, i.token()), sasl.ErrFailed},
		"no token":      {negTokenInit(oidKerberos, nil), sasl.ErrMalformed},
		"no AP-REQ":     {negTokenInit(oidKerberos, []byte("NTLMSSP")), sasl.ErrMalformed},
		"SPNEGO within": {negTokenInit(oidKerberos, other), sasl.ErrMalformed},
	} {
		e := newExchange(t)
		e.SPNEGO = true
		m := New(e.Options)
		challenge, done, err := m.Next(test.token)
		checkEnd(t, m, challenge, done, err)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: the error is %v, want %v", name, err, test.want)
		}
	}
	for n := range other {
		e := newExchange(t)
		e.SPNEGO = true
		m := New(e.Options)
		challenge, done, err := m.Next(other[:n])
		checkEnd(t, m, challenge, done, err)
	}
}

// The client's answer to the server's last token is empty.
func TestSPNEGOHasNoLayers(t *testing.T) {
	i, e := newInitiator(t, 18), newExchange(t)
	e.SPNEGO = true
	m := New(e.Options)
	if _, _, err := m.Next(negTokenInit(oidKerberos, i.token())); err != nil {
		t.Fatal(err)
	}
	challenge, done, err := m.Next(i.wrap([]byte("\x01\x00\x00\x00"), wrapping{}))
	checkEnd(t, m, challenge, done, err)
}
