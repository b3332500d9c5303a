package lmtp

import (
	"net"
	"net/netip"
)

// add counts a connection, or says why it cannot be served. Whoever has added one removes it at its end.
func (s *Server) add(c *conn, settings Settings) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	address := addressOf(c)
	switch {
	case s.draining:
		return replyShuttingDown
	case len(s.conns) >= settings.MaxConnections:
		return replyTooMany
	case address.IsValid() && s.addresses[address] >= settings.MaxConnectionsPerAddress:
		return replyTooManyOfYours
	}
	s.conns[c] = struct{}{}
	s.addresses[address]++
	s.ended.Add(1)
	return nil
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	address := addressOf(c)
	if s.addresses[address]--; s.addresses[address] == 0 {
		delete(s.addresses, address)
	}
	s.ended.Done()
}

// connections tells how many there are.
func (s *Server) connections() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(len(s.conns))
}

// addressOf gives a client's address: the whole of it, for MTAs that run beside each other share an IPv6 network. It is not
// valid where there is none.
func addressOf(c net.Conn) netip.Addr {
	remote, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // nothing where it is none of TCP's
	return remote.Addr().Unmap().WithZone("")
}
