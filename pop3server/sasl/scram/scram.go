// Package scram is the server's side of the SASL mechanisms SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).
//
// The client proves that it knows a password which the server does not have, and the server proves that it knows the user.
// With -PLUS the exchange is tied to its TLS connection besides, so that nobody can relay it.
//
// A name that does not exist gets a salt and an iteration count as one that does, always the same ones, and fails only
// where a wrong password does (RFC 5802 §5.1 leaves this to the server).
package scram

import (
	"crypto/hmac"
	"fmt"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// The mechanisms' names in the IANA registry (RFC 7677 §6).
const (
	Name     = "SCRAM-SHA-256"
	NamePlus = "SCRAM-SHA-256-PLUS"
)

// MaxOctets is the most that a client's message may have, before base64. The longest that is of use, of two names of 255
// octets and a nonce of 512, has half of it.
const MaxOctets = 4096

// minFakeKeyOctets is the least of Options.FakeKey: whoever can guess it can tell which users exist.
const minFakeKeyOctets = 16

// Credentials are what the server keeps of a password (RFC 5802 §3): nobody can log in with them, and with ServerKey one
// can only pretend to be the server.
type Credentials struct {
	Salt       []byte // not empty; 16 octets, so that FakeSalt's cannot be told apart
	Iterations int    // 4096 or more (RFC 7677 §4)
	// Keys are those of the passwords with any of which the user may log in. SCRAM sends one salt before it knows the password, so
	// that all of them must have been made with this one.
	Keys []Keys
}

// Keys are those of one password.
type Keys struct {
	StoredKey [32]byte // H(ClientKey)
	ServerKey [32]byte
}

// Options are what the server's side of one exchange needs. All of them but Bindings and Canonical are required.
type Options struct {
	// Plus says that the client chose SCRAM-SHA-256-PLUS.
	Plus bool
	// OffersPlus says that the server had offered SCRAM-SHA-256-PLUS on this connection. Then a client that could bind and
	// believes that the server cannot has been lied to, and is refused (RFC 5802 §6).
	OffersPlus bool
	// Bindings are the connection's channel bindings by their types' names: "tls-exporter", "tls-server-end-point". Without
	// TLS there are none. A type without data counts as none.
	Bindings map[string][]byte
	// Policy Require refuses exchanges without a binding. With the other policies only -PLUS has one, and it must be right:
	// a -PLUS that did not look at it would be none.
	Policy binding.Policy
	// Lookup finds a user's credentials by the name as the client sent it; making spellings of one name equal is up to it.
	Lookup func(authcid string) (Credentials, bool)
	// Canonical gives the one spelling that stands for all which Lookup takes for the same name, such as lower case. Without
	// it two spellings of a name that does not exist get two salts, which tells that it does not exist. Nil keeps names.
	Canonical func(authcid string) string
	// FakeKey makes the salts of names that do not exist: a secret of 16 octets or more, the same on all servers of one
	// directory and after a restart. With a shorter one, no exchange succeeds.
	FakeKey []byte
	// FakeIterations is what names that do not exist get: the count that most credentials have.
	FakeIterations int
	// Authorize tells whether the user may log in as authzid, which is empty where the client named none. It is called
	// once, after the user's proof was found right and before the server gives its own: who may not log in gets what a
	// wrong password gets, and never learns that the password was right. Its error is the error of the exchange.
	// matched is the index of the keys that were the right ones.
	Authorize func(authzid string, matched int) error
}

// exchange is the state of one exchange. Each step sets the one that follows, so that there is none after a failure.
type exchange struct {
	options     Options
	makeNonce   func() string
	step        func(e *exchange, response []byte) (challenge []byte, done bool, err error)
	first       clientFirst
	credentials Credentials
	known       bool   // the credentials are a user's, not fake ones
	serverFirst string // what the server answered to first
	nonce       string // the client's and the server's
}

// New makes the server's side of one exchange: client-first-message as the initial response or the answer to an empty
// challenge, server-first-message, client-final-message, server-final-message, and an empty response to that one, for
// success carries no data in POP3 (RFC 5034 §4). Failures are told by the error alone, without "e=" (RFC 5802 §7 allows it).
func New(options Options) sasl.Mechanism {
	return &exchange{options: options, makeNonce: randomNonce, step: (*exchange).begin}
}

// Next takes the exchange one step further.
func (e *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	step := e.step
	e.step = (*exchange).ended
	return step(e, response)
}

// begin asks for the client's first message where it is no initial response.
func (e *exchange) begin(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		e.step = (*exchange).answerFirst
		return []byte{}, false, nil
	}
	return e.answerFirst(response)
}

// answerFirst answers client-first-message with salt, iteration count and nonce.
func (e *exchange) answerFirst(response []byte) (challenge []byte, done bool, err error) {
	if e.first, err = parseClientFirst(response); err != nil {
		return nil, false, err
	}
	if err := e.options.checkFlag(e.first); err != nil {
		return nil, false, err
	}
	if len(e.options.FakeKey) < minFakeKeyOctets {
		return nil, false, fmt.Errorf("%w: SCRAM: the server has no key for fake salts", sasl.ErrFailed)
	}
	e.credentials, e.known = e.options.find(e.first.authcid)
	e.nonce = e.first.nonce + e.makeNonce()
	e.serverFirst = serverFirst(e.nonce, e.credentials)
	e.step = (*exchange).answerFinal
	return []byte(e.serverFirst), false, nil
}

// answerFinal checks client-final-message and answers with the server's own proof.
func (e *exchange) answerFinal(response []byte) (challenge []byte, done bool, err error) {
	final, err := parseClientFinal(response)
	if err != nil {
		return nil, false, err
	}
	authMessage := e.first.bare + "," + e.serverFirst + "," + final.withoutProof // RFC 5802 §3
	matched, err := e.check(final, authMessage)
	if err != nil {
		return nil, false, err
	}
	if err := e.options.Authorize(e.first.authzid, matched); err != nil {
		return nil, false, err
	}
	e.step = (*exchange).confirm
	return serverFinal(e.credentials.Keys[matched].ServerKey, authMessage), false, nil
}

// check tells whether the client is who it says it is, in this exchange and on this connection, and by which of its passwords.
func (e *exchange) check(final clientFinal, authMessage string) (matched int, err error) {
	matched = -1
	for i, keys := range padded(e.credentials.Keys) {
		if proves(final.proof, keys.StoredKey, authMessage) && i < len(e.credentials.Keys) {
			matched = i
		}
	}
	switch {
	case !hmac.Equal([]byte(final.nonce), []byte(e.nonce)):
		return 0, fmt.Errorf("%w: SCRAM: the nonce is another exchange's", sasl.ErrFailed)
	case !hmac.Equal(final.binding, e.options.bindingInput(e.first)):
		return 0, fmt.Errorf("%w: SCRAM: %w", sasl.ErrFailed, binding.ErrMismatch)
	case matched < 0 || !e.known:
		return 0, fmt.Errorf("%w: SCRAM: the user is unknown or the proof is wrong", sasl.ErrFailed)
	}
	return matched, nil
}

// confirm takes the empty response to server-final-message (RFC 5034 §4).
func (e *exchange) confirm(response []byte) (challenge []byte, done bool, err error) {
	if len(response) > 0 {
		return nil, false, malformed("want an empty response at the end")
	}
	return nil, true, nil
}

// ended follows success and every failure.
func (*exchange) ended([]byte) (challenge []byte, done bool, err error) {
	return nil, false, malformed("the exchange has ended")
}
