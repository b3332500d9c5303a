package maildrop

import (
	"bufio"
	"bytes"
	"io"
)

// canonicalWriter brings a message into the form in which it is stored and sent (RFC 5322 §2.1; [MS-STANXPOP3] C0011):
//
//   - Every line ends in CRLF. A bare LF and a bare CR become CRLF; CRs before an LF belong to that line's end, because
//     two of them come from a line end that was converted twice. A stored bare LF or CR could hide a "." line from us that
//     a client sees.
//   - The last line is ended too.
//   - There is an empty line after the header, even when nothing comes after it: some clients wait for it.
//   - NUL, which RFC 5322 forbids and which cuts text off in some clients, becomes 0x80. The size stays the same.
//
// What is in this form already stays as it is. Close must be called at the end; it does not close the writer below.
type canonicalWriter struct {
	w           *bufio.Writer
	pendingCRs  int  // CRs that were read and not written: what follows says what they mean
	inLine      bool // the line being written has at least one octet
	headerEnded bool // there was an empty line
	dots        bool // a line begins with a dot
}

func newCanonicalWriter(w *bufio.Writer) *canonicalWriter { return &canonicalWriter{w: w} }

var _ io.WriteCloser = (*canonicalWriter)(nil)

// Write implements io.Writer. Errors of the writer below show here or in Close.
func (c *canonicalWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		c.text(line)
		if ended {
			c.pendingCRs = 0
			c.endLine()
		}
		rest = after
	}
	if _, err := c.w.Write(nil); err != nil { // bufio.Writer remembers its first error
		return 0, err
	}
	return len(p), nil
}

// Close ends the last line and the header, and flushes.
func (c *canonicalWriter) Close() error {
	c.endBareCRs()
	if c.inLine {
		c.endLine()
	}
	if !c.headerEnded {
		c.endLine()
	}
	return c.w.Flush()
}

// text takes text without LF.
func (c *canonicalWriter) text(text []byte) {
	for len(text) > 0 {
		before, after, found := bytes.Cut(text, []byte{'\r'})
		if len(before) > 0 {
			c.endBareCRs()
			c.octets(before)
		}
		if found {
			c.pendingCRs++
		}
		text = after
	}
}

// octets writes text without CR and LF.
func (c *canonicalWriter) octets(text []byte) {
	c.dots = c.dots || !c.inLine && text[0] == '.'
	c.inLine = true
	for {
		before, after, found := bytes.Cut(text, []byte{0})
		_, _ = c.w.Write(before)
		if !found {
			return
		}
		_ = c.w.WriteByte(0x80)
		text = after
	}
}

func (c *canonicalWriter) endBareCRs() {
	for ; c.pendingCRs > 0; c.pendingCRs-- {
		c.endLine()
	}
}

func (c *canonicalWriter) endLine() {
	_, _ = c.w.WriteString("\r\n")
	c.headerEnded = c.headerEnded || !c.inLine
	c.inLine = false
}
