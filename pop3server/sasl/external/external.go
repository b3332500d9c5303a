// Package external is the SASL mechanism EXTERNAL (RFC 4422 appendix A): the client has proven who it is outside of the
// exchange, here with the certificate that it showed in the TLS handshake.
package external

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/popservice/popservice/pop3server/sasl"
)

// Name is the mechanism's name in the IANA registry.
const Name = "EXTERNAL"

// maxOctets is the most that an authorization identity may have.
const maxOctets = 255

// Options is what the mechanism knows of the client and asks the caller.
type Options struct {
	// Identities are the names of the client's certificate, which must have been verified, as IdentitiesOf gives them.
	// With none the exchange fails.
	Identities []string

	// Authorize tells whether the identity may act as authzid, which is UTF-8 text without NUL of at most 255 octets. Where it
	// is empty, the client wants to act as whoever the identity is. The identities are tried in their order until one may.
	Authorize func(identity, authzid string) error
}

// mechanism is an exchange of at most one challenge, which is empty, and one response.
type mechanism struct {
	options Options
	asked   bool // the client sent no initial response, and was asked for one
	over    bool
}

// New makes the server's side of one exchange.
func New(options Options) sasl.Mechanism { return &mechanism{options: options} }

// Next asks for the authorization identity where the client sent no initial response, and decides.
func (m *mechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	if m.over {
		return nil, false, fmt.Errorf("%w EXTERNAL: the exchange is over", sasl.ErrMalformed)
	}
	if response == nil && !m.asked {
		m.asked = true
		return []byte{}, false, nil
	}
	m.over = true
	if err := m.decide(string(response)); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

func (m *mechanism) decide(authzid string) error {
	// RFC 4422 appendix A.1: authzid = *( UTF8-char-no-nul )
	if len(authzid) > maxOctets || !utf8.ValidString(authzid) || strings.ContainsRune(authzid, 0) {
		return fmt.Errorf("%w EXTERNAL: want at most %d octets of UTF-8 text without NUL", sasl.ErrMalformed, maxOctets)
	}
	if len(m.options.Identities) == 0 {
		return fmt.Errorf("%w: the client's certificate has no name, or there is none", sasl.ErrFailed)
	}
	return m.authorize(authzid)
}

// authorize gives nil where one of the identities may act as authzid, else the errors of all.
func (m *mechanism) authorize(authzid string) error {
	var failures []error
	for _, identity := range m.options.Identities {
		err := m.options.Authorize(identity, authzid)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
