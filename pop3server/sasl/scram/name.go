package scram

import "strings"

// maxNameOctets is the most that a name may have, as in PLAIN (RFC 4616 §2).
const maxNameOctets = 255

var unescape = strings.NewReplacer("=2C", ",", "=3D", "=")

// parseName takes an attribute whose value is a saslname: a comma in it is "=2C", an equals sign "=3D", and with any other
// use of "=" the exchange must fail (RFC 5802 §5.1).
func parseName(attribute, prefix string) (string, error) {
	value, ok := strings.CutPrefix(attribute, prefix)
	if !ok || value == "" {
		return "", malformed("want a name")
	}
	escapes := strings.Count(value, "=2C") + strings.Count(value, "=3D")
	if strings.Count(value, "=") != escapes {
		return "", malformed("want a name in which = is followed by 2C or 3D")
	}
	name := unescape.Replace(value)
	if len(name) > maxNameOctets {
		return "", malformed("the name is too long")
	}
	return name, nil
}
