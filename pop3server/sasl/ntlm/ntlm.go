// Package ntlm is the server's side of the SASL mechanism NTLM: version 2 of the protocol, connection-oriented ([MS-NLMP]), as
// Exchange speaks it in POP3 ([MS-OXPOP3]). Older versions, LM and anonymous logins are refused. Nothing is signed or
// sealed afterwards.
//
// The protocol stands on MD4, MD5 and RC4. In a process that runs with GODEBUG=fips140=only, where Go panics at the use of
// these, the mechanism must not be offered.
package ntlm

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
	"github.com/popservice/popservice/pop3server/sasl/ntlm/nthash"
)

// Name is the mechanism's name.
const Name = "NTLM"

// Options is what an exchange needs to know of its server and of its connection.
type Options struct {
	// Target is who the server says it is.
	Target Target
	// Policy says whether the client must have seen the certificate of this connection.
	Policy binding.Policy
	// Binding is the tls-server-end-point binding of this connection, zero where it has none.
	Binding binding.Digest
	// RequireMIC refuses clients that do not protect all three messages with a message integrity code, as curl does not.
	RequireMIC bool
	// Hashes gives the NT hashes with any of which the user may log in: none for a user who is unknown or disabled, who
	// is then refused after as much work as a known one with up to sixteen hashes. It is called at most once. The names are
	// valid UTF-8 of at most 256 UTF-16 code units each, and otherwise as the client sent them: in any case, or a UPN with
	// an empty domain. The user is never empty.
	Hashes func(user, domain string) []nthash.Hash
	// Authorize is called once the client has proven that it knows the hash with this index in what Hashes gave for
	// these names, and nothing else stands against it. Its error is the error of the exchange.
	Authorize func(user, domain string, matched int) error
	// Now is the server's clock, time.Now where nil.
	Now func() time.Time
	// Rand is where the server challenge of eight octets is read from, crypto/rand.Reader where nil.
	Rand io.Reader
}

// acceptor is one exchange: NEGOTIATE, CHALLENGE, AUTHENTICATE.
type acceptor struct {
	Options
	// step takes the next message. Each step sets the next one where it succeeds, so that nothing follows a failure.
	step func(message []byte) (challenge []byte, done bool, err error)
	// negotiate and challenge are the messages so far, which a MIC covers.
	negotiate []byte
	challenge challenge
}

// New makes the server's side of one exchange.
func New(options Options) sasl.Mechanism {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Rand == nil {
		options.Rand = rand.Reader
	}
	a := &acceptor{Options: options}
	a.step = a.begin
	return a
}

// Next takes NEGOTIATE, as an initial response or after an empty challenge, and AUTHENTICATE.
func (a *acceptor) Next(response []byte) (challenge []byte, done bool, err error) {
	step := a.step
	a.step = over
	return step(response)
}

// over is the step after the last: a server challenge is for one use ([MS-NLMP] §3.2.5.1.1).
func over([]byte) ([]byte, bool, error) {
	return nil, false, fmt.Errorf("%w: the NTLM exchange is over", sasl.ErrFailed)
}

// begin asks for NEGOTIATE where the client sent no initial response, as no client of [MS-OXPOP3] does.
func (a *acceptor) begin(message []byte) ([]byte, bool, error) {
	if message == nil {
		a.step = a.receiveNegotiate
		return []byte{}, false, nil
	}
	return a.receiveNegotiate(message)
}

// receiveNegotiate is [MS-NLMP] §3.2.5.1.1.
func (a *acceptor) receiveNegotiate(message []byte) ([]byte, bool, error) {
	requested, err := parseNegotiate(message)
	if err != nil {
		return nil, false, err
	}
	var nonce [nonceOctets]byte
	if _, err := io.ReadFull(a.Rand, nonce[:]); err != nil {
		return nil, false, fmt.Errorf("NTLM: make a server challenge: %w", err)
	}
	a.negotiate = bytes.Clone(message)
	a.challenge = a.Target.challenge(requested, nonce, fileTime(a.Now()))
	a.step = a.receiveAuthenticate
	return a.challenge.message, false, nil
}

// receiveAuthenticate is [MS-NLMP] §3.2.5.1.2.
func (a *acceptor) receiveAuthenticate(message []byte) ([]byte, bool, error) {
	m, err := parseAuthenticate(message, a.challenge.flags)
	if err != nil {
		return nil, false, err
	}
	matched, err := a.verify(m)
	if err != nil {
		return nil, false, err
	}
	if err := a.Authorize(m.user.text, m.domain.text, matched); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// verify gives the index of the hash that the client knows. The proof comes first: until then, what it protects is anybody's.
func (a *acceptor) verify(m *authenticate) (matched int, err error) {
	matched, key := m.prove(a.challenge.nonce, a.Hashes(m.user.text, m.domain.text))
	if matched < 0 {
		return 0, fmt.Errorf("%w: NTLM response is of no hash of this user", sasl.ErrFailed)
	}
	if skewed(m.response.time, fileTime(a.Now())) {
		return 0, fmt.Errorf("%w: NTLM response is stale or from the future", sasl.ErrFailed)
	}
	if err := a.Policy.Check(a.Binding, m.response.pairs.binding()); err != nil {
		return 0, fmt.Errorf("%w: NTLM: %w", sasl.ErrFailed, err)
	}
	return matched, a.checkMIC(m, key)
}

// checkMIC compares the MIC wherever the client has said, under its proof, that there is one: who strips it is found out.
func (a *acceptor) checkMIC(m *authenticate, key sessionKey) error {
	if !m.response.pairs.hasMIC() {
		if a.RequireMIC {
			return fmt.Errorf("%w: NTLM message without a MIC", sasl.ErrFailed)
		}
		return nil
	}
	if !m.checkMIC(m.exportedKey(key), a.negotiate, a.challenge.message) {
		return fmt.Errorf("%w: NTLM messages have another MIC", sasl.ErrFailed)
	}
	return nil
}
