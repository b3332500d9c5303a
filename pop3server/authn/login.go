package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/popservice/popservice/pop3server/directory"
)

// Login is one attempt to log in, from the first message of a mechanism to the mailbox that it opens, or to its failure. It is
// used once, by one goroutine. Each mechanism begins with what Identify or one of the methods that are named after a kind of
// proof makes of the client's words; none of these tells the client's side whether there is such a user.
type Login struct {
	ctx    context.Context
	server *Authenticator
	remote netip.Addr

	name       string // as the client gave it, for the log
	subject    string // whom failures are counted of
	locked     bool   // too many have failed
	credential string // which one was right
	mailbox    directory.Record
}

// Begin begins an attempt. The context bounds all that it waits for.
func (a *Authenticator) Begin(ctx context.Context, remote netip.Addr) *Login {
	return &Login{ctx: ctx, server: a, remote: remote}
}

// Mailbox is what a login that has succeeded opens.
func (l *Login) Mailbox() directory.Record { return l.mailbox }

// Failed counts a failure, of the address alone where it is not known who failed, and logs it. It gives by how many steps its
// answer is to be delayed, 0 to 7.
func (l *Login) Failed(err error) (steps int) {
	if l.locked { // and so nothing else counts, whatever a mechanism has found
		err = errLockedOut
	}
	l.server.log.InfoContext(l.ctx, "login refused", "user", sanitize(l.name), "remote", l.remote, "reason", err)
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrUnavailable) || errors.Is(err, errLockedOut) {
		return 0
	}
	return l.server.guard.fail(l.remote, l.subject)
}

// Succeeded notes that the mailbox is about to be opened.
func (l *Login) Succeeded() {
	l.server.guard.succeed(l.remote, l.subject)
	l.server.log.LogAttrs(l.ctx, slog.LevelDebug, "login", slog.String("user", sanitize(l.name)),
		slog.String("mailbox", l.mailbox.ID), slog.String("credential", l.credential), slog.Any("remote", l.remote))
}

// Errors that the log tells apart, and no client.
var (
	errUnknown    = fmt.Errorf("%w: there is no such mailbox, or it is disabled or not open for POP3", ErrRejected)
	errLockedOut  = fmt.Errorf("%w: too many failed logins", ErrRejected)
	errNoDelegate = fmt.Errorf("%w: the user is no delegate of the mailbox", ErrRejected)
	errName       = fmt.Errorf("%w: no valid user name", ErrRejected)
)

// user is whom a client claims to be.
type user struct {
	directory.Record        // of the user's own mailbox; without ID, and all but credentials, where it may not be opened
	mailbox          string // that is wanted, as the client gave it; empty is the user's own
	domain           string // in which that is looked for
}

// claim takes a name apart and finds the user. authzid is the mailbox that the mechanism names, if it does. What is
// unknown gives a user without a record, so that it is refused when the proof is checked, and no sooner.
func (l *Login) claim(text, authzid string) (user, error) {
	l.name = text
	name, ok := ParseName(text)
	if !ok || authzid != "" && name.Mailbox != "" {
		l.subject = nobody(text)
		return user{}, l.admitted()
	}
	if name.Mailbox == "" {
		name.Mailbox = authzid
	}
	return l.claimName(name)
}

func (l *Login) claimName(name Name) (user, error) {
	address := l.server.addressOf(name)
	l.subject = nobody(address)
	record, ok := l.server.directory.Lookup(address)
	if ok {
		l.subject = record.ID
	}
	u := user{mailbox: name.Mailbox, domain: domainOf(address)}
	switch {
	case ok && isOpen(record):
		u.Record = record
	case ok: // its proofs look as before, and cost the same; but there is no mailbox to open
		u.Credentials = record.Credentials
	}
	return u, l.admitted()
}

// addressOf gives the address of the user whom a name names.
func (a *Authenticator) addressOf(name Name) string {
	address, _ := a.domains().address(name.User, name.Domain)
	return address
}

func (l *Login) admitted() error {
	l.locked = l.server.guard.locked(l.remote, l.subject)
	if l.locked {
		return errLockedOut
	}
	return nil
}

// nobody stands for a user who does not exist, in few octets.
func nobody(name string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(name)))
	return string(sum[:16])
}

func isOpen(r directory.Record) bool { return r.State == directory.Enabled && !r.NoPOP3 }

// open decides which mailbox a user gets who has proven to be it ([MS-STANXPOP3] C0010: where that is not here, it is a failed
// login like any other).
func (l *Login) open(u user, credential string) error {
	l.credential = credential
	wanted := u.Record
	if u.mailbox != "" {
		address, _ := Domains{{Name: u.domain}}.address(u.mailbox, "")
		wanted, _ = l.server.directory.Lookup(address)
	}
	switch {
	case u.ID == "" || !isOpen(wanted):
		return errUnknown
	case wanted.ID != u.ID && !l.server.isDelegate(u.Record, wanted):
		return errNoDelegate
	}
	// Once more, for whoever began many logins before the first of them failed, and has guessed right with one of the later ones.
	if err := l.admitted(); err != nil {
		return err
	}
	l.mailbox = wanted
	return nil
}

// isDelegate tells whether a mailbox lets another one's user open it. Delegates are named by any of their addresses.
func (a *Authenticator) isDelegate(u, mailbox directory.Record) bool {
	for _, address := range mailbox.Delegates {
		if delegate, ok := a.directory.Lookup(address); ok && delegate.ID == u.ID {
			return true
		}
	}
	return false
}
