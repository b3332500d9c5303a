package ntlm

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/popservice/popservice/pop3server/sasl"
)

// maxNameUnits bounds the name of a user or of a domain, in UTF-16 code units: UNLEN of Windows.
const maxNameUnits = 256

// name is a user's or a domain's.
type name struct {
	text  string // in UTF-8
	wide  []byte // in UTF-16LE, as the client has hashed it
	upper []byte // the same in upper case
}

// parseName decodes a name in UTF-16LE, or else in what both sides of OEM hope to be the same character set.
func parseName(octets []byte, inUnicode bool) (name, error) {
	if inUnicode {
		return parseUnicode(octets)
	}
	return parseOEM(octets)
}

// parseUnicode refuses halves of surrogate pairs: names that differ in them alone would become the same text.
func parseUnicode(octets []byte) (name, error) {
	if len(octets)%2 != 0 || len(octets)/2 > maxNameUnits {
		return name{}, errName
	}
	units := make([]uint16, len(octets)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(octets[2*i:])
	}
	runes := utf16.Decode(units)
	if !slices.Equal(utf16.Encode(runes), units) {
		return name{}, errName
	}
	return name{text: string(runes), wide: wide(units), upper: wide(mapped(units, upcase))}, nil
}

// parseOEM takes the text for UTF-8, of which ASCII is all that can be relied upon. For the hash, curl widens each octet to a
// code unit and knows no upper case but ASCII's.
func parseOEM(octets []byte) (name, error) {
	if !utf8.Valid(octets) || len(octets) > maxNameUnits {
		return name{}, errName
	}
	units := make([]uint16, len(octets))
	for i, octet := range octets {
		units[i] = uint16(octet)
	}
	return name{text: string(octets), wide: wide(units), upper: wide(mapped(units, upcaseASCII))}, nil
}

var errName = fmt.Errorf("%w NTLM: name is too long or not in the negotiated character set", sasl.ErrMalformed)

// wide encodes code units as UTF-16LE.
func wide(units []uint16) []byte {
	octets := make([]byte, 0, 2*len(units))
	for _, unit := range units {
		octets = binary.LittleEndian.AppendUint16(octets, unit)
	}
	return octets
}

func mapped(units []uint16, to func(uint16) uint16) []uint16 {
	result := make([]uint16, len(units))
	for i, unit := range units {
		result[i] = to(unit)
	}
	return result
}

// upcase is the Uppercase of [MS-NLMP] §3.3.2 as Windows does it: one code unit becomes one code unit, and but for the final
// sigma only where the lower case of the result is the original. So "ß" is no "SS", dotless "ı" no "I", "ſ" no "S" and "µ" no
// Greek letter, and outside of the Basic Multilingual Plane, where a character is two code units, nothing changes. A client
// with rules of its own cannot log in with a name in which that matters, unless its user writes it in upper case.
func upcase(unit uint16) uint16 {
	lower := rune(unit)
	upper := unicode.ToUpper(lower)
	if unicode.ToLower(upper) != lower && lower != 'ς' {
		return unit
	}
	return uint16(upper) //nolint:gosec // no letter of the Basic Multilingual Plane has its upper case outside of it
}

func upcaseASCII(unit uint16) uint16 {
	if 'a' <= unit && unit <= 'z' {
		return unit - 'a' + 'A'
	}
	return unit
}
