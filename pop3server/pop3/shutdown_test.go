package pop3

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

const shuttingDown = "-ERR Server is shutting down. Connection is closed."

// shutdown begins a shutdown with a time to finish, and gives where its result will be.
func (f *fixture) shutdown(patience time.Duration) <-chan error {
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		result <- f.Shutdown(ctx)
	}()
	synctest.Wait()
	return result
}

// Who is not logged in, or is idle, is told at once or soon; who is at work goes on, and their QUIT counts.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver(alice, "A: 1\r\n\r\n", "A: 2\r\n\r\n")
		stranger, sleeper, worker := f.pipe(config.StartTLS), f.pipe(config.StartTLS), f.pipe(config.StartTLS)
		for _, c := range []*client{stranger, sleeper, worker} {
			c.expect("+OK ready")
		}
		sleeper.login()
		sleeper.script("C: DELE 1\nS: +OK")
		worker.login()
		start := time.Now()
		result := f.shutdown(time.Minute)
		stranger.expect(shuttingDown)
		stranger.expectClosed()
		f.expectElapsed(start, 0)
		time.Sleep(9 * time.Second)
		worker.script("C: NOOP\nS: +OK")
		sleeper.expect(shuttingDown)
		sleeper.expectClosed()
		f.expectElapsed(start, 10*time.Second)
		worker.script("C: DELE 2\nS: +OK")
		time.Sleep(9 * time.Second)
		worker.script("C: QUIT\nS: +OK POP3 server signing off.")
		worker.expectClosed()
		if err := <-result; err != nil {
			t.Error(err)
		}
		f.expectMessages(alice, "1")
	})
}

// When the time is over, sessions are cut: they are told, and nothing of theirs is removed.
func TestDrainIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver(alice, "A: 1\r\n\r\n")
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		c.script("C: DELE 1\nS: +OK")
		result := f.shutdown(5 * time.Second)
		c.expect(shuttingDown)
		c.expectClosed()
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown gives %v", err)
		}
		f.expectMessages(alice, "1")
	})
}

// A session whose client reads nothing is cut in the midst of a reply.
func TestCutOfASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		c.say("STAT\r\n") // and the reply is not read
		start := time.Now()
		if err := <-f.shutdown(5 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown gives %v", err)
		}
		f.expectElapsed(start, 5*time.Second+cutGrace)
	})
}

// A session in the UPDATE state finishes, however long it takes; none enters it once sessions are being cut.
func TestDrainWaitsForUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver(alice, "A: 1\r\n\r\n")
		f.store.remove = func() error { time.Sleep(time.Minute); return nil }
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		c.script("C: DELE 1\nS: +OK\nC: QUIT")
		synctest.Wait()
		result := f.shutdown(time.Second)
		time.Sleep(59 * time.Second)
		select {
		case err := <-result:
			t.Errorf("Shutdown did not wait for the update: %v", err)
		default:
		}
		c.expect("+OK POP3 server signing off.")
		c.expectClosed()
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown gives %v", err)
		}
		f.expectMessages(alice)
	})
}

// A session that hangs in the store is left behind. What it carries out afterwards removes nothing, though a QUIT be among it.
func TestCutOfASessionThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.deliver(alice, "A: 1\r\n\r\n")
		f.store.body = func(_ maildrop.Message, body io.ReadCloser) (io.ReadCloser, error) {
			time.Sleep(time.Hour)
			return body, nil
		}
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		c.say("RETR 1\r\nDELE 1\r\nQUIT\r\n")
		synctest.Wait()
		start := time.Now()
		if err := <-f.shutdown(time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown gives %v", err)
		}
		f.expectElapsed(start, time.Second+cutGrace+2*lingerTime)
		c.expectClosed()
		time.Sleep(time.Hour)
		f.expectMessages(alice, "1")
	})
}

// A slow answer to a failed login does not hold up a drain that is over.
func TestCutDuringThePauseOfAFailedLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.failureStep = time.Hour
		c := f.pipe(config.StartTLS)
		c.script("S: +OK ready\nC: USER alice@example.com\nS: +OK\nC: PASS x")
		start := time.Now()
		result := f.shutdown(time.Second)
		_, _ = io.ReadAll(c.in)
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown gives %v", err)
		}
		f.expectElapsed(start, time.Second)
	})
}

// Neither does a slow answer to a bad command.
func TestCutDuringThePauseOfABadCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.badStep = badStep
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		c.script(strings.Repeat("C: X\nS: "+unknown+"\n", 18) + "C: X")
		start := time.Now()
		result := f.shutdown(time.Millisecond)
		c.script("S: " + unknown + "\nS: " + shuttingDown)
		c.expectClosed()
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown gives %v", err)
		}
		f.expectElapsed(start, time.Millisecond)
	})
}

// During a drain nobody is let in, and Serve comes back without an error.
func TestNoNewConnectionsWhileDraining(t *testing.T) {
	f := newFixture(t)
	address := f.listen(config.StartTLS)
	c := f.dial(config.StartTLS)
	c.expect("+OK ready")
	c.login()
	result := make(chan error, 1)
	go func() { result <- f.Shutdown(context.Background()) }()
	eventually(t, "closed port", func() bool {
		late, err := net.Dial("tcp", address)
		if err == nil {
			_ = late.Close()
		}
		return err != nil
	})
	c.script("C: NOOP\nS: +OK\nC: QUIT\nS: +OK…")
	c.expectClosed()
	if err := <-result; err != nil {
		t.Error(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(context.Background(), listener, config.Listener{Security: config.StartTLS}); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// A listener that fails for good is an error; one whose context ends is none.
func TestServeEnds(t *testing.T) {
	f := newFixture(t)
	for _, byContext := range []bool{true, false} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- f.Serve(ctx, listener, config.Listener{Security: config.StartTLS}) }()
		if byContext {
			cancel()
		} else {
			_ = listener.Close()
		}
		if err := <-served; (err == nil) != byContext {
			t.Errorf("by the context %v: Serve gives %v", byContext, err)
		}
		cancel()
	}
}
