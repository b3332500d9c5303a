package server

import (
	"context"
	"net/netip"
	"time"

	"github.com/popservice/popservice/pop3server/authn"
	"github.com/popservice/popservice/pop3server/hashers"
	"github.com/popservice/popservice/pop3server/pop3"
)

// newLogins gives what begins a login.
func (s *server) newLogins() func(context.Context, netip.Addr) pop3.Login {
	options := authn.Options{
		Directory:     s.mailboxes,
		Domains:       s.configuration.domains,
		Lockout:       s.configuration.lockout,
		MaxConcurrent: s.configuration.maxConcurrentVerifications,
		Log:           s.log,
		Registerer:    s.registry,
	}
	if len(s.options.Hasher) > 0 {
		s.hashers = hashers.NewPool(s.options.Hasher, s.log)
		options.Match = s.hashers.Match
	}
	logins := authn.New(options)
	return func(ctx context.Context, remote netip.Addr) pop3.Login { return logins.Begin(ctx, remote) }
}

func (c *configuration) domains() (all authn.Domains) {
	for _, d := range c.now().Authentication.Domains {
		all = append(all, authn.Domain(d))
	}
	return all
}

func (c *configuration) lockout() authn.Lockout {
	limits := &c.now().Limits
	return authn.Lockout{
		PerAddress: limits.MaxFailedLoginsPerAddress,
		PerMailbox: limits.MaxFailedLoginsPerMailbox,
		Window:     time.Duration(limits.LockoutSeconds) * time.Second,
	}
}

func (c *configuration) hostname() string { return c.now().Hostname }
