package portable

import (
	"bufio"
	"bytes"
	"io"
)

const bufferOctets = 64 << 10

// fromMark is what begins the line in front of each message of an mbox.
const fromMark = "From "

// lineReader changes lines on the way: how often a "From " at their beginning is quoted with ">", and how they end. It
// holds no more than a buffer, however long a line is.
type lineReader struct {
	in *bufio.Reader
	// quotes gives how many ">" a "From " is to have that has n; nil leaves all lines.
	quotes func(n int64) int64
	// bareLF makes CRLF LF.
	bareLF bool

	within  bool   // the next octet is not the first of a line
	pending int64  // quotes that are to be given
	rest    []byte // what is to be given then; in the buffer of in
}

func newLineReader(r io.Reader, quotes func(int64) int64, bareLF bool) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, bufferOctets), quotes: quotes, bareLF: bareLF}
}

// Read implements io.Reader.
func (l *lineReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if l.pending == 0 && len(l.rest) == 0 {
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
	if l.pending > 0 {
		n := int(min(l.pending, int64(len(p))))
		copy(p, bytes.Repeat([]byte{'>'}, n))
		l.pending -= int64(n)
		return n, nil
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// fill gets the next part of a line: its quotes, or what is behind them.
func (l *lineReader) fill() error {
	if !l.within && l.quotes != nil {
		l.within = true
		if err := l.countQuotes(); err != nil || l.pending > 0 {
			return err
		}
	}
	part, err := l.in.ReadSlice('\n')
	if len(part) == 0 {
		return err
	}
	l.within = part[len(part)-1] != '\n'
	l.rest = part
	if l.bareLF {
		l.rest = l.endInLF(part)
	}
	return nil
}

func (l *lineReader) countQuotes() error {
	n := int64(0)
	for {
		c, err := l.in.ReadByte()
		if err != nil && n == 0 {
			return err
		}
		if err != nil || c != '>' {
			if err == nil {
				_ = l.in.UnreadByte() // it was just read
			}
			break
		}
		n++
	}
	if next, _ := l.in.Peek(len(fromMark)); string(next) == fromMark {
		n = l.quotes(n)
	}
	l.pending = n
	return nil
}

// endInLF takes the CR away from in front of an LF, which may be beyond the buffer.
func (l *lineReader) endInLF(part []byte) []byte {
	n := len(part)
	switch {
	case n >= 2 && part[n-1] == '\n' && part[n-2] == '\r':
		part[n-2] = '\n'
		return part[:n-1]
	case n >= 2 && part[n-1] == '\r':
		if l.in.UnreadByte() == nil {
			return part[:n-1]
		}
	}
	return part
}
