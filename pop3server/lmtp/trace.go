package lmtp

import (
	"crypto/rand"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"
)

// envelope is what the trace fields of a message are made of.
type envelope struct {
	id       string // of this delivery, in our logs too
	from     string // the reverse-path, empty for a bounce
	helo     string // what the client says its name is
	remote   net.Addr
	hostname string // ours
	utf8     bool   // the client said SMTPUTF8
	tls      bool
	received time.Time
}

func newID() string { return rand.Text()[:16] }

// trace gives the fields that are put before the message (RFC 5321 §4.4), each line ended by CRLF. address is the one that
// the client named. Whoever made the envelope has made sure that no part of it ends a line.
func (e envelope) trace(address string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", quote(e.from))
	fmt.Fprintf(&b, "Delivered-To: %s\r\n", quote(address))
	fmt.Fprintf(&b, "Received: from %s (%s)\r\n", domain(e.helo), addressLiteral(e.remote))
	fmt.Fprintf(&b, "\tby %s with %s id %s\r\n", domain(e.hostname), e.protocol(), e.id)
	fmt.Fprintf(&b, "\tfor <%s>; %s\r\n", quote(address), e.received.Format(time.RFC1123Z))
	return []byte(b.String())
}

// protocol gives the name of how the message came (RFC 3848, RFC 6531 §4.3).
func (e envelope) protocol() string {
	name := "LMTP"
	if e.utf8 {
		name = "UTF8LMTP"
	}
	if e.tls {
		name += "S"
	}
	return name
}

var dotAtom = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\\x{80}-\\x{10FFFF}-]+$")

// quote gives an address as it stands in a header: the protocol's parser has taken the quotes away from the local part.
func quote(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || dotAtom.MatchString(address[:at]) {
		return address
	}
	local := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(address[:at])
	return `"` + local + `"` + address[at:]
}

// domain gives a name that a client made up in a form that no header is broken by.
func domain(name string) string {
	const most = 255 // RFC 5321 §4.5.3.1.2
	if name == "" || len(name) > most || strings.ContainsFunc(name, notInDomain) {
		return "unknown"
	}
	return name
}

func notInDomain(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>,;"\@`, r)
}

// addressLiteral gives a peer's address as RFC 5321 §4.1.3 writes it.
func addressLiteral(peer net.Addr) string {
	tcp, ok := peer.(*net.TCPAddr)
	switch {
	case !ok:
		return "local"
	case tcp.IP.To4() != nil:
		return "[" + tcp.IP.String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}
