package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// cacheKey stands for one mailbox, one verifier and the password that matches it.
type cacheKey [sha256.Size]byte

// cache remembers pairs of verifier and password that matched. It holds neither: its keys are HMACs under a key that this
// process made and nobody else has, so what is found in its memory is of no use elsewhere. Each entry lives for a
// fixed time, and the one that was unused for the longest makes room for a new one.
type cache struct {
	secret   [sha256.Size]byte
	lifetime time.Duration

	mu      sync.Mutex
	expires *bounded[cacheKey, time.Time]
}

func newCache(capacity int, lifetime time.Duration) *cache {
	c := &cache{lifetime: lifetime, expires: newBounded[cacheKey, time.Time](capacity)}
	_, _ = rand.Read(c.secret[:]) // never fails (crypto/rand)
	return c
}

// key gives the key of a mailbox, a verifier and a password. Each part but the last has its length in front, so that no two
// triples give the same text.
func (c *cache) key(id, verifier string, password []byte) (key cacheKey) {
	mac := hmac.New(sha256.New, c.secret[:])
	for _, part := range [...]string{id, verifier} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	mac.Write(password)
	mac.Sum(key[:0])
	return key
}

// has tells whether the key is remembered. Looking an HMAC up tells nobody anything about the password by its time.
func (c *cache) has(key cacheKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	expires, ok := c.expires.get(key)
	if ok && time.Now().After(expires) {
		c.expires.remove(key)
		ok = false
	}
	return ok
}

func (c *cache) add(key cacheKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expires.put(key, time.Now().Add(c.lifetime))
}
