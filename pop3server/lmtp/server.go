// Package lmtp is the port on which mail enters: LMTP (RFC 2033) in front of a maildrop.Store.
package lmtp

import (
	"context"
	"log/slog"
	"net"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
	"github.com/prometheus/client_golang/prometheus"
)

// Settings are what may change while the server runs. A connection keeps those with which it began.
type Settings struct {
	Hostname         string // the name in replies and Received fields
	MaxMessageOctets int64
	MaxRecipients    int
	OverQuotaReply   config.OverQuotaReply
}

// Options are what a Server works with. All of them must be set.
type Options struct {
	// Settings gives the settings now; it is called for each connection.
	Settings func() Settings
	// Lookup finds a mailbox by its address or alias, in upper or lower case.
	Lookup  func(address string) (directory.Record, bool)
	Store   maildrop.Store
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Server takes mail over LMTP.
type Server struct{}

// New makes a server. It serves nothing until Serve is called.
func New(options Options) *Server { return &Server{} }

// Serve takes connections from the listener until Shutdown is called, then it returns nil.
func (s *Server) Serve(listener net.Listener) error { return nil }

// Shutdown closes the listeners, answers 421 4.3.2 to clients that are between two messages, and waits for those in the
// midst of one. When the context ends it closes what is left and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error { return nil }
