// Package gssapi is the acceptor's side of the SASL mechanism GSSAPI (RFC 4752) over the Kerberos V5 mechanism (RFC 4121).
//
//	C: AP-REQ               who the client is, to this service
//	S: AP-REP               if the client wants to know who the server is; the client's answer is empty
//	S: wrap(offer)          the security layers that the server has: none, since TLS is the protection here
//	C: wrap(choice)         the layer that the client takes, and whom it wants to act for
//
// What a client sends is decoded here, with a parser that does not panic, and only what is checked is decoded at all: not the
// PAC in a ticket of Active Directory, and no delegated credentials. Cryptography and the keytab's format are gokrb5's.
package gssapi

import (
	"fmt"
	"time"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// Name is the mechanism's name in the IANA registry.
const Name = "GSSAPI"

// MaxToken is the most octets that a client's message may have, without base64. A ticket of a user in many groups of Active
// Directory has up to 48,000 octets (MaxTokenSize).
const MaxToken = 64 << 10

// DefaultMaxSkew is how far two clocks may be apart where nothing else is set (RFC 4120 §8.2).
const DefaultMaxSkew = 5 * time.Minute

// Principal is a client's name as its ticket has it.
type Principal struct {
	Name  string // the components, joined with "/": "alice", "host/mail.example.com"; none of them has a "/", "@" or "\"
	Realm string // "EXAMPLE.COM"
}

// String gives the name as Kerberos writes it: alice@EXAMPLE.COM.
func (p Principal) String() string { return p.Name + "@" + p.Realm }

// Options is what an exchange needs. Keytab, Replays and Authorize must be set: without one of them every exchange fails.
type Options struct {
	Keytab  *Keytab        // the service's keys
	Policy  binding.Policy // what becomes of exchanges without a channel binding
	Binding binding.Digest // this connection's; zero if it has none
	Replays *ReplayCache   // of the process
	MaxSkew time.Duration  // DefaultMaxSkew if zero
	// SPNEGO accepts, besides RFC 4752's exchange, one that is wrapped in SPNEGO and has no step for security layers. Microsoft's
	// clients of SMTP mean that one by GSSAPI ([MS-SSEAN]). What proves the client is then the AP-REQ alone.
	SPNEGO bool
	// Authorize tells whether the client may act for authzid, which is UTF-8 without NUL, at most 255 octets; empty if the
	// client wants to be itself. Its error is the error of the exchange.
	Authorize func(client Principal, authzid string) error
	Now       func() time.Time // time.Now if nil
}

// step takes a client's message. It sets the mechanism's next step where there is one.
type step func(response []byte) (challenge []byte, done bool, err error)

// mechanism is one exchange.
type mechanism struct {
	Options
	next    step
	context *context // once the client's token is accepted
}

// New makes the server's side of one exchange.
//
// Errors wrap sasl.ErrMalformed where a message is none of the mechanism, sasl.ErrFailed where it does not hold, and, beside
// that, binding.ErrMismatch where the channel binding is wrong or missing.
func New(options Options) sasl.Mechanism {
	if options.MaxSkew == 0 {
		options.MaxSkew = DefaultMaxSkew
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	m := &mechanism{Options: options}
	m.next = m.begin
	return m
}

// Next takes the client's next message. After an error, and after the exchange is done, it fails.
func (m *mechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	next := m.next
	m.next = ended
	if len(response) > MaxToken {
		return nil, false, malformed("message is too long")
	}
	return next(response)
}

func ended([]byte) ([]byte, bool, error) { return nil, false, failed("the exchange is over") }

// begin asks for the client's token where there is no initial response (RFC 4752 §3.2).
func (m *mechanism) begin(response []byte) ([]byte, bool, error) {
	if response == nil {
		m.next = m.accept
		return []byte{}, false, nil
	}
	return m.accept(response)
}

// accept takes the client's token: GSS_Accept_sec_context, which with this mechanism is one step.
func (m *mechanism) accept(token []byte) ([]byte, bool, error) {
	if m.SPNEGO && isSPNEGO(token) {
		return m.negotiate(token)
	}
	reply, err := m.establish(token)
	switch {
	case err != nil:
		return nil, false, err
	case !m.context.integrity:
		return nil, false, failed("the client does not want integrity, without which there is no RFC 4752 layer step")
	case reply == nil:
		return m.offer()
	}
	m.next = m.replied
	return reply, false, nil
}

// establish makes the context of a token of the Kerberos mechanism. The reply is a token too, nil if the client wants none.
func (m *mechanism) establish(token []byte) (reply []byte, err error) {
	request, err := unframe(token, tokenAPReq)
	if err != nil {
		return nil, err
	}
	if m.context, err = m.verify(request); err != nil || !m.context.mutual {
		return nil, err
	}
	reply, err = m.context.reply()
	if err != nil {
		return nil, err
	}
	return frame(tokenAPRep, reply), nil
}

// replied takes the client's answer to the AP-REP, which is empty (RFC 4752 §3.1).
func (m *mechanism) replied(response []byte) ([]byte, bool, error) {
	if len(response) != 0 {
		return nil, false, malformed("answer to the AP-REP is not empty")
	}
	return m.offer()
}

// negotiate takes a token of SPNEGO. The answer always has a token; the client's answer to it is empty.
func (m *mechanism) negotiate(token []byte) ([]byte, bool, error) {
	mechanism, inner, err := parseNegTokenInit(token)
	if err != nil {
		return nil, false, err
	}
	reply, err := m.establish(inner)
	if err != nil {
		return nil, false, err
	}
	m.next = m.negotiated
	return negTokenResp(mechanism, reply), false, nil
}

// negotiated ends an exchange of SPNEGO. There is no authzid in it.
func (m *mechanism) negotiated(response []byte) ([]byte, bool, error) {
	if len(response) != 0 {
		return nil, false, malformed("answer to the NegTokenResp is not empty")
	}
	return m.authorize("")
}

// offer tells which security layers there are (RFC 4752 §3.2).
func (m *mechanism) offer() ([]byte, bool, error) {
	token, err := m.context.wrap(layerOffer())
	if err != nil {
		return nil, false, err
	}
	m.next = m.choice
	return token, false, nil
}

// choice takes the layer and the authzid that the client wants.
func (m *mechanism) choice(token []byte) ([]byte, bool, error) {
	message, err := m.context.unwrap(token)
	if err != nil {
		return nil, false, err
	}
	authzid, err := parseChoice(message)
	if err != nil {
		return nil, false, err
	}
	return m.authorize(authzid)
}

func (m *mechanism) authorize(authzid string) ([]byte, bool, error) {
	if m.Authorize == nil {
		return nil, false, failed("nobody says who may log in")
	}
	if err := m.Authorize(m.context.client, authzid); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// malformed makes an error for what is no message of the mechanism. The reason is for the server's log.
func malformed(reason string) error { return fmt.Errorf("%w GSSAPI: %s", sasl.ErrMalformed, reason) }

// failed makes an error for a message that does not hold. The reason is for the server's log.
func failed(reason string) error { return fmt.Errorf("%w: GSSAPI: %s", sasl.ErrFailed, reason) }
