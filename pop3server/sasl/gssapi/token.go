package gssapi

import (
	encoding_asn1 "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The mechanisms. Microsoft's is Kerberos too, its number cut to 16 bits by mistake (113554 - 65536); only SPNEGO has it.
var (
	oidKerberos  = encoding_asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2} // RFC 4121 §1
	oidMicrosoft = encoding_asn1.ObjectIdentifier{1, 2, 840, 48018, 1, 2, 2}
	oidSPNEGO    = encoding_asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2} // RFC 4178 §3
)

// tokenID tells what is in a token of the Kerberos mechanism (RFC 4121 §4.1).
type tokenID uint16

const (
	tokenAPReq tokenID = 0x0100
	tokenAPRep tokenID = 0x0200
)

// application is the tag [APPLICATION n], constructed.
func application(n asn1.Tag) asn1.Tag { return 0x60 | n }

// frame makes a token (RFC 2743 §3.1) of the Kerberos mechanism.
func frame(id tokenID, message []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(application(0), func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidKerberos)
		b.AddUint16(uint16(id))
		b.AddBytes(message)
	})
	return b.BytesOrPanic() // the length of an AP-REP is nothing that it panics for
}

// unframe gives the message in a token of the Kerberos mechanism, of which it is a part.
func unframe(token []byte, want tokenID) ([]byte, error) {
	mechanism, rest, ok := openToken(token)
	var id uint16
	switch {
	case !ok:
		return nil, malformed("not one token of the GSS-API")
	case !mechanism.Equal(oidKerberos):
		return nil, malformed("token is of another mechanism than Kerberos V5")
	case !rest.ReadUint16(&id) || tokenID(id) != want:
		return nil, malformed("token is no AP-REQ")
	}
	return rest, nil
}

// openToken takes a token apart. Nothing may follow it.
func openToken(token []byte) (mechanism encoding_asn1.ObjectIdentifier, rest cryptobyte.String, ok bool) {
	s := cryptobyte.String(token)
	ok = s.ReadASN1(&rest, application(0)) && s.Empty() && rest.ReadASN1ObjectIdentifier(&mechanism)
	return mechanism, rest, ok
}
