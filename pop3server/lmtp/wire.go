package lmtp

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

const (
	// maxCommandOctets bounds a command line with its CRLF: the 512 of RFC 5321 §4.5.3.1.4, and what extensions add to them.
	maxCommandOctets = 2048
	// readOctets is read from a connection at one time. A command line whose end is not within it ends the connection.
	readOctets  = 16 << 10
	writeOctets = 4 << 10
)

// Errors of reading a line, besides those of the connection.
var (
	errLongLine    = errors.New("the line is too long")
	errEndlessLine = errors.New("the line has no end")
	errBareLF      = errors.New("the line does not end in CRLF")
)

// wire is a connection's lines and octets. What is written is sent as soon as the client is waited for, so the replies to
// commands that came together go together (RFC 2920 §3.2), or when there is much of it.
type wire struct {
	conn io.ReadWriter // the connection, or TLS on it
	in   *bufio.Reader
	out  *bufio.Writer // it remembers its first error
}

func newWire(conn io.ReadWriter) *wire {
	w := &wire{conn: conn, out: bufio.NewWriterSize(conn, writeOctets)}
	w.in = bufio.NewReaderSize(source{w}, readOctets)
	return w
}

// source is what the wire reads from.
type source struct{ *wire }

func (s source) Read(p []byte) (int, error) {
	if err := s.out.Flush(); err != nil {
		return 0, err
	}
	return s.conn.Read(p)
}

// readLine gives the next line without its CRLF, which alone ends a line (RFC 5321 §2.3.8). A line that is too long or has a
// bare LF is skipped.
func (w *wire) readLine() (string, error) {
	line, err := w.in.ReadSlice('\n')
	text, ended := strings.CutSuffix(string(line), "\r\n")
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errEndlessLine
	case err != nil:
		return "", err
	case len(line) > maxCommandOctets:
		return "", errLongLine
	case !ended:
		return "", errBareLF
	}
	return text, nil
}

// skip reads octets and throws them away.
func (w *wire) skip(octets int64) error {
	_, err := io.CopyN(io.Discard, w.in, octets)
	return unexpected(err)
}

// unexpected makes the end of the connection an error that nobody takes for the end of a text.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
