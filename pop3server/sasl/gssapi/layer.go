package gssapi

import (
	"bytes"
	"unicode/utf8"
)

// noLayer is the bit of "no security layer" (RFC 4752 §3.3).
const noLayer = 1

// maxAuthzid is the most octets that an authzid may have, as with PLAIN.
const maxAuthzid = 255

// layerOctets is the length of what is in front of the authzid: the layer, and how much a client takes at once.
const layerOctets = 4

// layerOffer offers no layer, and so no octets at once (RFC 4752 §3.2).
func layerOffer() []byte { return []byte{noLayer, 0, 0, 0} }

// parseChoice gives the authzid of a client's choice (RFC 4752 §3.1). How much the client takes at once does not matter, since
// nothing is wrapped any more; some clients send what they would take.
func parseChoice(message []byte) (authzid string, err error) {
	if len(message) < layerOctets {
		return "", malformed("choice of a layer is too short")
	}
	if message[0] != noLayer {
		return "", failed("the client wants a security layer, or several")
	}
	id := message[layerOctets:]
	if len(id) > maxAuthzid || !utf8.Valid(id) || bytes.IndexByte(id, 0) >= 0 {
		return "", malformed("authzid is too long, not UTF-8, or has a NUL")
	}
	return string(id), nil
}
