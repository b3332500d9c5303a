package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// state is a state of the session (RFC 1939 §3); a handler names all those in which its command is valid. The third,
// UPDATE, has no commands: see quit.
type state uint8

const (
	authorization state = 1 << iota
	transaction
)

// drainIdle is how long a client that is logged in may leave a server idle that shuts down. It is enough between two
// commands of a program, and ends the session of one that only keeps it open.
const drainIdle = 10 * time.Second

// session is one client's connection, from the greeting to its end.
type session struct {
	id       string // in the log
	server   *Server
	settings Settings
	security config.Security
	remote   netip.Addr
	wire     *wire
	ctx      context.Context // done when the session is cut
	cancel   context.CancelFunc
	started  time.Time

	state     state
	tls       *tls.Conn   // nil in the clear
	tlsConfig *tls.Config // that it was made with
	user      string      // what a USER command just before named; empty if there was none
	login     Login       // under way; nil otherwise
	record    directory.Record
	mail      maildrop.Session // nil before login
	list      *listing
	utf8      bool // the client has asked for messages with UTF-8 in their headers

	failures int   // logins on this connection
	bad      int   // commands in a row
	crowd    int64 // octets that a long response of this client may have
	log      sessionLog
	protocol *protocolLog // nil if the protocol is not logged

	updating bool // guarded by server.mu
}

// sessionLog is what the line at the session's end tells.
type sessionLog struct {
	commands  int
	retrieved int
	deleted   int
	bareLF    bool
}

func newSession(server *Server, conn net.Conn, client netip.Addr, security config.Security, settings Settings) *session {
	ctx, cancel := context.WithCancel(context.Background())
	writeTimeout := seconds(settings.Timeouts.WriteSeconds)
	s := &session{
		id:       newSessionID(),
		server:   server,
		settings: settings,
		security: security,
		remote:   client,
		wire:     newWire(conn, settings.Limits.MaxCommandOctets, writeTimeout, server.metrics.traffic),
		ctx:      ctx,
		cancel:   cancel,
		started:  time.Now(),
		state:    authorization,
	}
	if settings.ProtocolLog {
		s.protocol = &protocolLog{session: s, since: s.started}
	}
	return s
}

// seconds makes a duration of a setting.
func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// addressOf gives the IP address of an address, or one that is not valid where there is none.
func addressOf(address net.Addr) netip.Addr {
	peer, _ := netip.ParseAddrPort(address.String())
	return peer.Addr().Unmap()
}

// run serves the client to the end and closes the connection.
func (s *session) run() {
	defer s.cancel()
	defer s.leave() // after a panic; otherwise it has been done
	reason := s.talk()
	s.leave()
	s.hangUp(reason)
	s.logEnd(reason)
}

// talk holds the conversation and gives the reason for its end.
func (s *session) talk() (reason string) {
	if err := s.begin(); err != nil {
		return s.part(err)
	}
	for {
		line, err := s.nextLine()
		if err == nil {
			err = s.execute(line)
		}
		if err != nil {
			return s.part(err)
		}
	}
}

// begin makes TLS where the listener begins with it, and greets.
func (s *session) begin() error {
	if s.security == config.ImplicitTLS {
		tlsConfig := s.server.options.TLSConfig()
		if tlsConfig == nil {
			return errNoCertificate
		}
		if err := s.startTLS(tlsConfig); err != nil {
			return err
		}
	}
	// [MS-STANXPOP3] V0012: the banner has no timestamp, for there is no APOP; package config sees to it.
	s.ok(s.settings.Banner)
	s.wire.tap = s.protocol // from here on: the greeting is all that probes hear, and they are many
	return nil
}

// nextLine gives the next command line. What has been answered is sent only when no whole command waits, so that a client
// that sends many at a time is answered with few packets (RFC 2449 §6.6 PIPELINING).
func (s *session) nextLine() ([]byte, error) {
	if !s.wire.lineWaiting() {
		if s.mail != nil {
			s.mail.Rest()
		}
		if err := s.await(); err != nil {
			return nil, err
		}
	}
	line, err := s.wire.readLine()
	if err == nil && !endsInCRLF(line) {
		s.log.bareLF = true
	}
	return line, err
}

