package pop3

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	// proxyHeaderTime is how long a proxy may take for its header, which it sends as soon as it has connected.
	proxyHeaderTime = 5 * time.Second
	// proxyHeaderV1Octets is the length of the longest header of version 1, and proxyHeaderBuffer is what of a header is read
	// at once. Version 2 allows 64 KiB: go-proxyproto refuses more than 4 KiB before it makes room for them.
	proxyHeaderV1Octets = 107
	proxyHeaderBuffer   = 256
)

// errProbe says that a connection has ended without a single octet, as the probes of load balancers do.
var errProbe = errors.New("connection has ended without a header")

// clientOn gives the connection as it is behind the header, if it is a proxy's, and the client's address.
func (s *Server) clientOn(conn net.Conn, trusted proxies) (net.Conn, netip.Addr, error) {
	own := addressOf(conn.RemoteAddr())
	if !trusted.trust(own) {
		return conn, own, nil
	}
	// There is no session yet that Shutdown could end.
	stop := context.AfterFunc(s.draining, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetReadDeadline(time.Now().Add(s.headerTime)) // an error shows when reading; await sets the next deadline
	behind, header, err := readProxyHeader(conn)
	if err != nil {
		return nil, own, err
	}
	return behind, clientIn(header, own), nil
}

// refuseHeader drops a connection without a reply: a proxy that is set wrongly could not read one.
func (s *Server) refuseHeader(conn net.Conn, proxy netip.Addr, err error) {
	_ = conn.Close()
	if !errors.Is(err, errProbe) {
		s.metrics.headersRefused.Inc()
	}
	s.options.Log.Debug("no PROXY header", "remote", proxy, "error", err)
}

// readProxyHeader takes the header off a connection.
func readProxyHeader(conn net.Conn) (net.Conn, *proxyproto.Header, error) {
	reader := bufio.NewReaderSize(conn, proxyHeaderBuffer)
	if err := awaitHeader(reader); err != nil {
		return nil, nil, err
	}
	header, err := proxyproto.Read(reader)
	if err != nil {
		return nil, nil, fmt.Errorf("read PROXY header: %w", err)
	}
	if reader.Buffered() > 0 {
		conn = &behindHeader{Conn: conn, rest: reader}
	}
	return conn, header, nil
}

// awaitHeader waits until a header of version 1 is there as a whole, for go-proxyproto refuses one that comes in parts. PROXY
// protocol §2: a sender sends it at once, and a receiver should put up with parts.
func awaitHeader(reader *bufio.Reader) error {
	text, err := reader.Peek(1)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("read PROXY header: %w", err)
	case err != nil:
		return fmt.Errorf("%w: %w", errProbe, err)
	}
	for text[0] == proxyproto.SIGV1[0] && len(text) < proxyHeaderV1Octets && bytes.IndexByte(text, '\n') < 0 {
		if _, err := reader.Peek(len(text) + 1); err != nil {
			return fmt.Errorf("read PROXY header: %w", err)
		}
		text, _ = reader.Peek(reader.Buffered())
	}
	return nil
}

// clientIn gives the client's address that a header has. A proxy has none for a connection that it makes for itself, such as a
// check of health (LOCAL), and for one that did not come over TCP (UNKNOWN, or a UNIX socket): that one's own address counts.
func clientIn(header *proxyproto.Header, own netip.Addr) netip.Addr {
	client, _, ok := header.TCPAddrs()
	if !ok || header.Command.IsLocal() {
		return own
	}
	return addressOf(client)
}

// behindHeader is a connection of which more was read than the header.
type behindHeader struct {
	net.Conn
	rest *bufio.Reader // nil once all of it has been read
}

func (b *behindHeader) Read(p []byte) (int, error) {
	if b.rest == nil {
		return b.Conn.Read(p)
	}
	n, err := b.rest.Read(p) // what waits in it, and no more
	if b.rest.Buffered() == 0 {
		b.rest = nil
	}
	return n, err
}

// CloseWrite ends the sending direction; see wire.linger.
func (b *behindHeader) CloseWrite() error {
	half, ok := b.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
