package pop3

import (
	"bytes"
	"errors"
	"io"
)

// errTopDone stops the reading of a message of which enough has been sent.
var errTopDone = errors.New("the lines asked for have been sent")

// topWriter passes on a message's header, the blank line behind it and the first lines of its body (RFC 1939 §7 TOP).
type topWriter struct {
	to    io.Writer
	lines int64 // of the body, still to be passed on
	body  bool
	line  lineStart
}

// Write takes the next part of the message. It fails with errTopDone when nothing more is wanted.
func (t *topWriter) Write(p []byte) (int, error) {
	end := t.wanted(p)
	if n, err := t.to.Write(p[:end]); err != nil {
		return n, err
	}
	if t.body && t.lines <= 0 {
		return end, errTopDone
	}
	return len(p), nil
}

// wanted tells how many octets of the part are to be passed on.
func (t *topWriter) wanted(p []byte) int {
	end := 0
	for end < len(p) && (!t.body || t.lines > 0) {
		i := bytes.IndexByte(p[end:], '\n')
		if i < 0 {
			t.line.extend(p[end:])
			return len(p)
		}
		t.line.extend(p[end : end+i])
		t.endLine()
		end += i + 1
	}
	return end
}

// endLine counts a line of the body, or finds the one that ends the header.
func (t *topWriter) endLine() {
	if t.body {
		t.lines--
	}
	t.body = t.body || t.line.blank()
	t.line = lineStart{}
}

// lineStart is as much of a line as tells whether it is blank.
type lineStart struct {
	octets int
	first  byte
}

func (l *lineStart) extend(p []byte) {
	if l.octets == 0 && len(p) > 0 {
		l.first = p[0]
	}
	l.octets += len(p)
}

func (l *lineStart) blank() bool { return l.octets == 0 || l.octets == 1 && l.first == '\r' }
