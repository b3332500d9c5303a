package pop3

import "bytes"

// dotWriter sends a message as the body of a multi-line reply: a line that begins with the termination octet "." gets one more
// (RFC 1939 §3). Messages have CRLF line ends already, so a line begins after each LF, and at the first octet.
type dotWriter struct {
	wire   *wire
	none   bool  // the store knows that no line begins with a dot
	octets int64 // of the message, as it was before
	inLine bool  // the last octet was not LF
}

// Write takes the next part of the message. Its error is that of the connection.
func (d *dotWriter) Write(p []byte) (int, error) {
	n := len(p)
	d.octets += int64(n)
	if !d.none {
		p = d.stuff(p)
	}
	d.wire.write(p)
	if len(p) > 0 {
		d.inLine = p[len(p)-1] != '\n'
	}
	return n, d.wire.err
}

// stuff writes a part of the message up to the last line that begins with a dot, and gives the rest.
func (d *dotWriter) stuff(p []byte) []byte {
	if len(p) > 0 && p[0] == '.' && !d.inLine {
		d.wire.writeString(".")
	}
	for {
		i := bytes.Index(p, []byte("\n."))
		if i < 0 {
			return p
		}
		d.wire.write(p[:i+2])
		p = p[i+1:] // the dot again
	}
}

// end ends the last line, should the message not have done so, and the reply.
func (d *dotWriter) end() {
	if d.inLine {
		d.wire.writeString("\r\n")
	}
	d.wire.writeString(".\r\n")
}
