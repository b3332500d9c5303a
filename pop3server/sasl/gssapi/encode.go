package gssapi

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// encode makes an [APPLICATION n] SEQUENCE.
func encode(tag asn1.Tag, content cryptobyte.BuilderContinuation) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(application(tag), func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, content) })
	return b.Bytes()
}

// addField adds field n of a SEQUENCE.
func addField(b *cryptobyte.Builder, n asn1.Tag, content cryptobyte.BuilderContinuation) {
	b.AddASN1(explicit(n), content)
}

func addSequence(b *cryptobyte.Builder, n asn1.Tag, content cryptobyte.BuilderContinuation) {
	addField(b, n, func(b *cryptobyte.Builder) { b.AddASN1(asn1.SEQUENCE, content) })
}

func addInteger(b *cryptobyte.Builder, n asn1.Tag, value int64) {
	addField(b, n, func(b *cryptobyte.Builder) { b.AddASN1Int64(value) })
}

func addOctets(b *cryptobyte.Builder, n asn1.Tag, value []byte) {
	addField(b, n, func(b *cryptobyte.Builder) { b.AddASN1OctetString(value) })
}
