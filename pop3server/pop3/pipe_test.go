package pop3

import (
	"net"
	"sync/atomic"

	"github.com/popservice/popservice/pop3server/config"
)

// countedConn counts writes.
type countedConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func (c *countedConn) count() int64 { return c.writes.Load() }

// countedPipe is pipe, with the server's writes counted.
func (f *fixture) countedPipe() (*client, *countedConn) {
	f.t.Helper()
	ours, theirs := net.Pipe()
	f.t.Cleanup(func() { _ = ours.Close() })
	counted := &countedConn{Conn: theirs}
	go f.serve(counted, entrance{security: config.StartTLS})
	return newClient(f.t, ours), counted
}
