package gssapi

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// checksum is what the GSS-API puts in place of an authenticator's checksum (RFC 4121 §4.1.1).
type checksum struct {
	binding binding.Digest
	flags   uint32
}

const checksumType = 0x8003

// Flags (RFC 4121 §4.1.1.1).
const (
	flagMutual    = 0x02
	flagIntegrity = 0x20
)

// parseChecksum decodes the fixed fields: length of the binding, the binding, flags, all little-endian. What follows, delegated
// credentials and extensions, is not looked at.
func parseChecksum(a *authenticator) (c checksum, err error) {
	const size = 4 + len(c.binding) + 4
	text := a.checksum
	if a.checksumType != checksumType || len(text) < size || binary.LittleEndian.Uint32(text) != uint32(len(c.binding)) {
		return checksum{}, malformed("authenticator's checksum is not as RFC 4121 §4.1.1 has it")
	}
	copy(c.binding[:], text[4:])
	c.flags = binary.LittleEndian.Uint32(text[4+len(c.binding):])
	return c, nil
}

// Authorization data (RFC 4120 §5.2.6, [MS-KILE] §3.2.5.8).
const (
	adIfRelevant = 1
	adAPOptions  = 143
	apOptionsCBT = 0x4000
)

// bindingAware tells whether an authenticator's authorization data say that the client sends a channel binding where it has
// one. Data that cannot be read say nothing.
func bindingAware(data cryptobyte.String) bool {
	aware := false
	eachAuthorization(data, adIfRelevant, func(inner cryptobyte.String) {
		eachAuthorization(inner, adAPOptions, func(options cryptobyte.String) {
			aware = aware || len(options) == 4 && binary.LittleEndian.Uint32(options)&apOptionsCBT != 0
		})
	})
	return aware
}

// eachAuthorization calls do with each element of a type.
func eachAuthorization(data cryptobyte.String, want int32, do func(cryptobyte.String)) {
	var list cryptobyte.String
	for ok := data.ReadASN1(&list, asn1.SEQUENCE); ok && !list.Empty(); {
		f := &fields{decoder: &decoder{}}
		ok = list.ReadASN1(&f.String, asn1.SEQUENCE)
		found, content := f.int32(0), cryptobyte.String(f.octets(1))
		if ok = ok && !f.bad; ok && found == want {
			do(content)
		}
	}
}
