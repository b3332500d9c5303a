package pop3

import (
	"crypto/tls"

	"github.com/popservice/popservice/pop3server/config"
)

// offersTLS tells whether STLS may be used now: on a listener for it, in the clear, with a certificate to serve, and not after
// UTF8.
func (s *session) offersTLS() bool {
	return s.tls == nil && !s.utf8 && s.security == config.StartTLS && s.server.options.TLSConfig() != nil
}

// stls is RFC 2595 §4 STLS. What came with the command in the clear, before TLS, could have been put there by somebody else: it
// closes the connection. After the handshake the session knows nothing of what came before.
func (s *session) stls(args arguments) error {
	tlsConfig := s.server.options.TLSConfig()
	switch {
	case s.tls != nil || s.utf8: // RFC 6856 §2.1: no STLS after UTF8
		return refuseState
	case tlsConfig == nil || s.security != config.StartTLS:
		return refuseCertificate
	case !args.none():
		return refuseArguments
	case s.wire.reader.Buffered() > 0:
		return refuseInjection
	}
	s.ok("Begin TLS negotiation.")
	return s.startTLS(tlsConfig)
}

// startTLS makes the handshake, within its own time. An error leaves a connection on which nothing more can be said.
func (s *session) startTLS(tlsConfig *tls.Config) error {
	conn, err := s.wire.startTLS(s.ctx, tlsConfig, seconds(s.settings.Timeouts.TLSHandshakeSeconds))
	if err != nil {
		s.server.metrics.handshakesFailed.Inc()
		return &handshakeError{err}
	}
	s.tls, s.tlsConfig = conn, tlsConfig
	return nil
}

// handshakeError is one of a handshake, after which nothing more can be said in the clear.
type handshakeError struct{ cause error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.cause.Error() }
