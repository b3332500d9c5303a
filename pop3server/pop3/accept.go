package pop3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/popservice/popservice/pop3server/config"
)

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
	// refuseTime is how long a client that is refused may take to be told so.
	refuseTime = time.Second
)

// Serve takes connections from the listener until the context is done, the server is shut down, or the listener fails for
// good; only then is there an error. It closes the listener. Sessions go on until they end or Shutdown ends them.
func (s *Server) Serve(ctx context.Context, listener net.Listener, settings config.Listener) error {
	defer func() { _ = listener.Close() }()
	trusted, err := proxiesOf(settings.ProxyProtocol)
	if err != nil {
		return fmt.Errorf("serve POP3 on %s: %w", listener.Addr(), err)
	}
	if !s.addListener(listener) {
		return nil
	}
	defer s.removeListener(listener)
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		conn, err := s.accept(ctx, listener)
		if err != nil {
			return s.acceptError(ctx, listener, err)
		}
		go s.serve(conn, entrance{settings.Security, trusted})
	}
}

// accept takes the next connection. It tries again after an error that passes, such as too few file descriptors, ever later.
func (s *Server) accept(ctx context.Context, listener net.Listener) (net.Conn, error) {
	for pause := acceptPauseMin; ; pause = min(2*pause, acceptPauseMax) {
		conn, err := listener.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		s.options.Log.Warn("cannot accept a connection; trying again", "address", listener.Addr(), "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// passes tells of an error of accept after which the next connection may be taken.
func passes(err error) bool {
	for _, passing := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// acceptError gives the error with which Serve ends: none if it was told to.
func (s *Server) acceptError(ctx context.Context, listener net.Listener, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != serving || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("accept POP3 connections on %s: %w", listener.Addr(), err)
}

// entrance is how the connections of a listener begin.
type entrance struct {
	security config.Security
	proxies  proxies
}

// serve serves one connection, from a goroutine of its own. A panic ends its session alone.
func (s *Server) serve(conn net.Conn, through entrance) {
	defer func() {
		if p := recover(); p != nil {
			s.options.Log.Error("session panicked", "panic", p, "stack", string(debug.Stack()))
			_ = conn.Close()
		}
	}()
	settings := s.options.Settings()
	if !s.limits.connect(settings.Limits) {
		s.refuseConnection(conn, through.security)
		return
	}
	defer s.limits.disconnect()
	boundUnsent(conn)
	behind, client, err := s.clientOn(conn, through.proxies)
	if err != nil {
		s.refuseHeader(conn, client, err)
		return
	}
	s.serveClient(behind, client, through.security, settings)
}

// serveClient serves a client whose address is known.
func (s *Server) serveClient(conn net.Conn, client netip.Addr, security config.Security, settings Settings) {
	if !s.limits.arrive(client, settings.Limits) {
		s.refuseConnection(conn, security)
		return
	}
	defer s.limits.depart(client)
	session := newSession(s, conn, client, security, settings)
	if !s.add(session) {
		_ = conn.Close()
		return
	}
	defer s.remove(session)
	session.run()
}

// refuseConnection tells a client that there are too many, unless that would cost a TLS handshake.
func (s *Server) refuseConnection(conn net.Conn, security config.Security) {
	s.metrics.refused.Inc()
	if security != config.ImplicitTLS {
		_ = conn.SetWriteDeadline(time.Now().Add(refuseTime))
		_, _ = conn.Write([]byte(refuseConnections.line(s.options.Settings()))) // it is closed either way
	}
	_ = conn.Close()
}

func (s *Server) addListener(listener net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == serving {
		s.listeners[listener] = struct{}{}
	}
	return s.phase == serving
}

func (s *Server) removeListener(listener net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, listener)
}

func (s *Server) add(session *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == serving {
		s.sessions[session] = struct{}{}
		s.running.Add(1)
	}
	return s.phase == serving
}

func (s *Server) remove(session *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session)
	s.running.Done()
	if session.updating {
		s.updates.Done()
	}
}
