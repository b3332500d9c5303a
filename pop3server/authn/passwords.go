package authn

import (
	"context"
	"slices"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// check finds the credential that the password belongs to. id is the mailbox's; empty where it may not be opened.
func (a *Authenticator) check(
	ctx context.Context, id string, credentials []directory.Credential, password []byte,
) (directory.Credential, error) {
	if c, ok := a.remembered(id, credentials, password); ok {
		a.metrics.remembered.Inc()
		return c, nil
	}
	if err := a.workers.acquire(ctx); err != nil {
		a.metrics.busy.Inc()
		return directory.Credential{}, err
	}
	defer a.workers.release()
	c, err := a.hash(ctx, id, credentials, password)
	if err == nil && id != "" { // without one it is refused later, and is to take as long the next time
		a.known.add(a.known.key(id, c.Verifier, password))
	}
	return c, err
}

// remembered finds the credential whose password was right of late.
func (a *Authenticator) remembered(
	id string, credentials []directory.Credential, password []byte,
) (c directory.Credential, ok bool) {
	for _, c := range credentials {
		if c.Verifier != "" && a.known.has(a.known.key(id, c.Verifier, password)) {
			return c, true
		}
	}
	return c, false
}

// hash checks the password against all credentials at once, at the cost of one hash at least. The operator makes a mailbox's
// verifiers with one salt, so that it is one hash however many there are.
func (a *Authenticator) hash(
	ctx context.Context, id string, credentials []directory.Credential, password []byte,
) (directory.Credential, error) {
	verifiers, usable := a.usable(ctx, id, credentials)
	if len(verifiers) == 0 {
		verifiers = []verifier.Verifier{a.dummy}
	}
	matched, err := a.matchAny(verifiers, password)
	if err == nil && matched >= 0 && matched < len(usable) {
		a.metrics.matched.Inc()
		return usable[matched], nil
	}
	if err == nil && !slices.ContainsFunc(verifiers, verifier.Verifier.IsArgon2id) {
		_, err = a.matchAny([]verifier.Verifier{a.dummy}, password) // a cheap one must not tell by its time that there is a user
	}
	if err != nil {
		a.log.ErrorContext(ctx, "a password could not be checked", "error", err)
		a.metrics.busy.Inc()
		return directory.Credential{}, ErrBusy
	}
	a.metrics.rejected.Inc()
	return directory.Credential{}, ErrRejected
}

// usable gives the credentials that have a verifier, and these.
func (a *Authenticator) usable(
	ctx context.Context, id string, credentials []directory.Credential,
) (verifiers []verifier.Verifier, usable []directory.Credential) {
	for _, c := range credentials {
		if c.Verifier == "" {
			continue
		}
		v, err := verifier.Parse(c.Verifier)
		if err == nil {
			err = verifier.Affordable(verifiers, v)
		}
		if err != nil {
			a.log.WarnContext(ctx, "credential cannot be used", "mailbox", id, "credential", c.Name, "error", err)
			continue
		}
		verifiers, usable = append(verifiers, v), append(usable, c)
	}
	return verifiers, usable
}

// matchAny makes a check where it belongs: a dear one elsewhere, so that other sessions do not wait for it.
func (a *Authenticator) matchAny(verifiers []verifier.Verifier, password []byte) (int, error) {
	isDear := func(v verifier.Verifier) bool { return !v.IsCheap() }
	if !slices.ContainsFunc(verifiers, isDear) {
		return matchHere(verifiers, password)
	}
	return a.match(verifiers, password)
}

func matchHere(verifiers []verifier.Verifier, password []byte) (int, error) {
	return verifier.Match(verifiers, password), nil
}
