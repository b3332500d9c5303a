// Package oauth has the SASL mechanisms that carry OAuth 2.0 bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, its
// forerunner, as Google and Microsoft define it. What a token is and whether it is good, the caller says.
//
// A token is as good as a password for as long as it lives: both mechanisms belong on TLS alone (RFC 7628 §5).
package oauth

import (
	"fmt"

	"github.com/popservice/popservice/pop3server/sasl"
)

// The mechanisms' names. XOAUTH2 is in no registry.
const (
	NameBearer  = "OAUTHBEARER"
	NameXOAuth2 = "XOAUTH2"
)

// Options is what the mechanisms ask and tell. Validate and Authorize must be there.
type Options struct {
	// Validate checks the token and gives whose it is. The token has the syntax of a bearer token (RFC 6750 §2.1) and at most
	// MaxToken octets. Its error becomes the exchange's.
	Validate func(token string) (subject string, err error)

	// Authorize tells whether the token's subject may act as authzid, which is text of 1 to 255 octets without control
	// characters: OAUTHBEARER's authorization identity, or XOAUTH2's user. With OAUTHBEARER it may also be empty and then
	// stands for the subject's own mailbox (RFC 7628 §3.1). Its error becomes the exchange's.
	Authorize func(subject, authzid string) error

	// Discovery is the URL of the OpenID provider configuration, for clients without a good token. It may be empty.
	Discovery string
	// Scope is the scope that a token needs, for clients without a good token. It may be empty.
	Scope string
}

// NewBearer makes the server's side of one exchange of OAUTHBEARER.
func NewBearer(options Options) sasl.Mechanism { return &mechanism{form: bearer, options: options} }

// NewXOAuth2 makes the server's side of one exchange of XOAUTH2.
func NewXOAuth2(options Options) sasl.Mechanism { return &mechanism{form: xoauth2, options: options} }

// form is in what the mechanisms differ.
type form struct {
	name  string
	parse func(text string) (message, error)
	// refusal is the challenge that tells the client of its failure; dummy is the response to it, which says nothing.
	refusal func(Options) []byte
	dummy   string
}

var (
	bearer  = form{NameBearer, parseBearer, refuseBearer, kvsep} // dummy: RFC 7628 §3.2.3
	xoauth2 = form{NameXOAuth2, parseXOAuth2, refuseXOAuth2, ""} // dummy: "Error Response" of Google's description
)

// state is where an exchange stands.
type state int

const (
	begun   state = iota // nothing has come
	asked                // the client sent no initial response, and was asked for its message
	refused              // the client has been told of its failure, and has a response to give
	over
)

// mechanism is an exchange of one message and, where that fails, one more challenge and response.
type mechanism struct {
	form
	options Options
	state   state
	failure error // what the client has been told of, without the reason
}

// Next takes the client's message; after a failure, the response that says nothing.
func (m *mechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case m.state == begun && response == nil:
		m.state = asked
		return []byte{}, false, nil
	case m.state == begun || m.state == asked:
		return m.answer(m.check(response))
	case m.state == refused:
		m.state = over
		return nil, false, m.close(string(response))
	}
	return nil, false, fmt.Errorf("%w %s: the exchange is over", sasl.ErrMalformed, m.name)
}

// check takes the message apart, then asks whose the token is, then whether that one may act as the client wants.
func (m *mechanism) check(response []byte) error {
	if len(response) > MaxMessage {
		return fmt.Errorf("%w %s: more than %d octets", sasl.ErrMalformed, m.name, MaxMessage)
	}
	message, err := m.parse(string(response))
	if err != nil {
		return fmt.Errorf("%w %s: %w", sasl.ErrMalformed, m.name, err)
	}
	subject, err := m.options.Validate(message.token)
	if err != nil {
		return err
	}
	return m.options.Authorize(subject, message.authzid)
}

// answer ends the exchange, or tells the client that it has failed. All failures look the same to the client.
func (m *mechanism) answer(failure error) (challenge []byte, done bool, err error) {
	if failure == nil {
		m.state = over
		return nil, true, nil
	}
	m.state, m.failure = refused, failure
	return m.refusal(m.options), false, nil
}

var _ sasl.Refuser = (*mechanism)(nil)

// Refused implements sasl.Refuser.
func (m *mechanism) Refused() error {
	if m.state != refused {
		return nil
	}
	return m.failure
}

// close gives the failure, now that the client knows of it and has answered.
func (m *mechanism) close(response string) error {
	if response == m.dummy {
		return m.failure
	}
	return fmt.Errorf("%w %s: not the response to a failure: %w", sasl.ErrMalformed, m.name, m.failure)
}
