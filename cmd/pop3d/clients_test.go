package main_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// deliver hands a message in over LMTP and gives the reply for its one recipient, "250" or an enhanced code behind the code.
func (p *program) deliver(recipient, message string) string {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.ports["lmtp"])
	must(p.t, err)
	defer func() { _ = conn.Close() }()
	client := smtp.NewClientLMTP(conn)
	must(p.t, client.Hello("mta.example.org"))
	must(p.t, client.Mail("sender@example.org", nil))
	if err := client.Rcpt(recipient, nil); err != nil {
		return replyOf(p.t, err)
	}
	data, err := client.Data()
	must(p.t, err)
	_, err = data.Write([]byte(message))
	must(p.t, err)
	if _, err := data.CloseWithLMTPResponse(); err != nil {
		return replyOf(p.t, err)
	}
	return "250"
}

func replyOf(t *testing.T, err error) string {
	t.Helper()
	var each smtp.LMTPDataError
	if errors.As(err, &each) {
		for _, one := range each {
			return replyOf(t, one)
		}
	}
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) {
		t.Fatalf("no reply of LMTP: %v", err)
	}
	code := reply.EnhancedCode
	return fmt.Sprintf("%d %d.%d.%d", reply.Code, code[0], code[1], code[2])
}

// popClient is a POP3 client.
type popClient struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func (p *program) tlsConfig(serverName string) *tls.Config {
	return &tls.Config{RootCAs: p.ca.Pool(), ServerName: serverName}
}

// pop connects to the listener for STLS, in the clear, and gives the greeting.
func (p *program) pop() (*popClient, string) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.ports["pop3/pop3"])
	must(p.t, err)
	c := newPopClient(p.t, conn)
	return c, c.line()
}

// pops connects to the listener that begins with TLS.
func (p *program) pops() *popClient {
	p.t.Helper()
	conn, err := tls.Dial("tcp", p.ports["pop3/pop3s"], p.tlsConfig("pop.example.com"))
	must(p.t, err)
	c := newPopClient(p.t, conn)
	c.expect("+OK")
	return c
}

func newPopClient(t *testing.T, conn net.Conn) *popClient {
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(deadline))
	return &popClient{t, conn, bufio.NewReader(conn)}
}

// stls makes TLS on a connection in the clear.
func (c *popClient) stls(p *program) *popClient {
	c.t.Helper()
	c.do("STLS", "+OK")
	conn := tls.Client(c.Conn, p.tlsConfig("pop.example.com"))
	must(c.t, conn.Handshake())
	return newPopClient(c.t, conn)
}

func (c *popClient) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	must(c.t, err)
	return strings.TrimRight(line, "\r\n")
}

func (c *popClient) expect(prefix string) string {
	c.t.Helper()
	line := c.line()
	if !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("got %q, want %q…", line, prefix)
	}
	return line
}

// do sends a command and checks the beginning of the reply.
func (c *popClient) do(command, prefix string) string {
	c.t.Helper()
	_, err := fmt.Fprintf(c, "%s\r\n", command)
	must(c.t, err)
	return c.expect(prefix)
}

// list sends a command with a multi-line reply and gives its lines.
func (c *popClient) list(command string) []string {
	c.t.Helper()
	c.do(command, "+OK")
	var lines []string
	for line := c.line(); line != "."; line = c.line() {
		lines = append(lines, line)
	}
	return lines
}

// login logs in and checks the beginning of the reply.
func (c *popClient) login(address, password, prefix string) *popClient {
	c.t.Helper()
	c.do("USER "+address, "+OK")
	c.do("PASS "+password, prefix)
	return c
}

// quit ends the session and waits for its end.
func (c *popClient) quit() {
	c.t.Helper()
	c.do("QUIT", "+OK")
	_, _ = c.in.ReadByte()
	_ = c.Close()
}

// fingerprint tells which certificate serves a client that asks for this name.
func (p *program) fingerprint(serverName string) string {
	p.t.Helper()
	conn, err := tls.Dial("tcp", p.ports["pop3/pop3s"], &tls.Config{ServerName: serverName, InsecureSkipVerify: true})
	must(p.t, err)
	defer func() { _ = conn.Close() }()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw)
	return hex.EncodeToString(sum[:])
}
