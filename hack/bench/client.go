package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	// roomy is the buffer of a client that is sent much, slim that of one of many.
	roomy = 256 << 10
	slim  = 4 << 10
)

// client is a connection to a server. It looks at octets as they come and makes no copies of lines, so that it is not what is
// measured.
type client struct {
	conn     net.Conn
	buffer   []byte
	from, to int // what was read and not yet used
}

// dial opens a connection, which need not be verified: it is to the certificate that writeCertificate has made.
func dial(port int, secure bool, buffer int) (*client, error) {
	conn, err := net.Dial("tcp", address(port))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	return &client{conn: conn, buffer: make([]byte, buffer)}, nil
}

// close gives up the connection.
func (c *client) close() { _ = c.conn.Close() }

// more reads what has come.
func (c *client) more() error {
	if c.from > 0 {
		copy(c.buffer, c.buffer[c.from:c.to])
		c.from, c.to = 0, c.to-c.from
	}
	if c.to == len(c.buffer) {
		return errors.New("a line is longer than the client's buffer")
	}
	n, err := c.conn.Read(c.buffer[c.to:])
	c.to += n
	if n > 0 {
		return nil
	}
	return err
}

// line gives the next line without CRLF, valid until the next call.
func (c *client) line() ([]byte, error) {
	for {
		if end := bytes.IndexByte(c.buffer[c.from:c.to], '\n'); end >= 0 {
			line := c.buffer[c.from : c.from+end]
			c.from += end + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if err := c.more(); err != nil {
			return nil, err
		}
	}
}

func (c *client) send(text string) error {
	_, err := io.WriteString(c.conn, text)
	return err
}

// expect wants a line that begins with a text.
func (c *client) expect(begin string) error {
	line, err := c.line()
	if err == nil && !bytes.HasPrefix(line, []byte(begin)) {
		err = fmt.Errorf("the server said %q", line)
	}
	return err
}

// ask sends a command and wants a positive status line.
func (c *client) ask(command string) error {
	if err := c.send(command); err != nil {
		return err
	}
	return c.expect("+OK")
}

// list sends a command whose reply has several lines, and counts those behind the status line, without the final dot.
func (c *client) list(command string) (count int, err error) {
	if err := c.ask(command); err != nil {
		return 0, err
	}
	end := []byte("\r\n.\r\n")
	last := []byte("\r\n") // the end of what was seen; the status line was ended
	for {
		data := c.buffer[c.from:c.to]
		count += bytes.Count(data, []byte("\n"))
		last = append(last, data[max(0, len(data)-len(end)):]...)
		last = last[max(0, len(last)-len(end)):]
		c.from, c.to = 0, 0
		if bytes.Equal(last, end) {
			return count - 1, nil
		}
		if err := c.more(); err != nil {
			return 0, err
		}
	}
}

// pipeline sends many commands without waiting for replies, such as RETR 1, RETR 2 and so on. The channel gives the error.
func (c *client) pipeline(command string, n int) <-chan error {
	text := make([]byte, 0, n*(len(command)+8))
	for i := range n {
		text = append(strconv.AppendInt(append(append(text, command...), ' '), int64(i+1), 10), "\r\n"...)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.conn.Write(text)
		sent <- err
	}()
	return sent
}

// replies reads so many one-line replies.
func (c *client) replies(n int) error {
	for range n {
		if err := c.expect("+OK"); err != nil {
			return err
		}
	}
	return nil
}

// transfers reads replies up to the end of so many messages, and tells how many octets they had.
func (c *client) transfers(n int) (octets int64, err error) {
	for {
		data := c.buffer[c.from:c.to]
		n -= ends(data)
		// What is kept is too short to have an end that was counted, and has all of one that was not.
		used := max(0, len(data)-4)
		octets += int64(used)
		c.from += used
		if n <= 0 {
			octets += int64(c.to - c.from)
			c.from, c.to = 0, 0
			return octets, nil
		}
		if err := c.more(); err != nil {
			return octets, fmt.Errorf("%d messages are missing: %w", n, err)
		}
	}
}

// ends counts ends of messages. Dots are rare in the messages that are sent here, which makes this faster than the network.
func ends(data []byte) (count int) {
	for at := 0; ; at++ {
		dot := bytes.IndexByte(data[at:], '.')
		if dot < 0 || at+dot+3 > len(data) {
			return count
		}
		at += dot
		if at >= 2 && string(data[at-2:at+3]) == "\r\n.\r\n" {
			count++
		}
	}
}

// login opens a POP3 session.
func login(s *server, b box, secure bool, buffer int) (*client, error) {
	port := s.ports.POP3
	if secure {
		port = s.ports.POP3S
	}
	c, err := dial(port, secure, buffer)
	if err != nil {
		return nil, err
	}
	if err = c.expect("+OK"); err == nil {
		if err = c.ask("USER " + b.address() + "\r\n"); err == nil {
			err = c.ask("PASS " + password + "\r\n")
		}
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("log in as %s: %w", b.name, err)
	}
	return c, nil
}

// quit ends a POP3 session and waits until the server has closed it, so that no port is kept from being used again.
func (c *client) quit() error {
	defer c.close()
	if err := c.ask("QUIT\r\n"); err != nil {
		return err
	}
	if err := c.more(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the server has not closed the connection after QUIT: %w", err)
	}
	return nil
}
