package lmtp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// maxBadCommands is how many bad commands a connection may have.
const maxBadCommands = 20

// Errors that end a connection, besides those of the connection itself.
var (
	errQuit       = errors.New("the client has said QUIT")
	errTooManyBad = errors.New("the client has sent too many bad commands")
)

// session is one connection. One goroutine calls its methods.
type session struct {
	server   *Server
	settings Settings
	conn     *conn
	wire     *wire
	tls      *tls.Conn // nil in the clear

	helo    string   // what the client says its name is; empty before LHLO
	message *message // nil between two messages
	pending *command // was read already
	bad     int      // commands until now
}

func newSession(server *Server, c *conn, settings Settings) *session {
	return &session{server: server, settings: settings, conn: c, wire: newWire(c)}
}

// serve serves the connection to its end. A panic ends this one alone.
func (s *session) serve() {
	defer func() {
		if p := recover(); p != nil {
			s.server.Log.Error("LMTP session panicked", "panic", p, "stack", string(debug.Stack()))
		}
		_ = s.conn.Close()
	}()
	s.end(s.run())
}

// run talks to the client; the error says why it has stopped.
func (s *session) run() error {
	_, _ = fmt.Fprintf(s.wire.out, "220 %s LMTP ready\r\n", s.settings.Hostname)
	for {
		c, err := s.next()
		if err == nil {
			err = s.do(c)
		}
		if err != nil {
			return err
		}
	}
}

// next gives the next command. Lines that are none are answered.
func (s *session) next() (command, error) {
	if c := s.pending; c != nil {
		s.pending = nil
		return *c, nil
	}
	for {
		line, err := s.wire.readLine()
		if err == nil {
			if c, ok := parseCommand(line); ok {
				return c, nil
			}
		}
		switch {
		case err == nil:
			err = s.answer(replyUnfit)
		case errors.Is(err, errLongLine):
			err = s.answer(replyLongLine)
		case errors.Is(err, errBareLF):
			err = s.answer(replyBareLF)
		}
		if err != nil {
			return command{}, err
		}
	}
}

// do does what a command says and answers it.
func (s *session) do(c command) error {
	if s.conn.isDrained() { // the command had come already
		return errDraining
	}
	switch c.verb {
	case "LHLO":
		return s.lhlo(c.argument)
	case "STARTTLS":
		return s.startTLS(c.argument)
	case "BDAT":
		return s.bdat(c.argument)
	case "NOOP":
		return s.answer(replyNoop)
	case "QUIT":
		return errQuit
	case "HELO", "EHLO": // RFC 2033 §4.1
		return s.answer(replyNotSMTP)
	case "EXPN", "HELP", "AUTH":
		return s.answer(replyNoCommand)
	}
	return s.doUnderTLS(c)
}

// doUnderTLS does what may have to wait for TLS (RFC 3207 §4).
func (s *session) doUnderTLS(c command) error {
	if refusal := s.needsTLS(); refusal != nil {
		return s.answer(refusal)
	}
	switch c.verb {
	case "MAIL":
		return s.mail(c.argument)
	case "RCPT":
		return s.rcpt(c.argument)
	case "DATA":
		return s.data(c.argument)
	case "RSET":
		s.reset()
		return s.answer(replyReset)
	case "VRFY":
		return s.answer(replyCannotVerify)
	}
	return s.answer(replyUnknownCommand)
}

// lhlo is RFC 2033 §4.1 LHLO. It tells what there is and begins anew.
func (s *session) lhlo(argument string) error {
	name, _, _ := strings.Cut(argument, " ")
	if name == "" {
		return s.answer(replyArgument)
	}
	s.reset()
	s.helo = name
	lines := []string{s.settings.Hostname, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING"}
	if s.offersTLS() {
		lines = append(lines, "STARTTLS")
	}
	lines = append(lines, "SMTPUTF8", fmt.Sprintf("SIZE %d", s.settings.MaxMessageOctets))
	for _, line := range lines {
		_, _ = fmt.Fprintf(s.wire.out, "250-%s\r\n", line)
	}
	_, err := fmt.Fprintf(s.wire.out, "250 LIMITS RCPTMAX=%d\r\n", s.settings.MaxRecipients) // RFC 9422 §5
	return err
}

// reset gives up the message, if there is one.
func (s *session) reset() {
	s.message = nil
	s.conn.end()
}

// write puts a reply where it is sent from. An error shows with the next read.
func (s *session) write(r *reply) { _, _ = s.wire.out.WriteString(r.String()) }

// answer answers a command. The last bad one of those that are borne ends the connection.
func (s *session) answer(r *reply) error {
	s.write(r)
	if r.bad {
		s.bad++
	}
	if s.bad >= maxBadCommands {
		return errTooManyBad
	}
	return nil
}

// end says the last word.
func (s *session) end(why error) {
	if last := lastWord(why); last != nil {
		s.write(last)
	}
	if s.wire.out.Flush() != nil {
		return
	}
	if s.tls != nil {
		_ = s.tls.CloseWrite()
	}
	for _, cause := range []error{errTooManyBad, errEndlessLine, errLostTrack} {
		if errors.Is(why, cause) {
			s.server.Log.Info("LMTP connection ended", "remote", s.conn.RemoteAddr().String(), "reason", why)
			s.conn.linger()
		}
	}
}

// lastWord gives what the client is told at the end, nil for nothing.
func lastWord(why error) *reply {
	switch {
	case errors.Is(why, errHandshake):
		return nil // whatever its cause
	case errors.Is(why, errQuit):
		return replyBye
	case errors.Is(why, errDraining):
		return replyShuttingDown
	case errors.Is(why, errTooManyBad):
		return replyTooManyBad
	case errors.Is(why, errEndlessLine):
		return replyLongLine
	case errors.Is(why, os.ErrDeadlineExceeded):
		return replyIdle
	}
	return nil
}
