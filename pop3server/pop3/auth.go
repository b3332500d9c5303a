package pop3

import (
	"bytes"
	"encoding/base64"
	"errors"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/sasl"
)

// saslOffered gives the mechanisms that may be used on this connection as it is now, in the order of the settings.
func (s *session) saslOffered() []config.Mechanism {
	var offered []config.Mechanism
	for _, name := range s.settings.Authentication.Mechanisms {
		if s.canUse(name) {
			offered = append(offered, name)
		}
	}
	return offered
}

// canUse tells whether a mechanism may be used on this connection as it is now.
func (s *session) canUse(name config.Mechanism) bool {
	m, ok := saslMechanisms[name]
	return ok && s.permits(m.plaintext) && (m.usable == nil || m.usable(s))
}

// auth is RFC 5034 §4 AUTH: a mechanism, and an initial response if the client has one.
func (s *session) auth(args arguments) error {
	offered := s.saslOffered()
	if len(offered) == 0 {
		clear(args)
		return refuseState // SecureLogin in the clear, or USER alone
	}
	if args.none() {
		return s.listMechanisms(offered)
	}
	name, response, err := beginning(args, offered)
	clear(args) // now: they lie in the reader's buffer, which the next line may reuse
	if err != nil {
		return err
	}
	return s.authenticate(name, response)
}

// beginning gives the mechanism that the client wants and its initial response. Neither lies in the arguments.
func beginning(args arguments, offered []config.Mechanism) (config.Mechanism, []byte, error) {
	keyword, initial := cutWord(args)
	for _, name := range offered {
		if bytes.EqualFold(keyword, []byte(name)) {
			response, err := initialResponse(initial)
			return name, response, err
		}
	}
	return "", nil, refuseMechanism
}

// listMechanisms answers AUTH without an argument with the mechanisms, as clients older than CAPA ask for them.
func (s *session) listMechanisms(offered []config.Mechanism) error {
	s.ok("")
	for _, name := range offered {
		s.wire.writeString(string(name))
		s.wire.writeString("\r\n")
	}
	s.end()
	return nil
}

func (s *session) authenticate(name config.Mechanism, response []byte) error {
	s.beginLogin()
	if err := s.exchange(saslMechanisms[name], response); err != nil {
		return s.refuseExchange(name, err)
	}
	return s.logIn(name, "User successfully authenticated.")
}

// initialResponse decodes the initial response: nil if there is none, empty if it is "=" (RFC 5034 §4).
func initialResponse(text arguments) ([]byte, error) {
	if text.none() {
		return nil, nil
	}
	word, ok := text.one()
	if !ok {
		return nil, refuseArguments
	}
	if string(word) == "=" {
		return []byte{}, nil
	}
	return decodeBase64(word)
}

// exchange lets the mechanism and the client talk until one of them has had enough.
func (s *session) exchange(mechanism saslMechanism, response []byte) error {
	acceptor := mechanism.begin(s)
	defer s.leaveCrowd()
	for {
		challenge, done, err := acceptor.Next(response)
		clear(response)
		if done || err != nil {
			return err
		}
		if response, err = s.challenge(challenge, mechanism.maxOctets); err != nil {
			return unanswered(acceptor, err)
		}
	}
}

// unanswered gives the error of an exchange that has ended instead of a response. One of which the client has been told that it
// failed has failed: who tries tokens, and gives up each time, is counted, logged and answered as others are.
func unanswered(acceptor sasl.Mechanism, err error) error {
	refuser, ok := acceptor.(sasl.Refuser)
	if !ok || refuser.Refused() == nil {
		return err
	}
	if errors.As(err, new(*refusal)) { // "*", or not base64
		return refuser.Refused()
	}
	return &exchangeError{cause: err, refused: refuser.Refused()}
}

// refuseExchange answers an exchange that has failed. Back in the AUTHORIZATION state, the client may try again. What the
// client got wrong in the framing is told; an error of the connection ends the session; what else failed is a failed login.
func (s *session) refuseExchange(name config.Mechanism, err error) error {
	var failed *exchangeError
	switch {
	case errors.As(err, new(*refusal)):
		s.server.options.Log.Info("login given up", "session", s.id, "mechanism", name, "remote", s.remote, "reason", err)
		return err
	case errors.As(err, &failed) && failed.refused != nil:
		s.login.Failed(failed.refused)
		s.server.metrics.login(name, "rejected")
		return failed.cause
	case errors.As(err, &failed):
		return failed.cause
	}
	return s.refuseLogin(name, err)
}

// exchangeError is one of reading the client's response, not of the mechanism. refused is what the client had been told before
// that, if it was.
type exchangeError struct{ cause, refused error }

func (e *exchangeError) Error() string { return e.cause.Error() }

func (e *exchangeError) Unwrap() error { return e.cause }

// challenge sends a challenge and gives the response to it, which is never nil. RFC 5034 §4: every line of an exchange is a
// response; "*" gives it up. Challenges are not bound by the 512 octets of other replies.
func (s *session) challenge(challenge []byte, maxOctets int) ([]byte, error) {
	s.wire.writeString("+ ")
	s.wire.write(base64.StdEncoding.AppendEncode(nil, challenge))
	s.wire.writeString("\r\n")
	s.protocol.answered()
	line, err := s.responseLine(maxOctets)
	if err != nil {
		return nil, &exchangeError{cause: err}
	}
	s.protocol.receivedResponse()
	defer clear(line)
	if string(line) == "*" {
		return nil, refuseCanceled
	}
	return decodeBase64(line)
}

// responseLine gives the next line without its end.
func (s *session) responseLine(maxOctets int) ([]byte, error) {
	if err := s.await(); err != nil {
		return nil, err
	}
	line, err := s.wire.readLong(maxOctets, func() bool { return s.joinCrowd(2 * int64(maxOctets)) })
	return trimLineEnd(line), err
}

// joinCrowd tells whether there is room for so many octets. They are the session's until the exchange ends: strangers may
// begin as many exchanges as there are connections.
func (s *session) joinCrowd(octets int64) bool {
	if s.crowd == 0 && s.server.crowd.TryAcquire(octets) {
		s.crowd = octets
	}
	return s.crowd > 0
}

func (s *session) leaveCrowd() {
	if s.crowd > 0 {
		s.server.crowd.Release(s.crowd)
		s.crowd = 0
	}
}

// decodeBase64 decodes strictly: other characters, wrong padding and stray bits fail. The result is never nil.
func decodeBase64(text []byte) ([]byte, error) {
	if bytes.ContainsAny(text, "\r\n") { // the decoder passes over these
		return nil, refuseBase64
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(decoded, text)
	if err != nil {
		clear(decoded)
		return nil, refuseBase64
	}
	return decoded[:n], nil
}
