package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/popservice/popservice/pop3server/admin"
	"github.com/popservice/popservice/pop3server/config"
)

// checks are what /readyz rests on: whether a client that connects now can be served.
func (s *server) checks() []admin.Check {
	return []admin.Check{
		{Name: "serving", Run: s.checkServing},
		{Name: "directory", Run: s.checkDirectory},
		{Name: "certificates", Run: s.checkCertificates},
		{Name: "maildrops", Run: s.checkStore},
	}
}

func (s *server) checkServing(context.Context) error {
	if s.draining.Load() {
		return errors.New("the server is draining")
	}
	return nil
}

// checkDirectory passes once the folder could be read. It may be empty; buckets that are refused are for the status to tell.
func (s *server) checkDirectory(context.Context) error {
	served := s.mailboxes.served.Load()
	if served.everRead {
		return nil
	}
	return fmt.Errorf("the folder could not be read yet: %w", served.folderProblem())
}

// checkCertificates fails where a listener is for TLS and there is no certificate at all.
func (s *server) checkCertificates(context.Context) error {
	if !needsTLS(s.configuration.now()) || s.certificates.tlsConfig() != nil {
		return nil
	}
	errs := []error{errors.New("no certificate could be loaded")}
	for _, c := range s.certificates.served.Load().all {
		errs = append(errs, c.err)
	}
	return errors.Join(errs...)
}

func needsTLS(c *config.Config) bool {
	for _, l := range c.Listeners {
		if l.Security != config.Plaintext {
			return true
		}
	}
	return false
}
