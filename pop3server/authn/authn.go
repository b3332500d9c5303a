// Package authn checks user names and passwords against the directory.
//
// A name that does not exist, a mailbox that is disabled or has no credential, and a wrong password give the same error at the
// cost of one password hash, so that neither the answer nor its time tells which mailboxes exist. (A mailbox with several
// credentials, or with verifiers of another cost than new ones have, takes that many hashes or that cost.)
//
// A password that was right is remembered for a while, so that clients which log in every minute cost no hash each time. What
// is remembered is bound to the verifier: as the record changes, the old password is no longer known.
package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
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
)

const (
	rememberFor = 5 * time.Minute
	rememberMax = 100_000 // entries of some 100 octets
	waitingMax  = 256     // logins that wait for a hash
	waitFor     = 5 * time.Second
)

// Options are what an Authenticator needs; all of them are required.
type Options struct {
	// Lookup finds the record of an address, be it a mailbox's own or an alias, in upper or lower case.
	Lookup func(address string) (directory.Record, bool)
	// MaxConcurrent tells how many passwords may be hashed at the same time; asked each time.
	MaxConcurrent func() int
	Log           *slog.Logger
	Registerer    prometheus.Registerer
}

// Authenticator checks passwords. Its methods may be called at the same time.
type Authenticator struct {
	lookup  func(string) (directory.Record, bool)
	workers *workers
	known   *cache
	dummy   verifier.Verifier // stands in where there is nothing to check against
	log     *slog.Logger
	metrics metrics
}

// New makes an Authenticator and registers its metrics.
func New(options Options) *Authenticator {
	return &Authenticator{
		lookup:  options.Lookup,
		workers: newWorkers(options.MaxConcurrent, waitingMax, waitFor),
		known:   newCache(rememberMax, rememberFor),
		dummy:   verifier.Unmatched(),
		log:     options.Log,
		metrics: newMetrics(options.Registerer),
	}
}

// Verify gives the record of the named mailbox if the password is one of its own, ErrRejected if not, and ErrBusy
// where it could not be checked in time. It does not retain the password.
func (a *Authenticator) Verify(
	ctx context.Context, name string, password []byte, remote netip.Addr,
) (directory.Record, error) {
	record, credentials := a.candidates(name)
	credential, err := a.check(ctx, record.ID, credentials, password)
	if err != nil {
		a.log.InfoContext(ctx, "login refused", "user", sanitize(name), "remote", remote, "reason", err)
		return directory.Record{}, err
	}
	a.log.DebugContext(ctx, "login", "mailbox", record.ID, "credential", credential.Name, "remote", remote)
	return record, nil
}

// candidates gives the mailbox and what may open it: nothing where it is unknown, disabled, or not for POP3.
func (a *Authenticator) candidates(name string) (directory.Record, []directory.Credential) {
	record, ok := a.lookup(name)
	if !ok || record.State != directory.Enabled || record.NoPOP3 {
		return directory.Record{}, nil
	}
	return record, record.Credentials
}

// check finds the credential that the password belongs to.
func (a *Authenticator) check(
	ctx context.Context, id string, credentials []directory.Credential, password []byte,
) (directory.Credential, error) {
	for _, c := range credentials {
		if a.known.has(a.known.key(id, c.Verifier, password)) {
			a.metrics.remembered.Inc()
			return c, nil
		}
	}
	if err := a.workers.acquire(ctx); err != nil {
		a.metrics.busy.Inc()
		return directory.Credential{}, err
	}
	defer a.workers.release()
	return a.hash(ctx, id, credentials, password)
}

// hash checks the password against each credential, at the cost of one hash at least.
func (a *Authenticator) hash(
	ctx context.Context, id string, credentials []directory.Credential, password []byte,
) (directory.Credential, error) {
	hashed := false
	for _, c := range credentials {
		v, err := verifier.Parse(c.Verifier)
		if err != nil {
			a.log.WarnContext(ctx, "credential cannot be used", "mailbox", id, "credential", c.Name, "error", err)
			continue
		}
		hashed = true
		if v.Matches(password) {
			a.metrics.matched.Inc()
			a.known.add(a.known.key(id, c.Verifier, password))
			return c, nil
		}
	}
	if !hashed {
		a.dummy.Matches(password)
	}
	a.metrics.rejected.Inc()
	return directory.Credential{}, ErrRejected
}
