// Package issuers validates the access tokens of configured OAuth 2.0 issuers: JSON Web Tokens (RFC 7519) in the profile of
// RFC 9068, or near to it as common issuers make them. It gets the issuers' keys itself, over HTTPS.
package issuers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/popservice/popservice/pop3server/sasl"
)

// ErrUnavailable says that a token could not be checked, because the issuer does not tell its keys now. Another time the token
// may do. It is no sasl.ErrFailed.
var ErrUnavailable = errors.New("the issuer's keys are not available")

// Identity is whose a token is.
type Identity struct {
	Issuer string // its URL
	Name   string // what the issuer's claim says: UTF-8 text of 1 to 255 octets without control characters
}

// Options is for all issuers. Its zero value does.
type Options struct {
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
	// Report is told of each attempt to get an issuer's keys, whose error is nil where it succeeded. It must not block.
	Report func(issuer string, err error)

	timeout time.Duration // for one attempt; fetchTimeout where it is zero
}

// Set is the issuers whose tokens are taken. It may be used by many goroutines at once.
type Set struct {
	issuers map[string]*issuer // by URL
	now     func() time.Time
}

// issuer is one of a Set.
type issuer struct {
	settings
	keys *keyCache
}

// New makes a Set. It sends nothing: an issuer's keys are got when the first of its tokens comes, so that a server starts
// while an issuer is down. Issuers that are also in previous, which may be nil, and have their keys at the same place, keep
// the keys that they have. The error is one of the configuration, or of reading a CA file.
func New(config []Issuer, previous *Set, options Options) (*Set, error) {
	options = options.complete()
	set := &Set{issuers: make(map[string]*issuer, len(config)), now: options.Now}
	for _, c := range config {
		settings, err := complete(c)
		if err != nil {
			return nil, err
		}
		if set.issuers[c.URL] != nil {
			return nil, fmt.Errorf("issuer %q is there twice", c.URL)
		}
		set.issuers[c.URL] = &issuer{settings, previous.keysOf(settings, options)}
	}
	return set, nil
}

func (o Options) complete() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(string, error) {}
	}
	if o.timeout == 0 {
		o.timeout = fetchTimeout
	}
	return o
}

// keysOf gives the keys that the set has for an issuer, or makes a cache for them.
func (s *Set) keysOf(wanted settings, options Options) *keyCache {
	if s != nil {
		old := s.issuers[wanted.URL]
		if old != nil && old.JWKS == wanted.JWKS && string(old.roots) == string(wanted.roots) {
			return old.keys
		}
	}
	return newKeyCache(newSource(wanted), wanted.URL, options)
}

// Validate tells whose an access token is. Where it has to ask the issuer, it waits for that, some seconds at most. Its error
// is ErrUnavailable or sasl.ErrFailed, and never quotes the token.
func (s *Set) Validate(ctx context.Context, token string) (Identity, error) {
	unverified, err := parse(token)
	if err != nil {
		return Identity{}, refuse(err)
	}
	issuer := s.issuers[unverified.issuer]
	if issuer == nil {
		return Identity{}, refuse(errIssuer)
	}
	claims, err := issuer.verify(ctx, token, unverified)
	if err != nil {
		return Identity{}, err
	}
	name, err := issuer.accept(claims, s.now())
	if err != nil {
		return Identity{}, refuse(err)
	}
	return Identity{issuer.URL, name}, nil
}

// verify checks who signed a token, and gives what it says.
func (i *issuer) verify(ctx context.Context, token string, unverified header) (claims, error) {
	if err := unverified.check(i.Algorithms); err != nil {
		return nil, refuse(err)
	}
	keys, err := i.keys.candidates(ctx, unverified.keyID, unverified.algorithm)
	if err != nil {
		return nil, err
	}
	verifier := oidc.NewVerifier(i.URL, &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
		SupportedSigningAlgs: []string{unverified.algorithm},
		SkipClientIDCheck:    true, // accept does this for more than one audience,
		SkipExpiryCheck:      true, // and this with one leeway for all times
	})
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return nil, refuse(errSignature) // without the library's error, which quotes the token
	}
	var c claims
	if err := verified.Claims(&c); err != nil {
		return nil, refuse(errNoJWT)
	}
	return c, nil
}

// refuse makes an error of validation one that the session knows.
func refuse(reason error) error { return fmt.Errorf("%w: access token: %w", sasl.ErrFailed, reason) }
