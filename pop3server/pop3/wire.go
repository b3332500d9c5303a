package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Errors of reading a line, besides those of the connection.
var (
	errTooLong = errors.New("line is too long")
	errCrowded = errors.New("too many long lines are being read")
	errIdle    = errors.New("no line came in time")
	errDrained = errors.New("server is shutting down")
)

const (
	writeBufferOctets = 64 << 10
	// freeOctets is what a response may have of which any number is read at once. Most Kerberos tickets have less.
	freeOctets = 16 << 10
	// crowdedOctets is what all longer ones may have together, with what is decoded of them.
	crowdedOctets = 32 << 20
	// cutGrace is how long a session that is cut has to say so.
	cutGrace = time.Second
	// lingerTime and lingerOctets bound what is read and thrown away from a connection that the server closes.
	lingerTime   = time.Second
	lingerOctets = 1 << 20
)

// writeBuffers are shared: a connection holds one only while replies wait in it, so that an idle one costs nothing.
var writeBuffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, writeBufferOctets)
	return &buffer
}}

// phase says how far a server has gone in shutting down.
type phase uint8

const (
	serving  phase = iota
	draining       // who is idle is asked to leave
	cutting        // everybody is
)

// wire is a connection's lines and octets, with their deadlines. One goroutine, the session's, calls its methods; drain, cut
// and close may be called by any.
type wire struct {
	reader       *bufio.Reader // as large as the longest command, which bounds what a stranger makes us keep
	out          *[]byte       // of writeBuffers; nil while nothing waits
	err          error         // the first error of writing; nothing is written after it
	writeTimeout time.Duration
	sent         int64
	received     int64
	traffic      traffic
	tap          *protocolLog // sees what is written; nil if the protocol is not logged

	mu      sync.Mutex
	conn    net.Conn // the connection, or TLS on it
	phase   phase
	cutAt   time.Time     // no write may take longer; set when cutting
	idle    time.Duration // for the line that is awaited
	drained time.Duration // the same while draining
}

// traffic counts the octets of all connections, without TLS's own.
type traffic struct{ received, sent prometheus.Counter }

func newWire(conn net.Conn, maxLine int, writeTimeout time.Duration, traffic traffic) *wire {
	w := &wire{conn: conn, writeTimeout: writeTimeout, traffic: traffic}
	w.reader = bufio.NewReaderSize(source{w}, maxLine)
	return w
}

// source is the connection under the reader.
type source struct{ *wire }

func (s source) Read(p []byte) (int, error) {
	n, err := s.conn.Read(p)
	s.received += int64(n)
	s.traffic.received.Add(float64(n))
	return n, err
}

// lineWaiting tells whether a whole line has been received.
func (w *wire) lineWaiting() bool {
	waiting, _ := w.reader.Peek(w.reader.Buffered())
	return bytes.IndexByte(waiting, '\n') >= 0
}

// readLine gives the next line with its end, valid until the next call. It does not wait for the end of one that is too long.
func (w *wire) readLine() ([]byte, error) {
	line, err := w.reader.ReadSlice('\n')
	return line, w.explain(err)
}

// readLong gives the next line with its end, which may have more octets than the reader holds, up to the limit. For one of more
// than freeOctets there must be room.
func (w *wire) readLong(limit int, room func() bool) ([]byte, error) {
	var line []byte
	for {
		part, err := w.reader.ReadSlice('\n')
		line = append(line, part...)
		clear(part)
		switch {
		case len(line) > limit:
			return nil, errTooLong
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, w.explain(err)
		case len(line) > freeOctets && cap(line) < limit:
			if !room() {
				return nil, errCrowded
			}
			line = slices.Grow(line, limit-len(line))
		}
	}
}

// explain turns an error of the reader into one of ours.
func (w *wire) explain(err error) error {
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return errTooLong
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.phase == serving {
			return errIdle
		}
		return errDrained
	}
	return err
}

// await sends what waits, and says how long the next line may take: idle, or, while the server drains, drained if that is
// shorter. A line that has begun does not set the time anew ([MS-STANXPOP3] V0002).
func (w *wire) await(idle, drained time.Duration) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle, w.drained = idle, drained
	w.armRead()
	return nil
}

