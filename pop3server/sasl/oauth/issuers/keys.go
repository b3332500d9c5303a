package issuers

import (
	"context"
	"crypto"
	"fmt"
	"sync"
	"time"
)

// How long keys are held. A stranger's token with an unknown key makes the server ask the issuer as well, so retryAfter is
// what protects the issuer, and refreshAfter plus a token how long a key that was withdrawn lives on.
const (
	refreshAfter = 5 * time.Minute  // then they are got anew, while they serve on
	staleAfter   = 10 * time.Minute // then a token waits for that
	retryAfter   = 15 * time.Second // from one attempt to the next, whatever came of it
	fetchTimeout = 5 * time.Second  // for one attempt with all its requests
)

// source gets an issuer's keys from it.
type source func(context.Context) ([]key, error)

// keyCache holds an issuer's keys. While the issuer does not answer, those that are known serve on, without an end: else
// nobody could log in who has a good token.
type keyCache struct {
	get     source
	issuer  string
	options Options

	mu      sync.Mutex
	known   []key
	fetched time.Time     // when known was asked for; zero: never
	tried   time.Time     // when the last attempt began
	failure error         // of the last attempt that has ended
	running chan struct{} // closed when the attempt ends that runs now; nil without one
}

func newKeyCache(get source, issuer string, options Options) *keyCache {
	return &keyCache{get: get, issuer: issuer, options: options}
}

// candidates gives the keys that may have made a signature, one at least. The error is ErrUnavailable or sasl.ErrFailed.
func (c *keyCache) candidates(ctx context.Context, kid, algorithm string) ([]crypto.PublicKey, error) {
	found, attempt := c.look(kid, algorithm)
	if attempt == nil {
		return c.orFailure(found)
	}
	select {
	case <-attempt:
		return c.orFailure(c.find(kid, algorithm))
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

func (c *keyCache) find(kid, algorithm string) []crypto.PublicKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return match(c.known, kid, algorithm)
}

// orFailure says why there is no key where there is none: the issuer has none, or did not answer when it was last asked.
func (c *keyCache) orFailure(found []crypto.PublicKey) ([]crypto.PublicKey, error) {
	if len(found) > 0 {
		return found, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, c.failure)
	}
	return nil, refuse(errKey)
}

// look gives the keys that are known, and an attempt to get others that is worth waiting for, if there is one.
func (c *keyCache) look(kid, algorithm string) (found []crypto.PublicKey, attempt <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found = match(c.known, kid, algorithm)
	age := c.options.Now().Sub(c.fetched)
	if len(found) > 0 && age < refreshAfter {
		return found, nil
	}
	c.begin()
	if len(found) > 0 && age < staleAfter {
		return found, nil
	}
	return found, c.running
}

// begin begins an attempt, unless one runs or the last was too short a time ago. It is called with the lock.
func (c *keyCache) begin() {
	now := c.options.Now()
	if c.running != nil || now.Sub(c.tried) < retryAfter {
		return
	}
	c.tried, c.running = now, make(chan struct{})
	go c.attempt(now)
}

// attempt gets the keys. It is no caller's: the one that began it may go, while others wait for it.
func (c *keyCache) attempt(began time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), c.options.timeout)
	defer cancel()
	keys, err := c.get(ctx)
	c.options.Report(c.issuer, err)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = err
	if err == nil {
		c.known, c.fetched = keys, began
	}
	close(c.running)
	c.running = nil
}
