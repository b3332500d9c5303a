package gssapi

import (
	encoding_asn1 "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The choices of NegotiationToken (RFC 4178 §4.2).
const (
	choiceInit = 0
	choiceResp = 1
)

// acceptCompleted is the negState of a negotiation that is over (RFC 4178 §4.2.2).
const acceptCompleted = 0

// isSPNEGO tells whether a client's first token is one of SPNEGO.
func isSPNEGO(token []byte) bool {
	mechanism, _, ok := openToken(token)
	return ok && mechanism.Equal(oidSPNEGO)
}

// parseNegTokenInit gives the Kerberos mechanism that a client prefers and that mechanism's token (RFC 4178 §4.2.1). Where it
// is not the one that the client prefers, as the token is not, there would have to be another round.
func parseNegTokenInit(token []byte) (mechanism encoding_asn1.ObjectIdentifier, inner []byte, err error) {
	_, rest, ok := openToken(token)
	f := &fields{decoder: &decoder{}, String: rest}
	f.String = f.read(choiceInit, asn1.SEQUENCE)
	mechanisms := f.read(0, asn1.SEQUENCE)
	f.check(mechanisms.ReadASN1ObjectIdentifier(&mechanism))
	if f.has(1) {
		f.bits(1) // reqFlags, which are to be ignored
	}
	inner = f.octets(2)
	switch {
	case !ok || f.bad:
		return nil, nil, malformed("not a NegTokenInit with a token in it")
	case !mechanism.Equal(oidKerberos) && !mechanism.Equal(oidMicrosoft):
		return nil, nil, failed("SPNEGO: the client prefers another mechanism than Kerberos V5")
	}
	return mechanism, inner, nil
}

// negTokenResp says that the negotiation is over (RFC 4178 §4.2.2). It needs no MIC, since the client has what it prefers (§5).
func negTokenResp(mechanism encoding_asn1.ObjectIdentifier, reply []byte) []byte {
	var b cryptobyte.Builder
	addSequence(&b, choiceResp, func(b *cryptobyte.Builder) {
		addField(b, 0, func(b *cryptobyte.Builder) { b.AddASN1Enum(acceptCompleted) })
		addField(b, 1, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(mechanism) })
		if reply != nil {
			addOctets(b, 2, reply)
		}
	})
	return b.BytesOrPanic() // only numbers that were decoded before, and octets
}
