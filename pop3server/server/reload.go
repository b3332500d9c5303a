package server

import (
	"context"
	"slices"
	"sync"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/internal/watch"
)

// follow takes over changes of the files until the context ends.
func (s *server) follow(ctx context.Context, running *sync.WaitGroup) {
	running.Go(func() { s.followConfiguration(ctx) })
	running.Go(func() { watch.Paths(ctx, s.log, []string{s.mailboxes.path}, s.loadMailboxes) })
	running.Go(func() { s.purger.run(ctx) })
	running.Go(func() { s.keepHouse(ctx) })
	running.Go(func() { s.dropReplaced(ctx) })
	if s.identity != nil {
		running.Go(func() { watch.Paths(ctx, s.log, s.identity.Paths(), s.identity.load) })
	}
}

// followConfiguration follows the configuration file, and the certificates' files, which are other ones after a change of it.
func (s *server) followConfiguration(ctx context.Context) {
	stop := s.followCertificates(ctx)
	defer func() { stop() }()
	watch.Paths(ctx, s.log, []string{s.configuration.path}, func() {
		if s.configuration.reload(s.prepare) {
			stop()
			stop = s.followCertificates(ctx)
		}
	})
}

// loadMailboxes reads the directory again and sees to it that what it says to be removed is.
func (s *server) loadMailboxes() {
	s.mailboxes.load()
	s.purger.begin()
}

// beforeServing does what is to be done before a version of the directory is told to be loaded.
func (s *server) beforeServing(next, last *directory.Directory) {
	s.purger.add(next)
	s.owned.check(next.ChangedSince(last))
}

// prepare brings into force what of a new configuration is more than a setting to look up.
func (s *server) prepare(next *config.Config) {
	s.loginKeys.use(next.Authentication)
	s.certificates.use(next.TLS)
	s.lmtpTLS.use(next)
}

// followCertificates follows the files until it is stopped.
func (s *server) followCertificates(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		paths := slices.Concat(s.loginKeys.paths(), s.certificates.paths(), s.lmtpTLS.paths())
		watch.Paths(ctx, s.log, paths, func() {
			s.loginKeys.reload()
			s.certificates.reload()
			s.lmtpTLS.reload()
		})
	}()
	return func() {
		cancel()
		<-ended
	}
}

// paths gives the files that the certificates are read from.
func (c *certificates) paths() []string {
	var paths []string
	for _, files := range c.served.Load().settings.Certificates {
		paths = append(paths, files.CertFile, files.KeyFile)
	}
	return paths
}
