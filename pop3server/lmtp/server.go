// Package lmtp is the port on which mail enters: LMTP (RFC 2033) in front of a maildrop.Store. Its clients are MTAs. They do
// not log in: who may connect is for the network to say, or for certificates under TLS (RFC 3207).
//
// A connection is served by one goroutine from beginning to end. What a message is made of is read from the connection by the
// store itself, so nothing of it is held here, and a client that stops within a text holds up nobody else.
package lmtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// acceptPause is how long to wait when no connection can be taken.
const acceptPause = 100 * time.Millisecond

// Settings are what may change while the server runs. A connection keeps those with which it began.
type Settings struct {
	Hostname         string // the name in replies and Received fields; the machine's if empty
	MaxMessageOctets int64
	MaxRecipients    int // of one message
	OverQuotaReply   config.OverQuotaReply
	// SubaddressSeparator parts a mailbox's local part from a tag; empty where there are no tags.
	SubaddressSeparator string
	// TLS says what STARTTLS is; empty where there is none.
	TLS config.LMTPTLSMode

	MaxConnections           int
	MaxConnectionsPerAddress int
	IdleTimeout              time.Duration // for each read
	HandshakeTimeout         time.Duration
}

// Options are what a Server works with. All of them must be set.
type Options struct {
	// Settings gives the settings now; it is called for each connection.
	Settings func() Settings
	// TLSConfig gives what STARTTLS makes TLS with, nil while there is no certificate.
	TLSConfig func() *tls.Config
	// Lookup finds a mailbox by its address or alias, in upper or lower case.
	Lookup func(address string) (directory.Record, bool)
	// Complete tells whether Lookup knows all mailboxes: only then an address that it does not find is refused for good.
	Complete   func() bool
	Store      maildrop.Store
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Server takes mail over LMTP.
type Server struct {
	Options
	metrics metrics

	mu        sync.Mutex
	draining  bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	addresses map[netip.Addr]int // connections by the client's address
	ended     sync.WaitGroup     // of conns
}

// New makes a server. It serves nothing until Serve is called.
func New(options Options) *Server {
	s := &Server{
		Options: options, listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{}),
		addresses: make(map[netip.Addr]int),
	}
	s.metrics = newMetrics(options.Registerer, s.connections)
	return s
}

// Serve takes connections from the listener until Shutdown is called, then it returns nil.
func (s *Server) Serve(listener net.Listener) error {
	s.mu.Lock()
	s.listeners[listener] = struct{}{}
	if s.draining {
		_ = listener.Close()
	}
	s.mu.Unlock()
	for {
		c, err := listener.Accept()
		switch {
		case err == nil:
			s.accept(c)
		case errors.Is(err, net.ErrClosed) && s.isDraining():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept LMTP connection: %w", err)
		default: // such as too many open files; it may pass
			s.Log.Warn("accept LMTP connection", "error", err)
			time.Sleep(acceptPause)
		}
	}
}

// accept starts to serve a connection, or turns it away.
func (s *Server) accept(c net.Conn) {
	settings := s.Settings()
	if settings.Hostname == "" {
		settings.Hostname, _ = os.Hostname()
	}
	wrapped := &conn{Conn: c, idle: settings.IdleTimeout}
	if refusal := s.add(wrapped, settings); refusal != nil {
		s.metrics.refused.Inc()
		go turnAway(c, refusal)
		return
	}
	go func() {
		defer s.remove(wrapped)
		newSession(s, wrapped, settings).serve()
	}()
}

// Shutdown closes the listeners, answers 421 4.3.2 to clients that are between two messages, and waits for those in the
// midst of one. When the context ends it closes what is left and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	done := make(chan struct{})
	go func() {
		s.ended.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.closeAll()
		<-done
		return ctx.Err()
	}
}

func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for listener := range s.listeners {
		_ = listener.Close()
	}
	for c := range s.conns {
		c.drain()
	}
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}
