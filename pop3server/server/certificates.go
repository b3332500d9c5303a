package server

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
)

// certificates are what the POP3 listeners make TLS with. A pair of files that cannot be used leaves the one served before it,
// known by its name in the configuration, in place.
type certificates struct {
	log *slog.Logger
	// clientCAs gives the authorities of clients' certificates; nil where none are asked for.
	clientCAs func() *x509.CertPool

	mu     sync.Mutex // held while loading
	served atomic.Pointer[certificateSet]
}

// certificateSet is one version of all certificates. It never changes.
type certificateSet struct {
	settings config.TLS
	all      []certificate // in the order of the settings
	clients  *x509.CertPool
	tls      *tls.Config // nil while there is none to serve
}

// certificate is one pair of files.
type certificate struct {
	config.Certificate
	pair *tls.Certificate // what is served; nil if the files could never be used
	err  error            // why the files cannot be used now
}

func newCertificates(settings config.TLS, clientCAs func() *x509.CertPool, log *slog.Logger) *certificates {
	c := &certificates{log: log, clientCAs: clientCAs}
	c.served.Store(&certificateSet{})
	c.use(settings)
	return c
}

// tlsConfig gives what new connections make TLS with, nil while there is no certificate.
func (c *certificates) tlsConfig() *tls.Config { return c.served.Load().tls }

// reload reads the files again.
func (c *certificates) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load(c.served.Load().settings)
}

// use reads the files that the settings name.
func (c *certificates) use(settings config.TLS) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load(settings)
}

func (c *certificates) load(settings config.TLS) {
	before := c.served.Load()
	next := &certificateSet{settings: settings, clients: c.clientCAs()}
	for _, files := range settings.Certificates {
		old := before.named(files.Name)
		loaded := loadCertificate(files, old.pair)
		c.tell(old, loaded)
		next.all = append(next.all, loaded)
	}
	next.tls = before.tls
	if !next.servesLike(before) {
		next.tls = cmp.Or(next.newTLS(), next.fallback(before))
	}
	c.served.Store(next)
}

// fallback gives what was served before where certificates are named and none of them can be used, as when the names have
// changed and the files are bad.
func (s *certificateSet) fallback(before *certificateSet) *tls.Config {
	if len(s.settings.Certificates) == 0 {
		return nil
	}
	return before.tls
}

// loadCertificate reads a pair of files; the old pair stays if it cannot be used.
func loadCertificate(files config.Certificate, old *tls.Certificate) certificate {
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		err = fmt.Errorf("certificate %s and key %s cannot be used: %w", files.CertFile, files.KeyFile, err)
		return certificate{files, old, err}
	}
	return certificate{files, &pair, nil}
}

// tell logs what is new about a certificate.
func (c *certificates) tell(old, loaded certificate) {
	switch {
	case loaded.err != nil && textOf(loaded.err) != textOf(old.err):
		c.log.Error("certificate refused", "certificate", loaded.Name, "served", loaded.fingerprint(), "error", loaded.err)
	case loaded.err == nil && (old.err != nil || loaded.fingerprint() != old.fingerprint()):
		c.log.Info("certificate loaded", "certificate", loaded.Name, "fingerprint", loaded.fingerprint(),
			"notAfter", loaded.pair.Leaf.NotAfter)
	}
}

// named gives the certificate of that name, an empty one if there is none.
func (s *certificateSet) named(name string) certificate {
	for _, c := range s.all {
		if c.Name == name {
			return c
		}
	}
	return certificate{}
}

// servesLike tells whether clients would see no difference.
func (s *certificateSet) servesLike(other *certificateSet) bool {
	if !reflect.DeepEqual(s.settings, other.settings) || len(s.all) != len(other.all) || s.clients != other.clients {
		return false
	}
	for i := range s.all {
		if !reflect.DeepEqual(s.all[i].chain(), other.all[i].chain()) {
			return false
		}
	}
	return true
}

// newTLS gives nil where there is no certificate to serve. Each config encrypts session tickets with a key of its own, so no
// client goes on with what it was told under an older certificate.
func (s *certificateSet) newTLS() *tls.Config {
	names := newServerNames(s.all)
	if names.first == nil {
		return nil
	}
	version := uint16(tls.VersionTLS12)
	if s.settings.MinVersion == config.TLS13 {
		version = tls.VersionTLS13
	}
	made := &tls.Config{MinVersion: version, GetCertificate: names.choose}
	if s.clients != nil { // clients that have none log in by other ways
		made.ClientAuth, made.ClientCAs = tls.VerifyClientCertIfGiven, s.clients
	}
	return made
}

// status tells what is served, and of which files.
func (s *certificateSet) status() []control.Certificate {
	var all []control.Certificate
	for _, c := range s.all {
		told := control.Certificate{Name: c.Name, Fingerprint: c.fingerprint(), Error: textOf(c.err)}
		if c.pair != nil {
			told.NotAfter = c.pair.Leaf.NotAfter
		}
		all = append(all, told)
	}
	return all
}

func (c certificate) chain() [][]byte {
	if c.pair == nil {
		return nil
	}
	return c.pair.Certificate
}

// fingerprint is that of the leaf, empty where none is served.
func (c certificate) fingerprint() string {
	if c.pair == nil {
		return ""
	}
	return control.Fingerprint(c.pair.Leaf.Raw)
}
