package scram

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/popservice/popservice/pop3server/sasl"
)

// maxNonceOctets bounds the client's nonce; usual ones have 24 to 44.
const maxNonceOctets = 512

// clientFirst is a client-first-message (RFC 5802 §7). Its parts are copies of the client's octets.
type clientFirst struct {
	header      string // gs2-header, with both commas
	flag        byte   // gs2-cbind-flag: n, y or p
	bindingType string // with p
	authzid     string // empty if there is none
	authcid     string
	nonce       string
	bare        string // client-first-message-bare
}

// clientFinal is a client-final-message (RFC 5802 §7).
type clientFinal struct {
	binding      []byte // cbind-input, decoded
	nonce        string
	proof        []byte // ClientProof, sha256.Size octets
	withoutProof string // client-final-message-without-proof
}

// malformed says what is wrong with a message, never what is in it.
func malformed(what string) error { return fmt.Errorf("%w SCRAM: %s", sasl.ErrMalformed, what) }

// parseClientFirst takes a client-first-message apart: gs2-cbind-flag "," [authzid] "," username "," nonce ["," extensions].
func parseClientFirst(message []byte) (m clientFirst, err error) {
	text, err := textOf(message)
	if err != nil {
		return clientFirst{}, err
	}
	flag, rest, _ := strings.Cut(text, ",")
	authzid, bare, ok := strings.Cut(rest, ",")
	if !ok {
		return clientFirst{}, malformed("want the GS2 header, a name and a nonce")
	}
	m.header, m.bare = strings.TrimSuffix(text, bare), bare
	if m.flag, m.bindingType, err = parseFlag(flag); err != nil {
		return clientFirst{}, err
	}
	if authzid != "" {
		if m.authzid, err = parseName(authzid, "a="); err != nil {
			return clientFirst{}, err
		}
	}
	return m, m.parseBare()
}

// parseBare takes username, nonce and extensions. In front of them may be reserved-mext, "m=", which nobody knows: then the
// exchange must fail (RFC 5802 §5.1), as it does wherever else one is.
func (m *clientFirst) parseBare() (err error) {
	attributes := strings.Split(m.bare, ",")
	if len(attributes) < 2 {
		return malformed("want a name and a nonce")
	}
	if m.authcid, err = parseName(attributes[0], "n="); err != nil {
		return err
	}
	if m.nonce, err = parseNonce(attributes[1]); err != nil {
		return err
	}
	if len(m.nonce) > maxNonceOctets {
		return malformed("the nonce is too long")
	}
	return checkExtensions(attributes[2:])
}

// parseFlag takes gs2-cbind-flag: "n", "y", or "p=" and the name of a type of binding. Whether there is such a type is not
// asked here.
func parseFlag(text string) (flag byte, bindingType string, err error) {
	switch bindingType, ok := strings.CutPrefix(text, "p="); {
	case ok && bindingType != "":
		return 'p', bindingType, nil
	case text == "n", text == "y":
		return text[0], "", nil
	}
	return 0, "", malformed("want n, y or p= and a type of channel binding")
}

// parseClientFinal takes a client-final-message apart: channel-binding "," nonce ["," extensions] "," proof.
func parseClientFinal(message []byte) (m clientFinal, err error) {
	text, err := textOf(message)
	if err != nil {
		return clientFinal{}, err
	}
	comma := strings.LastIndexByte(text, ',')
	attributes := strings.Split(text[:max(comma, 0)], ",")
	if len(attributes) < 2 {
		return clientFinal{}, malformed("want channel binding, nonce and proof")
	}
	m.withoutProof = text[:comma]
	if m.binding, err = parseBase64(attributes[0], "c="); err != nil {
		return clientFinal{}, err
	}
	if m.nonce, err = parseNonce(attributes[1]); err != nil {
		return clientFinal{}, err
	}
	if m.proof, err = parseBase64(text[comma+1:], "p="); err != nil || len(m.proof) != sha256.Size {
		return clientFinal{}, malformed("want a proof as long as the hash")
	}
	return m, checkExtensions(attributes[2:])
}

// textOf gives a message as text: UTF-8 without NUL (RFC 5802 §7), of a bounded length.
func textOf(message []byte) (string, error) {
	if len(message) > MaxOctets {
		return "", malformed("the message is too long")
	}
	text := string(message)
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return "", malformed("want UTF-8 without NUL")
	}
	return text, nil
}

// parseNonce takes "r=" and one or more printable characters (RFC 5802 §7; a comma cannot be here).
func parseNonce(attribute string) (string, error) {
	nonce, ok := strings.CutPrefix(attribute, "r=")
	if !ok || nonce == "" || strings.ContainsFunc(nonce, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return "", malformed("want a nonce of printable characters")
	}
	return nonce, nil
}

// parseBase64 takes an attribute of base64. The decoder passes over line ends, which have no place here.
func parseBase64(attribute, prefix string) ([]byte, error) {
	value, ok := strings.CutPrefix(attribute, prefix)
	if !ok || strings.ContainsAny(value, "\r\n") {
		return nil, malformed("want an attribute of base64")
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil { // which would quote it
		return nil, malformed("want an attribute of base64")
	}
	return decoded, nil
}

// attributesOfRFC5802 have their places, so they are no extensions (RFC 5802 §5.1). "m" would be one that must be understood.
const attributesOfRFC5802 = "anmrcsipve"

// checkExtensions passes over extensions, as those that are not known are to be ignored (RFC 5802 §7), if they are any.
func checkExtensions(attributes []string) error {
	for _, a := range attributes {
		if len(a) < 3 || !isLetter(a[0]) || a[1] != '=' || strings.IndexByte(attributesOfRFC5802, a[0]) >= 0 {
			return malformed("want extensions that may be ignored")
		}
	}
	return nil
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
