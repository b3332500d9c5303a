package pop3

import (
	"context"
	"time"
)

// Shutdown takes no more connections and lets sessions finish until the context is done. A client that is not logged in, or
// is idle, is told that the server is shutting down. Then those that are left are cut; their messages marked as deleted
// stay. A session in the UPDATE state is always waited for. It gives the context's error if it cut a session.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	s.cut()
	select {
	case <-ended:
	case <-time.After(cutGrace + 2*lingerTime):
		s.abandon()
	}
	return ctx.Err()
}

// drain closes the listeners and the connections that are none of a client's yet, and asks idle clients to leave.
func (s *Server) drain() {
	s.drained()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = draining
	for listener := range s.listeners {
		_ = listener.Close()
	}
	for session := range s.sessions {
		session.wire.drain()
	}
}

// cut ends all sessions that are not in the UPDATE state, which from now on none can enter.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = cutting
	for session := range s.sessions {
		if !session.updating {
			session.cancel()
			session.wire.cut()
		}
	}
}

// abandon closes the connections of sessions that hang, in the store most likely, and waits for those in the UPDATE state.
func (s *Server) abandon() {
	s.mu.Lock()
	for session := range s.sessions {
		if !session.updating {
			_ = session.wire.close()
		}
	}
	s.mu.Unlock()
	s.updates.Wait()
}

// beginUpdate takes a session into the UPDATE state, unless the server has begun to cut sessions.
func (s *Server) beginUpdate(session *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == cutting {
		return false
	}
	session.updating = true
	s.updates.Add(1)
	return true
}
