package server

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// keepEvery is how often maildrops are looked at that nobody opens: old mail is removed from them, and room is given back.
const keepEvery = time.Hour

// keepHouse goes through all maildrops from time to time, until the context ends. Several servers do not begin at the same
// time.
func (s *server) keepHouse(ctx context.Context) {
	wait := time.Duration(rand.Int64N(int64(keepEvery))) //nolint:gosec // nothing is kept secret by it
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if policyOf(s.configuration.now().Maildrop.Retention) != (maildrop.Policy{}) {
			s.tidyAll(ctx)
		}
		wait = keepEvery
	}
}

// dropReplaced gives room back every minute that another server has made on a volume that they share.
func (s *server) dropReplaced(ctx context.Context) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.store.DropReplaced()
		}
	}
}

func (s *server) tidyAll(ctx context.Context) {
	ids, err := s.store.Maildrops()
	if err != nil {
		s.log.Error("maildrops cannot be listed", "error", err)
	}
	for _, id := range ids {
		if err := s.store.Tidy(ctx, id); err != nil && ctx.Err() == nil {
			s.log.Error("maildrop cannot be tidied", "mailbox", id, "error", err)
		}
		if ctx.Err() != nil {
			return
		}
	}
}
