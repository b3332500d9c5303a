package server

import (
	"context"
	"sync"
	"time"
)

// drain ends the mail ports: readiness fails from now on, nobody is let in any more, and who is there may finish until the
// configured time has passed or a cut is asked for. Messages of a session that is cut stay.
func (s *server) drain(ctx context.Context) {
	s.draining.Store(true)
	patience := time.Duration(s.configuration.now().Timeouts.DrainSeconds) * time.Second
	s.log.Info("draining", "sessions", s.pop3.Sessions(), "seconds", patience.Seconds())
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	go s.cutWhenAsked(ctx, cancel)
	var mail sync.WaitGroup
	mail.Go(func() { s.tellDrained("POP3", s.pop3.Shutdown(ctx)) })
	if s.lmtp != nil {
		mail.Go(func() { s.tellDrained("LMTP", s.lmtp.Shutdown(ctx)) })
	}
	mail.Wait()
}

func (s *server) cutWhenAsked(ctx context.Context, cut func()) {
	select {
	case <-s.options.Cut:
		cut()
	case <-ctx.Done():
	}
}

// tellDrained logs how a server's drain went. That sessions had to be cut is no failure of ours.
func (s *server) tellDrained(protocol string, err error) {
	if err != nil {
		s.log.Warn("sessions were cut", "protocol", protocol, "reason", err)
		return
	}
	s.log.Info("drained", "protocol", protocol)
}
