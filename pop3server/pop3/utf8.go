package pop3

import (
	"errors"
	"unicode/utf8"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// utf8Command is RFC 6856 §2.1 UTF8: from now on, messages with UTF-8 in their headers may be sent as they are.
func (s *session) utf8Command(args arguments) error {
	if !args.none() {
		return refuseArguments
	}
	s.utf8 = true
	s.ok("")
	return nil
}

// checkHeader refuses a message that the client cannot be sent. RFC 6856 §2.1: one whose header is not ASCII is either made
// over for a client that has not asked for UTF-8, or refused; we change no message. Where the settings do not have UTF8, it is
// sent as it is, as Exchange does it.
//
// The message is opened once more to be sent: a header may be longer than what one would keep.
func (s *session) checkHeader(m maildrop.Message) error {
	if s.utf8 || !s.settings.has(config.CapabilityUTF8) {
		return nil
	}
	body, err := s.mail.Body(s.ctx, m)
	if err != nil {
		return s.refuseBody(m, err)
	}
	defer func() { _ = body.Close() }()
	err = s.sendTop(body, &topWriter{to: asciiWriter{}})
	switch {
	case errors.Is(err, errNotASCII):
		return refuseUTF8
	case err != nil:
		return s.refuseBody(m, err)
	}
	return nil
}

var errNotASCII = errors.New("octets that are not ASCII")

// asciiWriter takes ASCII and nothing else, and keeps none of it.
type asciiWriter struct{}

// Write fails with errNotASCII at the first octet that is not ASCII.
func (asciiWriter) Write(p []byte) (int, error) {
	for i, c := range p {
		if c >= utf8.RuneSelf {
			return i, errNotASCII
		}
	}
	return len(p), nil
}
