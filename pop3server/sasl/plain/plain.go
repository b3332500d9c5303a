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

// Verify tells whether the password is the named user's. It must not retain the password.
type Verify func(name string, password []byte) error

// mechanism is an exchange of at most one challenge, which is empty, and one response.
type mechanism struct{ verify Verify }

// New makes the server's side of one exchange. The error of verify is the error of the exchange.
func New(verify Verify) sasl.Mechanism { return mechanism{verify} }

// Next asks for the message where the client sent no initial response, and checks it.
func (m mechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte{}, false, nil
	}
	name, password, err := parse(response)
	if err != nil {
		return nil, false, err
	}
	if err := m.verify(name, password); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// parse takes a message apart: [authzid] NUL authcid NUL passwd (RFC 4616 §2). The password is a part of the message.
// Nobody may act for somebody else yet, so an authzid other than the authcid is refused.
func parse(message []byte) (name string, password []byte, err error) {
	parts := bytes.Split(message, []byte{0})
	if len(parts) != 3 || !utf8.Valid(message) {
		return "", nil, fmt.Errorf("%w PLAIN: want three parts of UTF-8 text", sasl.ErrMalformed)
	}
	authzid, authcid, password := parts[0], parts[1], parts[2]
	if len(authcid) == 0 || len(password) == 0 || max(len(authzid), len(authcid), len(password)) > maxOctets {
		return "", nil, fmt.Errorf("%w PLAIN: want a name and a password of 1 to %d octets", sasl.ErrMalformed, maxOctets)
	}
	if len(authzid) > 0 && !bytes.Equal(authzid, authcid) {
		return "", nil, fmt.Errorf("%w PLAIN: acting for another user is not supported", sasl.ErrMalformed)
	}
	return string(authcid), password, nil
}
