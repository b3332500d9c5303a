package authn

import (
	"context"
	"slices"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// check finds the credential that the password belongs to.
func (a *Authenticator) check(
	ctx context.Context, id string, credentials []directory.Credential, password []byte,
) (directory.Credential, error) {
	for _, c := range credentials {
		if c.Verifier != "" && a.known.has(a.known.key(id, c.Verifier, password)) {
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

// hash checks the password against all credentials at once, at the cost of one hash at least. The operator makes a mailbox's
// verifiers with one salt, so that it is one hash however many there are.
func (a *Authenticator) hash(
	ctx context.Context, id string, credentials []directory.Credential, password []byte,
) (directory.Credential, error) {
	var verifiers []verifier.Verifier
	var usable []directory.Credential
	for _, c := range credentials {
		if c.Verifier == "" {
			continue
		}
		v, err := verifier.Parse(c.Verifier)
		if err != nil {
			a.log.WarnContext(ctx, "credential cannot be used", "mailbox", id, "credential", c.Name, "error", err)
			continue
		}
		verifiers, usable = append(verifiers, v), append(usable, c)
	}
	if len(verifiers) == 0 {
		verifiers = append(verifiers, a.dummy)
	}
	matched := verifier.Match(verifiers, password)
	if matched < 0 || matched >= len(usable) {
		if !slices.ContainsFunc(verifiers,
			verifier.Verifier.IsArgon2id) { // a cheap one must not tell by its time that there is a user
			a.dummy.Matches(password)
		}
		a.metrics.rejected.Inc()
		return directory.Credential{}, ErrRejected
	}
	a.metrics.matched.Inc()
	a.known.add(a.known.key(id, usable[matched].Verifier, password))
	return usable[matched], nil
}
