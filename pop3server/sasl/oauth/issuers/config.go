package issuers

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/popservice/popservice/pop3server/config"
)

// Issuer is one whose tokens are taken.
type Issuer struct {
	// URL is the issuer's identifier, as the iss claim has it: https, without a query and a fragment.
	URL string
	// Audiences are those that tokens for this server are meant for. A token names one of them at least in its aud claim.
	Audiences []string
	// Claim is the claim that names the mailbox. It is ClaimEmail where it is empty. Choose one whose value the issuer's
	// users cannot set: the server trusts it.
	Claim string
	// RequiredScopes must all be in the token, in scope (RFC 9068 §2.2.3) or scp.
	RequiredScopes []string
	// JWKS is the https URL of the issuer's keys. Where it is empty, OpenID Connect Discovery tells it.
	JWKS string
	// CAFile has the certificates, in PEM form, of the authorities that may vouch for the issuer's servers. Where it is empty,
	// the system's may. It is read when a Set is made.
	CAFile string
	// Algorithms are the signatures that are taken, of Algorithms(); all of these where it is empty.
	Algorithms []string
}

// ClaimEmail is the claim that names the mailbox where nothing else is said. It does not count where the token says, with
// email_verified, that the issuer has not verified it (OpenID Connect Core §5.1).
const ClaimEmail = "email"

// algorithms are those with public keys (RFC 7518 §3.1, RFC 8037 §3.1). With "none" or a secret that the server would have to
// know, no token proves anything.
var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// Algorithms gives the signature algorithms that an issuer may have.
func Algorithms() []string { return slices.Clone(algorithms) }

// settings are an Issuer's, checked and complete.
type settings struct {
	Issuer
	roots []byte // what CAFile holds; nil without one
}

// complete checks an issuer, fills in what it leaves open, and reads its file.
func complete(issuer Issuer) (settings, error) {
	if err := issuer.check(); err != nil {
		return settings{}, fmt.Errorf("issuer %q: %w", issuer.URL, err)
	}
	if issuer.Claim == "" {
		issuer.Claim = ClaimEmail
	}
	if len(issuer.Algorithms) == 0 {
		issuer.Algorithms = algorithms
	}
	roots, err := readRoots(issuer.CAFile)
	if err != nil {
		return settings{}, fmt.Errorf("issuer %q: %w", issuer.URL, err)
	}
	return settings{issuer, roots}, nil
}

func (i Issuer) check() error {
	if err := checkURL(i.URL); err != nil {
		return err
	}
	if i.JWKS != "" {
		if err := checkHTTPS(i.JWKS); err != nil {
			return fmt.Errorf("JWKS: %w", err)
		}
	}
	if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		return errors.New("want one audience at least, and none that is empty: tokens for other servers would do") // RFC 9068 §4
	}
	for _, scope := range i.RequiredScopes {
		if scope == "" || strings.ContainsAny(scope, " \"\\") { // RFC 6749 §3.3
			return fmt.Errorf("%q is not one scope", scope)
		}
	}
	for _, algorithm := range i.Algorithms {
		if !slices.Contains(algorithms, algorithm) {
			return fmt.Errorf("%q is not one of the algorithms %s", algorithm, strings.Join(algorithms, ", "))
		}
	}
	return nil
}

// checkURL checks an issuer's identifier (OpenID Connect Core §2, iss).
func checkURL(text string) error {
	if err := checkHTTPS(text); err != nil {
		return err
	}
	if strings.ContainsAny(text, "?#") {
		return errors.New("an issuer's URL has no query and no fragment")
	}
	return nil
}

func checkHTTPS(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errors.New("want an https URL with a host and without a user")
	}
	return nil
}

// readRoots gives what a CA file holds, which must be certificates; nil without a file.
func readRoots(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if _, err := config.Authorities(text); err != nil {
		return nil, fmt.Errorf("CA file %q: %w", file, err)
	}
	return text, nil
}
