package gssapi

import (
	"sync"
	"time"
)

// ReplayCache remembers the authenticators that were accepted, for as long as they could be accepted again (RFC 4120 §3.2.3).
// All connections of a process share one. Another process does not see it: there, who has heard an exchange can repeat it if it
// was one without AP-REP, or of SPNEGO. TLS keeps others from hearing it, a channel binding from repeating it.
//
// One authenticator takes about 100 octets. With twice five minutes each, 100,000 of them are 160 logins a second.
type ReplayCache struct {
	limit int
	mu    sync.Mutex
	seen  map[replayID]struct{}
	queue []replay // in order of arrival
}

// replayID is the front of an authenticator's hash.
type replayID [16]byte

type replay struct {
	id    replayID
	until time.Time
}

// NewReplayCache makes a cache of at most limit authenticators. One that is full refuses further ones, until the first is over:
// to forget one would be to accept it again.
func NewReplayCache(limit int) *ReplayCache {
	return &ReplayCache{limit: limit, seen: map[replayID]struct{}{}}
}

// add remembers an authenticator. It fails if it is remembered already, or if there is no room, or no cache.
func (c *ReplayCache) add(id replayID, now, until time.Time) error {
	if c == nil {
		return failed("there is no replay cache")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now)
	if _, found := c.seen[id]; found {
		return failed("AP-REQ was there before")
	}
	if len(c.queue) >= c.limit {
		return failed("replay cache is full")
	}
	c.seen[id] = struct{}{}
	c.queue = append(c.queue, replay{id, until})
	return nil
}

// forget forgets what is over. One that is over sooner than those before it, since the settings have changed, waits for them.
func (c *ReplayCache) forget(now time.Time) {
	for len(c.queue) > 0 && c.queue[0].until.Before(now) {
		delete(c.seen, c.queue[0].id)
		c.queue = c.queue[1:]
	}
}
