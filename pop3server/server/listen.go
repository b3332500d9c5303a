package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/popservice/popservice/pop3server/admin"
	"github.com/popservice/popservice/pop3server/config"
)

// port is an address that the server listens on, and what it does there.
type port struct {
	setting  string // that has the address
	name     string // in the log
	address  string
	serve    func(context.Context, net.Listener) error
	listener net.Listener
}

// ports gives the ports that the configuration names.
func (s *server) ports() []*port {
	c := s.configuration.now()
	var ports []*port
	for i, l := range c.Listeners {
		ports = append(ports, s.pop3Port(fmt.Sprintf("listeners[%d]", i), l))
	}
	if c.LMTP != nil {
		ports = append(ports, &port{setting: "lmtp", name: "lmtp", address: c.LMTP.Address, serve: s.serveLMTP})
	}
	if c.Admin.Address != "" {
		ports = append(ports, &port{setting: "admin", name: "admin", address: c.Admin.Address, serve: s.serveAdmin})
	}
	if c.Admin.Control != nil {
		ports = append(ports, &port{
			setting: "admin.control", name: "control", address: c.Admin.Control.Address, serve: s.serveControl,
		})
	}
	return ports
}

func (s *server) pop3Port(setting string, l config.Listener) *port {
	return &port{setting: setting, name: "pop3/" + l.Name, address: l.Address,
		serve: func(ctx context.Context, listener net.Listener) error { return s.pop3.Serve(ctx, listener, l) },
	}
}

func (s *server) serveLMTP(_ context.Context, listener net.Listener) error {
	return s.lmtp.Serve(listener)
}

func (s *server) serveAdmin(ctx context.Context, listener net.Listener) error {
	return admin.Serve(ctx, listener, admin.Handler(s.registry, s.checks()), s.log)
}

func (s *server) serveControl(ctx context.Context, listener net.Listener) error {
	return admin.Serve(ctx, tls.NewListener(listener, s.identity.TLSConfig()), admin.ControlHandler(s.status), s.log)
}

// listen binds all ports, or none.
func (s *server) listen(ctx context.Context, ports []*port) error {
	var listening net.ListenConfig
	for i, p := range ports {
		listener, err := listening.Listen(ctx, "tcp", p.address)
		if err != nil {
			closeAll(ports[:i])
			return p.explain(err)
		}
		p.listener = listener
	}
	for _, p := range ports {
		s.log.Info("listening", "port", p.name, "address", p.listener.Addr().String())
	}
	return nil
}

func closeAll(ports []*port) {
	for _, p := range ports {
		_ = p.listener.Close()
	}
}

// explain says what to do about an address that cannot be had.
func (p *port) explain(err error) error {
	advice := "correct the setting"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "another program has this address: stop it, or name another address"
	case errors.Is(err, syscall.EACCES):
		advice = "ports below 1024 need root or CAP_NET_BIND_SERVICE: grant it, or name another port"
	}
	return fmt.Errorf("%s.address: %w; %s", p.setting, err, advice)
}

// storeError says what to do about a store that cannot be opened.
func storeError(c *config.Config, err error) error {
	return fmt.Errorf("maildrop.path: %w; make sure that this user may write to %s", err, c.Maildrop.Path)
}