// armRead sets the deadline of reading. An error shows when reading.
func (w *wire) armRead() {
	timeout := w.idle
	switch w.phase {
	case draining:
		timeout = min(timeout, w.drained)
	case cutting:
		timeout = 0
	}
	_ = w.conn.SetReadDeadline(time.Now().Add(timeout))
}

// armWrite sets the deadline of writing. An error shows when writing.
func (w *wire) armWrite(timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	deadline := time.Now().Add(timeout)
	if w.phase == cutting && deadline.After(w.cutAt) {
		deadline = w.cutAt
	}
	_ = w.conn.SetWriteDeadline(deadline)
}

// drain asks for less patience with a client that is idle.
func (w *wire) drain() { w.enter(draining) }

// cut ends all patience.
func (w *wire) cut() { w.enter(cutting) }

func (w *wire) enter(p phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase = p
	if p == cutting {
		w.cutAt = time.Now().Add(cutGrace)
		_ = w.conn.SetWriteDeadline(w.cutAt)
	}
	w.armRead()
}

// write puts octets into the buffer, and sends that whenever it is full.
func (w *wire) write(p []byte) {
	for len(p) > 0 && w.err == nil {
		room := w.room()
		n := min(len(p), len(room))
		copy(room, p[:n])
		w.grow(n)
		p = p[n:]
	}
}

// writeString is write for a string.
func (w *wire) writeString(text string) {
	for len(text) > 0 && w.err == nil {
		n := copy(w.room(), text)
		w.grow(n)
		text = text[n:]
	}
}

// room gives the free part of the buffer.
func (w *wire) room() []byte {
	if w.out == nil {
		w.out = writeBuffers.Get().(*[]byte)
	}
	return (*w.out)[len(*w.out):cap(*w.out)]
}

// grow takes n octets of the room into use.
func (w *wire) grow(n int) {
	*w.out = (*w.out)[:len(*w.out)+n]
	w.tap.sent((*w.out)[len(*w.out)-n:])
	if len(*w.out) == cap(*w.out) {
		_ = w.flush() // the error stays
	}
}

// flush sends what waits in the buffer, and gives the first error that writing ever had.
func (w *wire) flush() error {
	if w.out == nil {
		return w.err
	}
	if w.err == nil && len(*w.out) > 0 {
		w.armWrite(w.writeTimeout)
		var n int
		n, w.err = w.conn.Write(*w.out)
		w.sent += int64(n)
		w.traffic.sent.Add(float64(n))
	}
	*w.out = (*w.out)[:0]
	writeBuffers.Put(w.out)
	w.out = nil
	return w.err
}

// startTLS makes the connection one under TLS. Nothing that came before is read after it.
func (w *wire) startTLS(ctx context.Context, config *tls.Config, timeout time.Duration) (*tls.Conn, error) {
	if err := w.await(timeout, timeout); err != nil {
		return nil, err
	}
	w.armWrite(timeout)
	conn := tls.Server(w.conn, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
	w.reader = bufio.NewReaderSize(source{w}, w.reader.Size())
	return conn, nil
}

// stop sends what waits and nothing more after it.
func (w *wire) stop(err error) {
	if w.flush() == nil {
		w.err = err
	}
}

// linger sends what waits and ends the connection such that the client can read it: closing one on which
// unread octets wait would reset it, and the last reply could be lost on its way.
func (w *wire) linger() {
	half, ok := w.conn.(interface{ CloseWrite() error })
	if w.flush() != nil || !ok || half.CloseWrite() != nil {
		return
	}
	_ = w.conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, w.conn, lingerOctets)
}

// hangUp closes the connection at the session's end. A client that has not taken what it was sent in time is not told so under
// TLS either: that would wait another 5 seconds for it to take the notice.
func (w *wire) hangUp() error {
	if conn, ok := w.conn.(*tls.Conn); ok && errors.Is(w.err, os.ErrDeadlineExceeded) {
		return conn.NetConn().Close()
	}
	return w.close()
}

// close closes the connection, at once.
func (w *wire) close() error {
	w.mu.Lock()
	conn := w.conn
	w.mu.Unlock()
	return conn.Close()
}
