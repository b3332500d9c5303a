package lmtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/popservice/popservice/pop3server/config"
)

// errHandshake says that TLS was not made: nothing more can be said in the clear.
var errHandshake = errors.New("TLS handshake")

// offersTLS tells whether STARTTLS can be said now.
func (s *session) offersTLS() bool {
	return s.tls == nil && s.settings.TLS != "" && s.server.TLSConfig() != nil
}

// needsTLS says why a command has to wait, nil where it has not. Mail is not sent back because there is no certificate.
func (s *session) needsTLS() *reply {
	switch {
	case s.tls != nil || s.settings.TLS != config.LMTPTLSRequired:
		return nil
	case s.server.TLSConfig() == nil:
		return replyNoTLSNow
	}
	return replyNeedsTLS
}

// startTLS is RFC 3207 STARTTLS. What came with the command in the clear, before TLS, could have been put there by somebody
// else: it is not looked at. After the handshake the session knows nothing of what came before (RFC 3207 §4.2).
func (s *session) startTLS(argument string) error {
	settings := s.server.TLSConfig()
	switch {
	case s.tls != nil:
		return s.answer(replyHasTLS)
	case s.settings.TLS == "":
		return s.answer(replyNoCommand)
	case settings == nil:
		return s.answer(replyNoTLSNow)
	case argument != "":
		return s.answer(replyArgument)
	case s.wire.in.Buffered() > 0:
		s.write(replyInjected)
		return errLostTrack
	}
	s.write(replyStartTLS)
	if err := s.wire.out.Flush(); err != nil {
		return err
	}
	return s.handshake(settings)
}

// handshake makes TLS. An error leaves a connection on which nothing more can be said.
func (s *session) handshake(settings *tls.Config) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.settings.HandshakeTimeout)
	defer cancel()
	secured := tls.Server(s.conn, settings)
	if err := secured.HandshakeContext(ctx); err != nil {
		s.server.metrics.handshakesFailed.Inc()
		s.server.Log.Info("TLS handshake on the LMTP port failed", "remote", s.conn.RemoteAddr().String(), "error", err)
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	s.reset()
	s.tls, s.wire, s.helo = secured, newWire(secured), ""
	return nil
}
