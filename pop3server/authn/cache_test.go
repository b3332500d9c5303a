package authn

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

func TestCacheForgetsWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(10, time.Minute)
		key := c.key("id", "verifier", []byte("password"))
		c.add(key)
		time.Sleep(time.Minute)
		if !c.has(key) {
			t.Error("forgotten before its time")
		}
		time.Sleep(time.Nanosecond)
		if c.has(key) || len(c.expires.entries) != 0 {
			t.Error("still there after its time")
		}
	})
}

func TestCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	c := newCache(2, time.Minute)
	a, b, d := c.key("a", "", nil), c.key("b", "", nil), c.key("d", "", nil)
	c.add(a)
	c.add(b)
	c.add(b)
	c.has(a)
	c.add(d)
	if !c.has(a) || c.has(b) || !c.has(d) || len(c.expires.entries) != 2 || c.expires.recent.Len() != 2 {
		t.Errorf("a %v, b %v, d %v; want b alone to be forgotten", c.has(a), c.has(b), c.has(d))
	}
}

func TestCacheKeysDiffer(t *testing.T) {
	c := newCache(1, time.Minute)
	keys := map[cacheKey]bool{}
	for _, part := range [][3]string{{"ab", "c", "d"}, {"a", "bc", "d"}, {"ab", "", "cd"}, {"", "abc", "d"}, {"abcd", "", ""}} {
		keys[c.key(part[0], part[1], []byte(part[2]))] = true
	}
	if len(keys) != 5 {
		t.Errorf("5 triples give %d keys", len(keys))
	}
	if c.key("a", "b", nil) == newCache(1, time.Minute).key("a", "b", nil) {
		t.Error("two caches share a secret")
	}
}

// Two mailboxes with one verifier, as copied records have it, share nothing that is remembered.
func TestPasswordIsRememberedForOneMailbox(t *testing.T) {
	secret := verifier.Derive([]byte("secret"))
	f := newFixture(map[string]directory.Record{
		"one@b": record("one", directory.Enabled, secret), "two@b": record("two", directory.Enabled, secret),
	})
	if f.known.key("one", secret, []byte("secret")) == f.known.key("two", secret, []byte("secret")) {
		t.Error("two mailboxes have one key")
	}
	for _, name := range []string{"one@b", "two@b"} {
		if _, err := f.verify(t, name, "secret"); err != nil {
			t.Fatal(err)
		}
	}
	wantCount(t, f.metrics.matched, 2)
	wantCount(t, f.metrics.remembered, 0)
}