func endsInCRLF(line []byte) bool { return len(line) >= 2 && line[len(line)-2] == '\r' }

// await starts the timer of the state ([MS-STANXPOP3] V0002): 60 seconds before login and 1,800 after it, as set.
// RFC 1939 §3 wants 10 minutes at least.
func (s *session) await() error {
	if s.state == authorization {
		return s.wire.await(seconds(s.settings.Timeouts.PreAuthenticatedSeconds), 0)
	}
	return s.wire.await(seconds(s.settings.Timeouts.AuthenticatedSeconds), drainIdle)
}

// Errors that end the conversation, besides refusals and those of the wire.
var (
	errQuit          = errors.New("quit") // and was answered
	errNoCertificate = errors.New("no certificate to begin TLS with")
)

// part answers an error that ends the conversation, where it can be answered, and gives the reason for the log.
// RFC 1939 §3: none of these enters the UPDATE state.
func (s *session) part(err error) (reason string) {
	var parting *refusal
	var handshake *handshakeError
	switch {
	case errors.Is(err, errQuit):
		return "quit"
	case errors.Is(err, errNoCertificate):
		return "no certificate"
	case errors.As(err, &handshake):
		s.server.options.Log.Debug("TLS handshake failed", "remote", s.remote, "error", handshake.cause)
		return "TLS handshake failed"
	case errors.Is(err, errIdle):
		// [MS-STANXPOP3] V0003: the client is told. RFC 1939 §3 would close without a response.
		parting = refuseIdle
	case errors.Is(err, errDrained):
		parting = refuseShutdown
	case errors.Is(err, errTooLong):
		parting = refuseTooLong
	case errors.Is(err, errCrowded):
		parting = refuseCrowded
	case errors.As(err, &parting): // answered already
		return parting.closing
	case errors.Is(err, io.EOF):
		return "client left"
	case errors.Is(err, errBroken):
		return "message cannot be read"
	default:
		s.server.options.Log.Debug("connection failed", "remote", s.remote, "error", err)
		return "connection failed"
	}
	s.refuse(parting)
	s.protocol.answered()
	return parting.closing
}

// leave gives the maildrop back, if the session has one.
func (s *session) leave() {
	if s.mail == nil {
		return
	}
	mail := s.mail
	s.mail = nil
	if err := mail.Close(); err != nil {
		s.server.options.Log.Error("cannot close maildrop", "mailbox", s.record.ID, "error", err)
	}
	s.server.limits.close(s.record.ID)
}

// hangUp closes the connection, such that the last reply arrives. A client that has quit waits for nothing more; one that we
// leave may still be sending.
func (s *session) hangUp(reason string) {
	if reason == "quit" && s.wire.reader.Buffered() == 0 {
		_ = s.wire.flush() // nobody is left to be told
	} else {
		s.wire.linger()
	}
	_ = s.wire.hangUp()
}

// logEnd writes the session's line. One without a command, such as a probe makes, is worth less.
func (s *session) logEnd(reason string) {
	level := slog.LevelInfo
	if s.log.commands == 0 {
		level = slog.LevelDebug
	}
	s.server.options.Log.Log(context.Background(), level, "session ended",
		"session", s.id, "reason", reason, "remote", s.remote, "mailbox", s.record.ID, "tls", s.tlsVersion(),
		"commands", s.log.commands, "retrieved", s.log.retrieved, "deleted", s.log.deleted,
		"octetsIn", s.wire.received, "octetsOut", s.wire.sent, "bareLF", s.log.bareLF,
		"seconds", time.Since(s.started).Seconds())
}

func (s *session) tlsVersion() string {
	if s.tls == nil {
		return "none"
	}
	return tls.VersionName(s.tls.ConnectionState().Version)
}
