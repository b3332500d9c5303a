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
	idleTimeout  = 5 * time.Minute // the least that RFC 5321 §4.5.3.2.7 allows
	writeTimeout = time.Minute
)

// What a client is told that the server cannot serve now; its MTA tries again.
const (
	shuttingDown = "421 4.3.2 The service is shutting down, try again later\r\n"
	tooMany      = "421 4.3.2 Too many connections, try again later\r\n"
)

// turnAway ends a connection that is not served.
func turnAway(c net.Conn, draining bool) {
	reply := tooMany
	if draining {
		reply = shuttingDown
	}
	_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = io.WriteString(c, reply)
	_ = c.Close()
}

// conn is a connection with a deadline for each read and write, which go-smtp has for commands but not within a message's
// text. It can be drained: then it ends as soon as the client is between two messages.
type conn struct {
	net.Conn

	mu       sync.Mutex
	busy     bool // a message is under way
	draining bool
	told     bool // the client was told of the end
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if err := c.await(); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p)
		if errors.Is(err, io.EOF) && c.isBusy() {
			err = io.ErrUnexpectedEOF // go-smtp takes the end of the connection for that of a chunk
		}
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.isDraining() {
			return n, err
		}
	}
}

// await sets the deadline of the next read, or tells a client that has nothing under way of the server's end.
func (c *conn) await() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.draining || c.busy {
		return c.SetReadDeadline(time.Now().Add(idleTimeout))
	}
	if !c.told {
		c.told = true
		_, _ = c.Write([]byte(shuttingDown)) // the read that follows fails too
	}
	return io.EOF
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

func (c *conn) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

func (c *conn) isBusy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy
}

// begin marks the start of a message. It fails when there may be none any more.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		c.told = true // by the reply to the command
		return false
	}
	c.busy = true
	return true
}

// end marks the end of a message.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
}
