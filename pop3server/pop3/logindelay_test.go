package pop3

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/config"
)

const (
	tooEarly = "Mailbox was logged on to recently. Try again later."
	tryAlice = "C: USER alice@example.com\nS: +OK\nC: PASS secret\nS: "
	loggedOn = "+OK User successfully logged on."
)

// RFC 2449 §6.5, §8.1.1: within the delay a mailbox is not opened again, which only one learns who knows the password. That is
// no failed login, the connection stays, and the time counts from the last login that succeeded.
func TestLoginDelay(t *testing.T) {
	for _, test := range []struct {
		capabilities []config.Capability
		code         string
	}{{nil, ""}, {[]config.Capability{config.CapabilityRespCodes}, "[LOGIN-DELAY] "}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			f.extend(test.capabilities...)
			f.set(func(s *Settings) { s.Limits.LoginDelaySeconds, s.Limits.MaxFailedLogins = 30, 2 })
			first := f.pipe(config.StartTLS)
			first.script("S: +OK ready\n" + tryAlice + loggedOn + "\nC: QUIT\nS: +OK…")
			first.expectClosed()
			c := f.pipe(config.StartTLS)
			early := "-ERR " + test.code + tooEarly
			c.script("S: +OK ready\n" + tryAlice + early + "\nC: AUTH PLAIN " + plainOf(alice, "secret") + "\nS: " + early)
			c.script("C: USER alice@example.com\nS: +OK\nC: PASS wrong\nS: " + logonFailure)
			other := f.pipe(config.StartTLS) // another mailbox has a time of its own
			other.script("S: +OK ready\nC: AUTH PLAIN " + plainOf(bob, " two  words ") + "\nS: +OK…")
			time.Sleep(30*time.Second - 1)
			c.script(tryAlice + early)
			time.Sleep(time.Nanosecond)
			c.script(tryAlice + loggedOn + "\nC: STAT\nS: +OK 0 0")
			last := f.pipe(config.StartTLS)
			last.script("S: +OK ready\n" + tryAlice + early)
			if n := testutil.ToFloat64(f.metrics.logins.WithLabelValues("USER", "delayed")); n != 3 {
				t.Errorf("%v delayed logins are counted, want 3", n)
			}
			for _, c := range []*client{c, other, last} {
				_ = c.Close()
			}
		})
	}
}

// A login that came to nothing delays no other one.
func TestNoLoginDelayAfterFailures(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.LoginDelaySeconds, s.Limits.MaxConnectionsPerMailbox = 3600, 1 })
	c := f.connect()
	f.store.openError = errors.New("volume is gone")
	c.script(tryAlice + "-ERR Mailbox cannot be opened now. Try again later.")
	f.store.openError = nil
	c.script("C: USER alice@example.com\nS: +OK\nC: PASS wrong\nS: " + logonFailure)
	c.login()
	f.logins.forget(recordOf(alice).ID)
	f.connect().script(tryAlice + "-ERR Too many connections to this mailbox. Try again later.")
	c.script("C: QUIT\nS: +OK…")
	eventually(t, "end of the session", func() bool { return f.opened() == 0 })
	f.login()
}

// Without a delay nothing is refused and nothing remembered.
func TestNoLoginDelay(t *testing.T) {
	f := newFixture(t)
	f.login()
	f.login()
	if n := f.logins.inOrder.Len(); n != 0 {
		t.Errorf("%d logins are remembered", n)
	}
}

// However many mailboxes there are, the memory for their logins has a bound, and what is past costs none.
func TestLoginTimesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoginTimes(10)
		for i := range 1000 {
			if !l.admit(strconv.Itoa(i), time.Hour) {
				t.Fatalf("login %d is refused", i)
			}
		}
		if len(l.mailboxes) != 10 || l.inOrder.Len() != 10 {
			t.Errorf("%d and %d logins are remembered, want 10", len(l.mailboxes), l.inOrder.Len())
		}
		if l.admit("999", time.Hour) || !l.admit("1", time.Hour) {
			t.Error("the newest login must be known, the oldest one need not")
		}
		time.Sleep(time.Hour)
		if !l.admit("999", time.Hour) || len(l.mailboxes) != 1 || l.inOrder.Len() != 1 {
			t.Errorf("%d logins are remembered after their time, want 1", len(l.mailboxes))
		}
		l.forget("nobody")
	})
}
