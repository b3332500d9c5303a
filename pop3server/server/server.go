// Package server is pop3d as a whole: it wires the parts together, listens, follows changes of the files, and drains.
//
// Four things are read from files and followed while the server runs: the configuration, the directory, the certificates of the
// POP3 listeners and of the LMTP port, and the identity of the control port. Each has a version in force, which connections
// read without a lock, and a new version that cannot be used never takes its place: it is told in the log, on the control port
// and in the metrics.
package server

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/admin"
	"github.com/popservice/popservice/pop3server/hashers"
	"github.com/popservice/popservice/pop3server/lmtp"
	"github.com/popservice/popservice/pop3server/maildrop"
	"github.com/popservice/popservice/pop3server/pop3"
)

// Options are what a server is started with.
type Options struct {
	// ConfigPath is the configuration file.
	ConfigPath string
	// Version is the program's version, for status and metrics.
	Version string
	// Log takes the log, one JSON object a line.
	Log io.Writer
	// Hasher starts this program to run hashers.Serve. Where it is empty, passwords are checked within the server.
	Hasher []string
	// Cut, when it is closed, ends a drain at once. It may be nil.
	Cut <-chan struct{}
}

// server has everything that runs.
type server struct {
	options       Options
	log           *slog.Logger
	registry      *prometheus.Registry
	configuration *configuration
	store         *maildrop.JournalStore
	owned         *ownership
	purger        *purger
	unlocked      error // why the store cannot be shared, where it is to be
	mailboxes     *mailboxes
	loginKeys     *loginKeys
	certificates  *certificates
	identity      *identity // nil without a control port
	pop3          *pop3.Server
	lmtp          *lmtp.Server // nil where no mail is taken
	lmtpTLS       *lmtpTLS
	hashers       *hashers.Pool // nil where passwords are checked within the server
	draining      atomic.Bool
}

// Run serves until ctx is done, drains, and gives nil. An error says why the server could not start, or why it could not
// go on; then it has drained too.
func Run(ctx context.Context, options Options) error {
	s, err := newServer(options)
	if err != nil {
		return err
	}
	ports := s.ports()
	if err := s.listen(ctx, ports); err != nil {
		return err
	}
	return s.run(ctx, ports)
}

// newServer reads the files and makes the parts. Only a configuration or a store that cannot be used keeps it from starting:
// what else is missing may come, and readiness tells of it.
func newServer(options Options) (*server, error) {
	level := new(slog.LevelVar)
	s := &server{options: options, log: newLog(options.Log, level), registry: prometheus.NewRegistry()}
	var err error
	if s.configuration, err = newConfiguration(options.ConfigPath, s.log, level); err != nil {
		return nil, err
	}
	c := s.configuration.now()
	if s.store, err = newStore(s.configuration, s.log); err != nil {
		return nil, err
	}
	if c.Maildrop.Shared {
		if s.unlocked = s.store.CheckLocks(); s.unlocked != nil {
			s.log.Error("this server will not be ready", "error", s.unlocked)
		}
	}
	s.owned, s.purger = newOwnership(s.store), newPurger(s.store, s.log)
	s.mailboxes = newMailboxes(c.Directory.Path, s.log, s.beforeServing)
	s.loginKeys = newLoginKeys(c.Authentication, s.log)
	s.certificates, s.lmtpTLS = newCertificates(c.TLS, s.loginKeys.clientCAs, s.log), newLMTPTLS(c, s.log)
	if c.Admin.Control != nil {
		s.identity = &identity{Identity: admin.NewIdentity(*c.Admin.Control), log: s.log}
		s.identity.load()
	}
	s.makeServers()
	return s, nil
}

// makeServers makes the mail servers, whose settings are always those in force.
func (s *server) makeServers() {
	settings := s.configuration
	s.pop3 = pop3.New(pop3.Options{
		Settings:   settings.pop3,
		TLSConfig:  s.certificates.tlsConfig,
		Login:      s.newLogins(),
		Keys:       s.loginKeys.keys(settings.hostname),
		Store:      s.owned,
		Version:    s.options.Version,
		Log:        s.log,
		Registerer: s.registry,
	})
	if settings.now().LMTP != nil {
		s.lmtp = lmtp.New(lmtp.Options{
			Settings: settings.lmtp, TLSConfig: s.lmtpTLS.tlsConfig, Lookup: s.mailboxes.Lookup, Complete: s.mailboxes.complete,
			Store: s.owned, Log: s.log, Registerer: s.registry,
		})
		s.registry.MustRegister(s.lmtpTLS)
	}
	s.registerMetrics()
}

// run serves all ports until ctx is done or one of them fails. The admin and the control port outlive the drain, so that it can
// be followed.
func (s *server) run(ctx context.Context, ports []*port) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var running sync.WaitGroup
	failed := make(chan error, len(ports))
	for _, p := range ports {
		running.Go(func() {
			if err := p.serve(life, p.listener); err != nil {
				failed <- err
			}
		})
	}
	s.follow(life, &running)
	s.log.Info("serving", "version", s.options.Version, "revision", s.configuration.now().Revision)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		s.log.Error("a port has failed", "error", err)
	}
	s.drain(context.WithoutCancel(ctx))
	end()
	running.Wait()
	if s.hashers != nil {
		s.hashers.Close()
	}
	s.store.Close()
	s.log.Info("stopped")
	return err
}
