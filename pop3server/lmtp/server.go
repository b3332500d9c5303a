// Package lmtp is the port on which mail enters: LMTP (RFC 2033) in front of a maildrop.Store. It has no authentication:
// who may connect is for the network to say.
package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

const (
	// maxConnections bounds the connections at one time. An MTA needs a few of them for each of its processes.
	maxConnections = 500
	// maxLineOctets is far above the 998 of RFC 5322 §2.1.1, because mail with longer lines is about and has to get through.
	maxLineOctets = 1 << 20
	// acceptPause is how long to wait when no connection can be taken.
	acceptPause = 100 * time.Millisecond
)

// Settings are what may change while the server runs. A connection keeps those with which it began.
type Settings struct {
	Hostname         string // the name in replies and Received fields; the machine's if empty
	MaxMessageOctets int64
	MaxRecipients    int // of one message
	OverQuotaReply   config.OverQuotaReply
}

// Options are what a Server works with. All of them must be set.
type Options struct {
	// Settings gives the settings now; it is called for each connection.
	Settings func() Settings
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
	ended     sync.WaitGroup // of conns
}

// New makes a server. It serves nothing until Serve is called.
func New(options Options) *Server {
	s := &Server{Options: options, listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{})}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || len(s.conns) >= maxConnections {
		s.metrics.refused.Inc()
		go turnAway(c, s.draining)
		return
	}
	wrapped := &conn{Conn: c}
	s.conns[wrapped] = struct{}{}
	s.ended.Go(func() {
		s.serve(wrapped)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, wrapped)
	})
}

// serve serves one connection until its end. Each one has a go-smtp server of its own, so that it has settings of its own.
func (s *Server) serve(c *conn) {
	settings := s.Settings()
	if settings.Hostname == "" {
		settings.Hostname, _ = os.Hostname()
	}
	protocol := smtp.NewServer(nil)
	protocol.Backend = smtp.BackendFunc(func(greeted *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, settings: settings, conn: c, greeted: greeted, protocol: protocol}, nil
	})
	protocol.LMTP = true
	protocol.Domain = settings.Hostname
	protocol.MaxRecipients = settings.MaxRecipients
	protocol.MaxMessageBytes = settings.MaxMessageOctets
	protocol.MaxLineLength = maxLineOctets
	protocol.EnableSMTPUTF8 = true
	protocol.ErrorLog = errorLog{s.Log}
	_ = protocol.Serve(&onlyOne{conn: c})       // it comes back at once
	_ = protocol.Shutdown(context.Background()) // it waits for the connection to end
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

func (s *Server) connections() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(len(s.conns))
}

// onlyOne is a listener with one connection.
type onlyOne struct{ conn *conn }

func (l *onlyOne) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, io.EOF
	}
	c := l.conn
	l.conn = nil
	return c, nil
}

func (l *onlyOne) Close() error   { return nil }
func (l *onlyOne) Addr() net.Addr { return nil }

// errorLog takes what go-smtp logs: connections that broke off, and panics.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Printf(format string, v ...any) { l.log.Warn("LMTP: " + fmt.Sprintf(format, v...)) }
func (l errorLog) Println(v ...any)               { l.log.Warn("LMTP: " + fmt.Sprint(v...)) }
