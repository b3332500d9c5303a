package server

import "github.com/popservice/popservice/pop3server/control"

func (s *server) storeStatus() control.Store {
	status := control.Store{Foreign: s.owned.all(), Purging: s.purger.pending()}
	if s.unlocked != nil {
		status.Error = s.unlocked.Error()
	}
	return status
}

// status is what the control port tells.
func (s *server) status() control.Status {
	return control.Status{
		Version:      s.options.Version,
		Config:       s.configuration.status(),
		Directory:    s.mailboxes.status(),
		Certificates: s.certificates.served.Load().status(),
		LMTPTLS:      s.lmtpTLS.status(),
		Files:        s.loginKeys.status(),
		Store:        s.storeStatus(),
		Sessions:     s.pop3.Sessions(),
		Draining:     s.draining.Load(),
	}
}
