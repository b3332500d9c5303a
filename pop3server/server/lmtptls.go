package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
)

// lmtpCertificate names the LMTP port's certificate in the log and on the control port.
const lmtpCertificate = "lmtp"

// lmtpTLS is what the LMTP port makes TLS with: its certificate, and the authorities of its clients. A file that cannot be used
// leaves what was read before in place. Where a client needs a certificate and no authority could ever be read, there is no TLS
// rather than one that lets in everybody.
type lmtpTLS struct {
	log          *slog.Logger
	certificates *certificates

	mu     sync.Mutex // held while loading
	served atomic.Pointer[lmtpTLSVersion]
}

// lmtpTLSVersion is one version of it. It never changes.
type lmtpTLSVersion struct {
	settings    config.TLS      // the certificate's
	certificate *certificateSet // of one, or of none
	caFile      string
	clients     *authorities // nil while there are none
	refused     error        // why the authorities cannot be read now
	tls         *tls.Config  // nil while there is none
}

// authorities are those that clients' certificates must chain to.
type authorities struct {
	pool        *x509.CertPool
	fingerprint string // of their file
}

func newLMTPTLS(c *config.Config, log *slog.Logger) *lmtpTLS {
	l := &lmtpTLS{log: log, certificates: newCertificates(config.TLS{}, func() *x509.CertPool { return nil }, log)}
	l.served.Store(&lmtpTLSVersion{certificate: &certificateSet{}})
	l.use(c)
	return l
}

// tlsConfig gives what new connections make TLS with, nil while there is none.
func (l *lmtpTLS) tlsConfig() *tls.Config { return l.served.Load().tls }

// use reads the files that a configuration names.
func (l *lmtpTLS) use(c *config.Config) {
	next := &lmtpTLSVersion{settings: config.TLS{MinVersion: c.TLS.MinVersion}}
	if c.LMTP != nil && c.LMTP.TLS != nil {
		files := c.LMTP.TLS
		next.caFile = files.ClientCAFile
		next.settings.Certificates = []config.Certificate{
			{Name: lmtpCertificate, CertFile: files.CertFile, KeyFile: files.KeyFile},
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.load(next)
}

// reload reads the files again.
func (l *lmtpTLS) reload() {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.served.Load()
	l.load(&lmtpTLSVersion{settings: before.settings, caFile: before.caFile})
}

func (l *lmtpTLS) load(next *lmtpTLSVersion) {
	before := l.served.Load()
	l.certificates.use(next.settings)
	next.certificate = l.certificates.served.Load()
	if next.caFile != "" {
		if next.clients, next.refused = loadAuthorities(next.caFile); next.refused != nil {
			next.clients = before.clients
		}
		l.tell(before, next)
	}
	next.tls = next.newTLS(next.certificate.tls)
	l.served.Store(next)
}

// tell logs what is new about the authorities.
func (l *lmtpTLS) tell(before, next *lmtpTLSVersion) {
	switch {
	case next.refused != nil && textOf(next.refused) != textOf(before.refused):
		l.log.Error("client authorities of the LMTP port refused", "kept", next.clients != nil, "error", next.refused)
	case next.refused == nil && (before.clients == nil || next.clients.fingerprint != before.clients.fingerprint):
		l.log.Info("client authorities of the LMTP port loaded", "file", next.caFile)
	}
}

// newTLS asks clients for a certificate where it is to be. Sessions are not resumed, so that an authority that was replaced
// counts from the next connection on.
func (v *lmtpTLSVersion) newTLS(base *tls.Config) *tls.Config {
	if base == nil || v.caFile != "" && v.clients == nil {
		return nil
	}
	made := base.Clone()
	made.SessionTicketsDisabled = true
	if v.caFile != "" {
		made.ClientAuth, made.ClientCAs = tls.RequireAndVerifyClientCert, v.clients.pool
	}
	return made
}

func loadAuthorities(file string) (*authorities, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("lmtp.tls.clientCAFile: %w", err)
	}
	pool, err := config.Authorities(text)
	if err != nil {
		return nil, fmt.Errorf("lmtp.tls.clientCAFile: %s cannot be used: %w", file, err)
	}
	return &authorities{pool, control.Fingerprint(text)}, nil
}

// status tells what is used, and of which files; nil where the configuration names none.
func (l *lmtpTLS) status() *control.LMTPTLS {
	served := l.served.Load()
	certificates := served.certificate.status()
	if len(certificates) == 0 {
		return nil
	}
	told := &control.LMTPTLS{Certificate: certificates[0]}
	if served.caFile != "" {
		told.ClientCA = &control.ClientCA{Error: textOf(served.refused)}
		if served.clients != nil {
			told.ClientCA.Fingerprint = served.clients.fingerprint
		}
	}
	return told
}

// paths gives the files that are read.
func (l *lmtpTLS) paths() []string {
	paths := l.certificates.paths()
	if file := l.served.Load().caFile; file != "" {
		paths = append(paths, file)
	}
	return paths
}

var (
	lmtpTLSExpiry = prometheus.NewDesc("pop3d_lmtp_certificate_not_after_timestamp_seconds",
		"When the certificate of the LMTP port expires.", nil, nil)
	lmtpTLSCurrent = prometheus.NewDesc("pop3d_lmtp_tls_last_reload_successful",
		"1 if the files of the LMTP port's TLS are what is used, 0 if they were refused.", nil, nil)
)

// Describe implements prometheus.Collector.
func (l *lmtpTLS) Describe(descs chan<- *prometheus.Desc) {
	descs <- lmtpTLSExpiry
	descs <- lmtpTLSCurrent
}

// Collect implements prometheus.Collector.
func (l *lmtpTLS) Collect(metrics chan<- prometheus.Metric) {
	told := l.status()
	if told == nil {
		return
	}
	current := oneIf(told.Certificate.Error == "" && (told.ClientCA == nil || told.ClientCA.Error == ""))
	metrics <- prometheus.MustNewConstMetric(lmtpTLSCurrent, prometheus.GaugeValue, current)
	if told.Certificate.Fingerprint != "" {
		metrics <- prometheus.MustNewConstMetric(lmtpTLSExpiry, prometheus.GaugeValue, unix(told.Certificate.NotAfter))
	}
}
