package server

import "github.com/popservice/popservice/pop3server/control"

// status is what the control port tells.
func (s *server) status() control.Status {
	return control.Status{
		Version:      s.options.Version,
		Config:       s.configuration.status(),
		Directory:    s.mailboxes.status(),
		Certificates: s.certificates.served.Load().status(),
		Sessions:     s.pop3.Sessions(),
		Draining:     s.draining.Load(),
	}
}
