// Package plain is the SASL mechanism PLAIN (RFC 4616).
package plain

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/popservice/popservice/pop3server/sasl"
)

// Name is the mechanism's name in the IANA registry.
const Name = "PLAIN"

// maxOctets is the most that each of the three parts may have (RFC 4616 §2: implementations take at least 255).
const maxOctets = 255

// Verify tells whether the password is that of the user authcid, who may act as authzid; that is empty where the client names
// nobody. It must not retain the password.
type Verify func(authzid, authcid string, password []byte) error

// mechanism is an exchange of at most one challenge, which is empty, and one response.
type mechanism struct{ verify Verify }

// New makes the server's side of one exchange. The error of verify is the error of the exchange.
func New(verify Verify) sasl.Mechanism { return mechanism{verify} }

// Next asks for the message where the client sent no initial response, and checks it.
func (m mechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte{}, false, nil
	}
	authzid, authcid, password, err := parse(response)
	if err != nil {
		return nil, false, err
	}
	if err := m.verify(authzid, authcid, password); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// parse takes a message apart: [authzid] NUL authcid NUL passwd (RFC 4616 §2). The password is a part of the message. An
// authzid that is the authcid is none: it asks for nothing more.
func parse(message []byte) (authzid, authcid string, password []byte, err error) {
	parts := bytes.Split(message, []byte{0})
	if len(parts) != 3 || !utf8.Valid(message) {
		return "", "", nil, fmt.Errorf("%w PLAIN: want three parts of UTF-8 text", sasl.ErrMalformed)
	}
	authzid, authcid, password = string(parts[0]), string(parts[1]), parts[2]
	if authcid == "" || len(password) == 0 || max(len(authzid), len(authcid), len(password)) > maxOctets {
		return "", "", nil, fmt.Errorf("%w PLAIN: want a name and a password of 1 to %d octets", sasl.ErrMalformed, maxOctets)
	}
	if authzid == authcid {
		authzid = ""
	}
	return authzid, authcid, password, nil
}
