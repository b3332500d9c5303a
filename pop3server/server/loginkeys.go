package server

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/popservice/popservice/pop3server/authn"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/pop3"
	"github.com/popservice/popservice/pop3server/sasl/gssapi"
	"github.com/popservice/popservice/pop3server/sasl/oauth/issuers"
)

const (
	// replaysMax bounds the tickets that are remembered, for twice the five minutes that clocks may differ: 160 logins a second.
	replaysMax = 100_000
	// fakeKeyOctets is the least that SCRAM's secret may have.
	fakeKeyOctets = 16
)

// loginKeys are the files that logins need beside the directory: keytab, authorities, secrets.
type loginKeys struct {
	log     *slog.Logger
	replays *gssapi.ReplayCache
	random  []byte // SCRAM's secret where no file has one

	mu     sync.Mutex // held while loading
	served atomic.Pointer[loginKeySet]
}

// loginKeySet is one version of them. It never changes.
type loginKeySet struct {
	settings config.Authentication
	keytab   kept[*gssapi.Keytab]
	clients  kept[*x509.CertPool]
	fake     kept[[]byte]
	roots    []kept[*x509.CertPool] // of the issuers, in the settings' order
	tokens   *issuers.Set
	oauth    config.OAuth // of which the tokens' issuers were made; other settings where these cannot be used
	refused  error        // why the issuers cannot be used as they are set now
}

func newLoginKeys(settings config.Authentication, log *slog.Logger) *loginKeys {
	k := &loginKeys{log: log, replays: gssapi.NewReplayCache(replaysMax), random: make([]byte, 2*fakeKeyOctets)}
	_, _ = rand.Read(k.random) // never fails (crypto/rand)
	first := &loginKeySet{}
	first.keytab.name, first.clients.name, first.fake.name = control.FileKeytab, control.FileClientCA, control.FileSCRAMKey
	k.served.Store(first)
	k.use(settings)
	return k
}

// use reads the files that the settings name.
func (k *loginKeys) use(settings config.Authentication) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.load(settings)
}

// reload reads the files again.
func (k *loginKeys) reload() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.load(k.served.Load().settings)
}

func (k *loginKeys) load(settings config.Authentication) {
	before := k.served.Load()
	next := &loginKeySet{
		settings: settings, oauth: settings.OAuth,
		keytab:  before.keytab.read(settings.Kerberos.KeytabFile, parseKeytab, k.log),
		clients: before.clients.of(settings.ClientCAFile).read(settings.ClientCAFile, config.Authorities, k.log),
		fake:    before.fake.read(settings.SCRAM.KeyFile, parseFakeKey, k.log),
	}
	for _, issuer := range settings.OAuth.Issuers {
		next.roots = append(next.roots, before.root(issuer.URL).of(issuer.CAFile).read(issuer.CAFile, config.Authorities, k.log))
	}
	var err error
	if next.tokens, err = issuers.New(issuersOf(settings.OAuth), before.tokens, issuers.Options{Report: k.report}); err != nil {
		next.tokens, next.oauth, next.refused = before.tokens, before.oauth, err
		k.log.Error("OAuth issuers refused", "kept", next.tokens != nil, "error", err)
	}
	k.served.Store(next)
}

// root gives what is known of the authorities of an issuer.
func (s *loginKeySet) root(url string) kept[*x509.CertPool] {
	name := control.FileIssuerCA + " " + url
	for _, known := range s.roots {
		if known.name == name {
			return known
		}
	}
	return kept[*x509.CertPool]{name: name}
}

// report logs that an issuer's keys were asked for.
func (k *loginKeys) report(issuer string, err error) {
	if err != nil {
		k.log.Warn("the keys of an OAuth issuer cannot be had", "issuer", issuer, "error", err)
		return
	}
	k.log.Debug("the keys of an OAuth issuer were fetched", "issuer", issuer)
}

func issuersOf(settings config.OAuth) (all []issuers.Issuer) {
	for _, i := range settings.Issuers {
		all = append(all, issuers.Issuer{URL: i.URL, Audiences: i.Audiences, Claim: i.Claim, RequiredScopes: i.RequiredScopes,
			JWKS: i.JWKSURL, CAFile: i.CAFile})
	}
	return all
}

func parseKeytab(text []byte) (*gssapi.Keytab, error) { return gssapi.LoadKeytab(text) }

func parseFakeKey(text []byte) ([]byte, error) {
	if len(text) < fakeKeyOctets {
		return nil, fmt.Errorf("it has %d octets, at least %d are needed", len(text), fakeKeyOctets)
	}
	return text, nil
}

// keys are what the POP3 server is given.
func (k *loginKeys) keys(hostname func() string) pop3.Keys {
	return pop3.Keys{
		Keytab:    func() *gssapi.Keytab { return k.served.Load().keytab.value },
		Replays:   k.replays,
		Token:     k.token,
		Fake:      k.fake,
		ClientCAs: k.clientCAs,
		Hostname:  hostname,
	}
}

func (k *loginKeys) fake() []byte {
	if secret := k.served.Load().fake.value; secret != nil {
		return secret
	}
	return k.random
}

// clientCAs are the authorities of clients' certificates; nil where none are asked for.
func (k *loginKeys) clientCAs() *x509.CertPool {
	served := k.served.Load()
	if !slices.Contains(served.settings.Mechanisms, config.MechanismExternal) {
		return nil
	}
	return served.clients.value
}

// token tells whose an access token is.
func (k *loginKeys) token(ctx context.Context, token string) (pop3.Subject, error) {
	served := k.served.Load()
	if served.tokens == nil {
		return pop3.Subject{}, fmt.Errorf("%w: %w", authn.ErrUnavailable, served.refused)
	}
	identity, err := served.tokens.Validate(ctx, token)
	if errors.Is(err, issuers.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", authn.ErrUnavailable, err)
	}
	if err != nil {
		return pop3.Subject{}, err
	}
	if _, ok := issuerOf(served.settings.OAuth, identity.Issuer); !ok {
		return pop3.Subject{}, fmt.Errorf("%w: the issuer %s is no longer one", authn.ErrRejected, identity.Issuer)
	}
	made, _ := issuerOf(served.oauth, identity.Issuer)
	return pop3.Subject{Issuer: identity.Issuer, Name: identity.Name, Domains: made.Domains}, nil
}

func issuerOf(settings config.OAuth, url string) (config.Issuer, bool) {
	for _, i := range settings.Issuers {
		if i.URL == url {
			return i, true
		}
	}
	return config.Issuer{}, false
}

// status tells what was loaded, of which files.
func (k *loginKeys) status() (all []control.File) {
	served := k.served.Load()
	add := func(told control.File, ok bool) {
		if ok {
			all = append(all, told)
		}
	}
	add(served.keytab.status())
	add(served.clients.status())
	add(served.fake.status())
	for _, root := range served.roots {
		add(root.status())
	}
	return all
}

// paths gives the files that are read.
func (k *loginKeys) paths() (paths []string) {
	settings := k.served.Load().settings
	for _, path := range []string{settings.Kerberos.KeytabFile, settings.ClientCAFile, settings.SCRAM.KeyFile} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	for _, issuer := range settings.OAuth.Issuers {
		if issuer.CAFile != "" {
			paths = append(paths, issuer.CAFile)
		}
	}
	return paths
}
