package lmtp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// writeTimeout is how long a client may take for what one write sends.
	writeTimeout = time.Minute
	// lingerTime and lingerOctets bound what is read and thrown away from a connection that the server closes.
	lingerTime   = time.Second
	lingerOctets = 1 << 20
)

// errDraining says that the server shuts down and nothing is under way on this connection.
var errDraining = errors.New("the server is shutting down")

// turnAway ends a connection that is not served; its MTA tries again.
func turnAway(c net.Conn, why *reply) {
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = io.WriteString(c, why.String())
	_ = c.Close()
}

// conn is a connection with a deadline for each read and write. It can be drained: then it ends as soon as the client is
// between two messages.
type conn struct {
	net.Conn
	idle time.Duration // for one read

	mu       sync.Mutex
	busy     bool // a message is under way
	draining bool
}

// Read implements net.Conn. It fails with errDraining where the client shall begin nothing more.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.await(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.isDrained() {
		err = errDraining
	}
	return n, err
}

// await sets the deadline of the next read.
func (c *conn) await() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining && !c.busy {
		return errDraining
	}
	return c.SetReadDeadline(time.Now().Add(c.idle))
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// drain lets the connection end before the next message.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if !c.busy {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // wakes a read that waits
	}
}

// isDrained tells that the connection is to end now.
func (c *conn) isDrained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining && !c.busy
}

// begin marks the start of a message. It fails when there may be none any more.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = !c.draining
	return c.busy
}

// end marks the end of a message.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
}

// linger ends the connection such that the client can read what it was told last: closing one on which unread octets wait
// would reset it, and the last reply could be lost on its way.
func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.Conn, lingerOctets)
}
