package pop3

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popservice/popservice/pop3server/config"
)

const idle = "-ERR Connection is closed. Idle timeout."

// [MS-STANXPOP3] V0002, V0003: 60 seconds before login, and the client is told.
func TestIdleBeforeLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		time.Sleep(59 * time.Second)
		c.script("C: USER alice@example.com\nS: +OK") // sets the timer anew
		start := time.Now()
		time.Sleep(59 * time.Second)
		c.say("PASS secr") // a line that is not ended does not
		c.expect(idle)
		f.expectElapsed(start, 60*time.Second)
		c.expectClosed()
		synctest.Wait()
		f.expectReason("idle")
	})
}

// V0002: 1,800 seconds after login; an idle session does not enter the UPDATE state (RFC 1939 §3).
func TestIdleAfterLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver(alice, "A: b\r\n\r\n")
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		time.Sleep(1799 * time.Second)
		c.script("C: DELE 1\nS: +OK")
		start := time.Now()
		c.expect(idle)
		f.expectElapsed(start, 1800*time.Second)
		c.expectClosed()
		synctest.Wait()
		f.expectMessages(alice, "1")
		f.deliver(alice, "A: b\r\n\r\n")
	})
}

// The timer of the state holds within an exchange of AUTH too.
func TestIdleWithinAuth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.pipe(config.StartTLS)
		c.script("S: +OK ready\nC: AUTH PLAIN\nS: + …")
		start := time.Now()
		c.expect(idle)
		f.expectElapsed(start, 60*time.Second)
		c.expectClosed()
	})
}

func TestTimersAreThoseOfTheSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.set(func(s *Settings) { s.Timeouts.PreAuthenticatedSeconds, s.Timeouts.AuthenticatedSeconds = 5, 7 })
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		start := time.Now()
		c.expect(idle)
		f.expectElapsed(start, 5*time.Second)
		c = f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		start = time.Now()
		f.set(func(s *Settings) { s.Timeouts.AuthenticatedSeconds = 1 }) // for connections made afterwards
		c.expect(idle)
		f.expectElapsed(start, 7*time.Second)
	})
}

// A client that does not read its replies is let go after the time for one write, and keeps nothing.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver(alice, "A: b\r\n\r\n"+strings.Repeat(strings.Repeat("x", 78)+"\r\n", 5000))
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		c.say("DELE 1\r\n")
		c.expect("+OK")
		c.say("RSET\r\nRETR 1\r\n")
		c.expect("+OK", "+OK")
		start := time.Now()
		time.Sleep(59 * time.Second) // slow, and still served: each write has its own time
		_, err := io.CopyN(io.Discard, c.in, 100_000)
		if err != nil || f.Sessions() != 1 {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if f.Sessions() != 0 {
			t.Errorf("still served after %v", time.Since(start))
		}
		f.expectReason("connection failed")
		f.expectMessages(alice, "1")
	})
}

// Under TLS such a client is let go as soon: nobody waits for it to take the notice that the connection ends.
func TestSlowReaderUnderTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.useTLS()
		f.deliver(alice, "A: b\r\n\r\n"+strings.Repeat(strings.Repeat("x", 78)+"\r\n", 5000))
		c := f.pipe(config.ImplicitTLS)
		c.startTLS(f)
		c.expect("+OK ready")
		c.login()
		c.say("RETR 1\r\n")
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if f.Sessions() != 0 {
			t.Error("still served after 61 s")
		}
		f.expectReason("connection failed")
	})
}
