package pop3

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/popservice/popservice/pop3server/authn"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// failureStep is by how much each failed login on a connection is answered later than the one before it.
const failureStep = 2 * time.Second

// permits tells whether a way to log in may be used on this connection as it is now: Exchange's LoginType. Those that
// send the password in the clear are called plaintext here.
func (s *session) permits(plaintext bool) bool {
	switch {
	case s.tls != nil:
		return true
	case s.settings.Authentication.LoginType == config.PlainTextLogin:
		return true
	case s.settings.Authentication.LoginType == config.PlainTextAuthentication:
		return !plaintext
	}
	return false // SecureLogin
}

// offersUser tells whether USER and PASS may be used.
func (s *session) offersUser() bool {
	return s.permits(true) && slices.Contains(s.settings.Authentication.Mechanisms, config.MechanismUser)
}

// userCommand is RFC 1939 §7 USER. [MS-STANXPOP3] V0008, V0009: it succeeds for any name, be there such a mailbox or not.
// V0010: where passwords may not be sent in the clear, it fails, and that for any name too.
func (s *session) userCommand(args arguments) error {
	if !s.offersUser() {
		return refuseState
	}
	name, ok := args.one()
	if !ok {
		return refuseArguments
	}
	s.user = string(name)
	s.ok("")
	return nil
}

// pass is RFC 1939 §7 PASS. [MS-STANXPOP3] V0011: all that follows the separators behind the keyword is the password,
// with the spaces in it and at its end.
func (s *session) pass(args arguments) error {
	defer clear(args)
	name := s.user
	s.user = ""
	switch {
	case name == "" || !s.offersUser():
		return refuseState
	case args.none():
		return refuseArguments
	}
	s.beginLogin()
	if err := s.verify("", name, args); err != nil {
		return s.refuseLogin(config.MechanismUser, err)
	}
	return s.logIn(config.MechanismUser, "User successfully logged on.")
}

// errNotUTF8 rejects a name or a password.
var errNotUTF8 = errors.New("name or password is not UTF-8")

// beginLogin begins an attempt to log in.
func (s *session) beginLogin() { s.login = s.server.options.Login(s.ctx, s.remote) }

// verify checks a name and a password. RFC 6856 §2.2: where UTF8 USER is told, those that are not UTF-8 are rejected.
func (s *session) verify(authzid, name string, password []byte) error {
	if s.settings.has(config.CapabilityUTF8) && (!utf8.ValidString(name) || !utf8.Valid(password)) {
		return errNotUTF8
	}
	return s.login.Password(authzid, name, password)
}

// refuseLogin answers a failed login, each later than the one before it, and later still where many have failed of late, and
// closes the connection after too many ([MS-STANXPOP3] C0005). The reply is the same whatever was wrong. One that
// could not be checked is no failure.
func (s *session) refuseLogin(mechanism config.Mechanism, err error) error {
	switch {
	case s.ctx.Err() != nil:
		return errDrained
	case errors.Is(err, authn.ErrBusy):
		s.login.Failed(err)
		s.server.metrics.login(mechanism, "busy")
		s.pause(s.server.failureStep) // or else who asks for more than there is would ask again at once
		return refuseBusy
	case errors.Is(err, authn.ErrUnavailable):
		s.login.Failed(err)
		s.server.metrics.login(mechanism, "unavailable")
		s.pause(s.server.failureStep)
		return refuseUnavailable
	}
	s.server.metrics.login(mechanism, "rejected")
	s.failures++
	s.pause(time.Duration(max(s.failures, s.login.Failed(err))) * s.server.failureStep)
	if s.failures >= s.settings.Limits.MaxFailedLogins {
		return refuseFailedLogins
	}
	return refuseCredential
}

// pause waits, unless the session is cut.
func (s *session) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// logIn opens the mailbox of the record, answers, and enters the TRANSACTION state. That a login comes too early is told only
// here, to one who knows the password (RFC 2449 §8.1.1), and is no failure.
func (s *session) logIn(mechanism config.Mechanism, text string) error {
	s.login.Succeeded()
	s.record = s.login.Mailbox()
	s.login = nil
	if !s.server.logins.admit(s.record.ID, seconds(s.settings.Limits.LoginDelaySeconds)) {
		s.server.metrics.login(mechanism, "delayed")
		return refuseLoginDelay
	}
	if err := s.openMailbox(mechanism); err != nil {
		s.server.logins.forget(s.record.ID)
		return err
	}
	s.server.metrics.login(mechanism, "ok")
	s.state = transaction
	s.ok(text)
	return nil
}

// openMailbox opens the mailbox of the record, if there are not too many sessions in it.
func (s *session) openMailbox(mechanism config.Mechanism) error {
	if !s.server.limits.open(s.record.ID, s.settings.Limits) {
		s.server.metrics.login(mechanism, "limited")
		return refuseMailboxConnections
	}
	if err := s.openMaildrop(); err != nil {
		s.server.limits.close(s.record.ID)
		s.server.metrics.login(mechanism, "unavailable")
		return s.storeFailed(mailboxRefusal(err), "cannot open maildrop", err)
	}
	return nil
}

// mailboxRefusal answers where a maildrop cannot be opened: does it pass by itself?
func mailboxRefusal(err error) *refusal {
	if errors.Is(err, maildrop.ErrForeignOwner) {
		return refuseForeign
	}
	return refuseMailbox
}

// openMaildrop takes the snapshot that the session works on ([MS-STANXPOP3] C0004). RFC 1939 §4 asks for an exclusive-access
// lock; there is none ([MS-STANXPOP3] §2.1.3).
func (s *session) openMaildrop() error {
	box := maildrop.Mailbox{ID: s.record.ID, Owner: s.record.Owner, Adopt: s.record.Adopt}
	mail, err := s.server.options.Store.Open(s.ctx, box)
	if err != nil {
		return fmt.Errorf("open maildrop: %w", err)
	}
	s.mail = mail
	size := cmp.Or(config.SizeMode(s.record.Size), s.settings.Size)
	s.list = newListing(mail.Messages(), size == config.ExactSize, s.settings.SortOrder == config.Descending)
	return nil
}
