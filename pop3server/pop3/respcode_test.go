package pop3

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// RFC 3206 §5, §6: with AUTH-RESP-CODE each failure of name and password has [AUTH], whatever was wrong and however it was
// tried; with RESP-CODES alone it has no code, and without either it is Exchange's text.
func TestAuthCode(t *testing.T) {
	const text = "Logon failure: unknown user name or bad password."
	for _, test := range []struct {
		capabilities []config.Capability
		code         string
	}{
		{nil, ""},
		{[]config.Capability{config.CapabilityRespCodes}, ""},
		{[]config.Capability{config.CapabilityRespCodes, config.CapabilityAuthRespCode}, "[AUTH] "},
	} {
		f := newFixture(t)
		f.extend(test.capabilities...)
		f.set(func(s *Settings) { s.Limits.MaxFailedLogins = 5 })
		failure := "-ERR " + test.code + text
		f.connect().script(`C: USER alice@example.com
			S: +OK
			C: PASS wrong
			S: ` + failure + `
			C: USER nobody@example.com
			S: +OK
			C: PASS secret
			S: ` + failure + `
			C: AUTH PLAIN ` + plainOf(alice, "wrong") + `
			S: ` + failure + `
			C: AUTH PLAIN ` + encode("no message of PLAIN") + `
			S: ` + failure + `
			C: AUTH PLAIN ` + plainOf("nobody@example.com", "secret") + `
			S: ` + failure + ` Connection is closed.`)
	}
}

// RFC 2449 §8, RFC 3206 §4: what passes by itself has [SYS/TEMP], what does not has [SYS/PERM], directly behind "-ERR ".
func TestSystemCodesAtLogin(t *testing.T) {
	f := newFixture(t)
	f.extend(config.CapabilityRespCodes)
	f.set(func(s *Settings) { s.Limits.MaxConnectionsPerMailbox = 1 })
	c := f.connect()
	c.script(`C: USER busy@example.com
		S: +OK
		C: PASS secret
		S: -ERR [SYS/TEMP] Server is too busy to check the password. Try again later.`)
	f.store.openError = errors.New("volume is gone")
	tryAlice := "C: USER alice@example.com\nS: +OK\nC: PASS secret\n"
	c.script(tryAlice + "S: -ERR [SYS/TEMP] Mailbox cannot be opened now. Try again later.")
	f.store.openError = fmt.Errorf("maildrop: %w", &maildrop.ForeignOwnerError{Owner: "mail/mallory"})
	c.script(tryAlice + "S: -ERR [SYS/PERM] Mailbox cannot be opened. Ask the administrator.")
	f.store.openError = nil
	c.login()
	c = f.connect()
	c.script(tryAlice + "S: -ERR [SYS/TEMP] Too many connections to this mailbox. Try again later.")
	c.expectClosed()
	f.set(func(s *Settings) { s.Limits.MaxConnections = 1 })
	c = f.dial(config.StartTLS)
	c.expect("-ERR [SYS/TEMP] Too many connections. Try again later.")
	c.expectClosed()
}

// What the client itself could have known has no code.
func TestSystemCodesInASession(t *testing.T) {
	f := newFixture(t)
	f.extend(config.CapabilityRespCodes, config.CapabilityAuthRespCode)
	f.deliver(alice, "A: b\r\n\r\n")
	f.store.remove = func() error { return errors.New("volume is gone") }
	c := f.login()
	fail := func(err error) {
		f.store.body = func(_ maildrop.Message, body io.ReadCloser) (io.ReadCloser, error) {
			return nil, errors.Join(err, body.Close())
		}
	}
	fail(errors.New("volume is gone"))
	c.script("C: RETR 1\nS: -ERR [SYS/TEMP] Message cannot be read now. Try again later.")
	fail(maildrop.ErrDamaged)
	c.script("C: TOP 1 0\nS: -ERR [SYS/PERM] Message is damaged. Ask the administrator.")
	fail(fmt.Errorf("%w: %w", maildrop.ErrDamaged, &fs.PathError{Op: "open", Err: syscall.EMFILE}))
	c.script("C: RETR 1\nS: -ERR [SYS/TEMP] Message cannot be read now. Try again later.")
	fail(maildrop.ErrVanished)
	c.script(`C: RETR 1
		S: -ERR Message is no longer in the mailbox.
		C: RETR 2
		S: -ERR There is no such message.
		C: X
		S: -ERR Command is not recognized.
		C: USER alice@example.com
		S: -ERR Command is not valid in this state.
		C: DELE 1
		S: +OK
		C: QUIT
		S: -ERR [SYS/TEMP] some deleted messages not removed`)
	c.expectClosed()
}

// A damaged message is told even where no code is, and the session goes on.
func TestDamagedMessageWithoutCodes(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\n\r\n")
	f.store.body = func(_ maildrop.Message, body io.ReadCloser) (io.ReadCloser, error) {
		return nil, errors.Join(maildrop.ErrDamaged, body.Close())
	}
	f.login().script("C: RETR 1\nS: -ERR Message is damaged. Ask the administrator.\nC: NOOP\nS: +OK")
}

// RFC 3206 §4: a server that shuts down is there again later. A client that was idle has nothing to do with the system.
func TestCodesOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.extend(config.CapabilityRespCodes)
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready", idle)
		c.expectClosed()
		c = f.pipe(config.StartTLS)
		c.expect("+OK ready")
		result := f.shutdown(time.Second)
		c.expect("-ERR [SYS/TEMP] Server is shutting down. Connection is closed.")
		c.expectClosed()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}
