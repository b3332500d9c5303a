package lmtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// textReader is a message's text behind DATA, without the dots of transparency (RFC 5321 §4.5.2).
//
// The text ends with a line that is "." between two CRLF, the first of which may be that of the DATA command, and with
// nothing else: neither a bare CR nor a bare LF makes a line of it. Otherwise what one server takes for text another one would
// take for the end and for commands, and a sender could smuggle in a message of his own (RFC 5321 §4.1.1.4).
type textReader struct {
	in     *bufio.Reader
	rest   []byte // of what was read last
	inLine bool   // what comes next is no start of a line
	cr     bool   // what was read last ended in a CR
	err    error  // io.EOF after the text
}

// Read implements io.Reader. A line may be as long as it likes: no more of it is kept than the reader's buffer.
func (r *textReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fetch()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// fetch reads a line, or the part of it that fits into the buffer.
func (r *textReader) fetch() {
	part, err := r.in.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		r.err = unexpected(err) // of the part nobody knows whether it is the end
		return
	}
	atStart := !r.inLine
	ended := bytes.HasSuffix(part, []byte("\r\n")) || r.cr && string(part) == "\n"
	r.inLine = !ended
	r.cr = part[len(part)-1] == '\r'
	switch {
	case atStart && string(part) == ".\r\n":
		r.err = io.EOF
	case atStart && part[0] == '.':
		r.rest = part[1:]
	default:
		r.rest = part
	}
}

var errTooLarge = errors.New("message is larger than allowed")

// limitedReader counts octets, and fails with errTooLarge when there are more than allowed.
type limitedReader struct {
	io.Reader
	left   int64
	octets int64
}

func (r *limitedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.octets += int64(n)
	if r.left -= int64(n); r.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
