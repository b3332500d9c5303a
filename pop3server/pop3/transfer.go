package pop3

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// errBroken ends a session in the middle of a reply.
var errBroken = errors.New("reply cannot be finished")

// retr is RFC 1939 §5 RETR.
func (s *session) retr(args arguments) error {
	_, m, err := s.message(args)
	if err != nil {
		return err
	}
	if err := s.transfer(m, s.sendAll); err != nil {
		return err
	}
	s.mail.MarkRead(m)
	s.log.retrieved++
	return nil
}

// top is RFC 1939 §7 TOP ([MS-STANXPOP3] V0007): the header, the blank line and so many lines of the body.
func (s *session) top(args arguments) error {
	text, count, ok := args.two()
	if !ok {
		return refuseArguments
	}
	lines, ok := parseCount(count)
	if !ok {
		return refuseArguments
	}
	_, m, err := s.messageNumbered(text)
	if err != nil {
		return err
	}
	return s.transfer(m, func(_ maildrop.Message, body io.Reader, dots *dotWriter) error {
		return s.sendTop(body, &topWriter{to: dots, lines: lines})
	})
}

// transfer answers with a message, of which send sends as much as is asked for. Once the reply has begun, an error cannot be
// told to the client: the connection is dropped, for the end of a multi-line reply would make a part look whole.
func (s *session) transfer(
	m maildrop.Message, send func(maildrop.Message, io.Reader, *dotWriter) error,
) error {
	if err := s.checkHeader(m); err != nil {
		return err
	}
	body, err := s.mail.Body(s.ctx, m)
	if err != nil {
		return s.refuseBody(m, err)
	}
	defer func() { _ = body.Close() }()
	s.ok("")
	dots := &dotWriter{wire: s.wire, none: m.Dotless()}
	if err := send(m, body, dots); err != nil {
		return s.brokenBody(m, err)
	}
	dots.end()
	return s.wire.err
}

// refuseBody answers where a message cannot be opened: [MS-STANXPOP3] C0004 wants an error of RETR and TOP for one that was
// removed during the session.
func (s *session) refuseBody(m maildrop.Message, err error) error {
	if errors.Is(err, maildrop.ErrVanished) {
		return refuseVanished
	}
	return s.storeFailed(bodyRefusal(err), "cannot open message", fmt.Errorf("message %s: %w", m.UID(), err))
}

// bodyRefusal answers where a message cannot be opened: does it pass by itself? A file that cannot be opened may be there the
// next time, or the message may have been removed just now; octets that are wrong stay so.
func bodyRefusal(err error) *refusal {
	if errors.Is(err, maildrop.ErrDamaged) && !errors.As(err, new(*fs.PathError)) {
		return refuseDamaged
	}
	return refuseUnreadable
}

// storeFailed tells the log what the store could not do, and gives the refusal for it; or an error, if it could not because the
// session is being cut.
func (s *session) storeFailed(r *refusal, what string, err error) error {
	if s.ctx.Err() != nil {
		return errDrained
	}
	s.server.options.Log.Error(what, "mailbox", s.record.ID, "error", err)
	return r
}

// brokenBody ends the session after a transfer that failed midway; it is an error to be looked at unless it is the
// connection's.
func (s *session) brokenBody(m maildrop.Message, err error) error {
	if s.wire.err != nil {
		return s.wire.err
	}
	err = s.storeFailed(refuseUnreadable, "cannot read message", fmt.Errorf("message %s: %w", m.UID(), err))
	s.wire.stop(err)
	return errBroken
}

// sendAll sends a whole message and sees to it that it is whole.
func (s *session) sendAll(m maildrop.Message, body io.Reader, dots *dotWriter) error {
	if _, err := io.Copy(dots, body); err != nil {
		return err
	}
	if dots.octets != m.Octets {
		return fmt.Errorf("message has %d octets, its body %d", m.Octets, dots.octets)
	}
	return nil
}

// sendTop sends the top of a message.
func (s *session) sendTop(body io.Reader, top *topWriter) error {
	if _, err := io.Copy(top, body); !errors.Is(err, errTopDone) {
		return err
	}
	return nil
}
