// Package authn checks user names and passwords against the directory.
//
// A name that does not exist, a mailbox that is disabled or has no credential, and a wrong password give the same error at the
// cost of one password hash, so that neither the answer nor its time tells which mailboxes exist. (Verifiers that users bring,
// with salts of their own or of another cost than those that the operator makes, take that many hashes or that cost.)
//
// A password that was right is remembered for a while, so that clients which log in every minute cost no hash each time. What
// is remembered is bound to the verifier: as the record changes, the old password is no longer known.
package authn

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

var (
	// ErrRejected says: unknown name, wrong password, disabled mailbox or one without credentials; which of them is not told.
	ErrRejected = errors.New("unknown user name or bad password")
	// ErrBusy says that too many passwords are being checked; the same login may succeed later.
	ErrBusy = errors.New("too many logins are being checked")
	// ErrUnavailable says that somebody who must be asked cannot be; the same login may succeed later.
	ErrUnavailable = errors.New("a login cannot be checked now")
)

const (
	rememberFor = 5 * time.Minute
	rememberMax = 100_000 // entries of some 100 octets
	waitingMax  = 256     // logins that wait for a hash
	// waitFor is how long they do: on a server whose cores are busy with mail, a late login is better than none.
	waitFor = 10 * time.Second
)

// Directory is where mailboxes are found, as directory.Directory does it.
type Directory interface {
	// Lookup finds the record of an address, be it a mailbox's own or an alias, in upper or lower case.
	Lookup(address string) (directory.Record, bool)
	// LookupPrincipal finds the record that names a principal among its credentials.
	LookupPrincipal(directory.Principal) (directory.Record, bool)
}

// Options are what an Authenticator needs; what may be nil says so. The functions are asked each time.
type Options struct {
	Directory Directory
	// Domains are those in which users may be named without one.
	Domains func() Domains
	Lockout func() Lockout
	// MaxConcurrent tells how many passwords may be hashed at the same time.
	MaxConcurrent func() int
	// Match gives the index of a verifier that a password matches, -1 if there is none. It is asked where the check is dear,
	// by as many at once as MaxConcurrent allows, and may be nil: then such checks are made here as well.
	Match      func(verifiers []verifier.Verifier, password []byte) (int, error)
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Authenticator decides who may log in, and to which mailbox. Its methods may be called at the same time.
type Authenticator struct {
	directory Directory
	domains   func() Domains
	guard     *guard
	workers   *workers
	match     func(verifiers []verifier.Verifier, password []byte) (int, error)
	known     *cache
	dummy     verifier.Verifier // stands in where there is nothing to check against
	decoy     directory.Credential
	log       *slog.Logger
	metrics   metrics
}

// New makes an Authenticator and registers its metrics.
func New(options Options) *Authenticator {
	if options.Match == nil {
		options.Match = matchHere
	}
	return &Authenticator{
		directory: options.Directory,
		domains:   options.Domains,
		guard:     newGuard(options.Lockout),
		workers:   newWorkers(options.MaxConcurrent, waitingMax, waitFor),
		match:     options.Match,
		known:     newCache(rememberMax, rememberFor),
		dummy:     verifier.Unmatched(),
		decoy:     newDecoy(),
		log:       options.Log,
		metrics:   newMetrics(options.Registerer),
	}
}
