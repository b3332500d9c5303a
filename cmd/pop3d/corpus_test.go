package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/popservice/popservice/pop3server/config"
)

// kib is the unit of the borders below.
const kib = 1 << 10

// sent is a message as an MTA hands it in.
type sent struct{ name, text string }

// corpus is what has been a trap to mail servers.
func corpus() []sent {
	const header = "Subject: corpus\r\n\r\n"
	body := func(name, text string) sent { return sent{name, header + text} }
	all := []sent{
		{"nothing", ""}, {"a line end alone", "\r\n"}, {"a bare LF alone", "\n"}, {"a bare CR alone", "\r"},
		{"header only", "Subject: corpus\r\n"}, {"header only, not ended", "Subject: corpus"},
		{"header and blank line", header}, {"a dot alone", "."}, {"a dot line alone", ".\r\n"},
		body("no final line end", "one\r\ntwo"), body("dot at the end, not ended", "one\r\n."),
		body("dots", ".\r\n..\r\n...\r\n.\r\n.\r\nx\r\n.x\r\n..x\r\n.\r\n"),
		body("an end of data that bare LFs hide", "x\n.\nQUIT\n..\n.\r\ny\n.\r\n"),
		body("an end of data that bare CRs hide", "x\r.\rQUIT\r..\r.\r\ny\r.\r\n.\rz"),
		body("line ends that were converted twice", "x\r\r\n.\r\r\n\r\r\n..\r\r\r\ny\r\r"),
		{"header with bare LF", "Subject: corpus\nTo: a\n\n.\nbody\n"}, {"header with bare CR", "Subject: corpus\r\r.\rbody\r"},
		body("line of 5,000 octets", strings.Repeat("x", 5000)+"\r\nend\r\n"),
		body("line of 100,000 octets", "."+strings.Repeat(".", 100_000)+"\r\nend\r\n"),
		body("header of 100,000 octets", strings.Repeat("x", 100_000)),
		body("NUL", "a\x00b\r\n\x00\r\n.\x00\r\n\x00.\r\n\x00\n\x00"),
		body("8 bits", "\x80\xff\xfe\r\n.\xff\r\n\xc3\r\n\x85\xa0\r\n"), body("UTF-8", "Grüße, 世界 🙂\r\n.ü\r\n"),
		body("many blank lines", strings.Repeat("\r\n", 5000)), body("many bare CRs", strings.Repeat("\r", 2000)+"\n"),
		body("3 MiB", strings.Repeat(".0123456789012345678901234567890123456789\r\n..\r\n", 3<<20/47)),
	}
	for _, border := range []int{16 * kib, 32 * kib, 64 * kib, 128 * kib} {
		for phase := range 3 {
			all = append(all, dotsAcross(border, phase))
		}
	}
	for more := -1; more <= 1; more++ {
		all = append(all, aroundInline(more, "\r\n.\r\n"), aroundInline(more, "\r\n.\r\n."), aroundInline(more, "..\r\n.x"))
	}
	return all
}

// dotsAcross is a message in which a buffer that is full at a border cuts a line of one dot: in front of it, behind the dot or
// within the line end, each for one of three phases. The lines begin so far before the border that it does not matter whether
// the buffer holds the trace fields too.
func dotsAcross(border, phase int) sent {
	const before, behind = 1024, 256
	text := "Subject: across\r\n\r\n"
	line := strings.Repeat("x", 98) + "\r\n"
	text += strings.Repeat(line, (border-before-len(text))/len(line)) + strings.Repeat("y", phase) + "\r\n"
	for len(text) < border+behind {
		text += ".\r\n"
	}
	return sent{fmt.Sprintf("dot lines across %d octets, phase %d", border, phase), text + "end\r\n"}
}

// aroundInline is a message whose canonical form is by so many octets larger than what stands in a journal itself (inlineOctets
// of package maildrop), with dots at its end.
func aroundInline(more int, end string) sent {
	text := "Subject: inline\r\n\r\n"
	size := 128*kib + more - len(text) - len(end)
	if !strings.HasSuffix(end, "\r\n") {
		size -= len("\r\n") // which the store adds
	}
	return sent{fmt.Sprintf("%+d octets and %q", more, end), text + strings.Repeat("z", size) + end}
}

var lineEnd = regexp.MustCompile(`\r*\n|\r`)

// canonical is the form in which a message is to be fetched (RFC 5322 §2.1; [MS-STANXPOP3] C0011). It has nothing in common
// with the code of the store that makes it.
func canonical(text string) string {
	text = strings.ReplaceAll(lineEnd.ReplaceAllString(text, "\r\n"), "\x00", "\x80")
	if text != "" && !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	if !strings.HasPrefix(text, "\r\n") && !strings.Contains(text, "\r\n\r\n") {
		text += "\r\n"
	}
	return text
}

// topOf gives the header, the blank line and so many lines of the body of a message in canonical form (RFC 1939 §7 TOP).
func topOf(text string, lines int) string {
	header, body, _ := strings.Cut(text, "\r\n\r\n")
	top := strings.SplitAfterN(body, "\r\n", lines+1)
	if len(top) > lines {
		top = top[:lines]
	}
	return header + "\r\n\r\n" + strings.Join(top, "")
}

// fatal is what *testing.T and *rapid.T share.
type fatal interface {
	Helper()
	Errorf(format string, arguments ...any)
	Fatalf(format string, arguments ...any)
}

// trace is what the server puts in front of a message.
var trace = regexp.MustCompile(`^Return-Path: <sender@example\.org>\r\nDelivered-To: alice@example\.com\r\n` +
	`Received: from mta\.example\.org \(\[127\.0\.0\.1\]\)\r\n\tby mx\.example\.com with LMTP id \S+\r\n` +
	`\tfor <alice@example\.com>; [^\r\n]+\r\n`)

// expectFetched compares what was fetched with what was sent.
func expectFetched(t fatal, m sent, fetched string) {
	t.Helper()
	if got, want := strings.TrimPrefix(fetched, trace.FindString(fetched)), canonical(m.text); got != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%s: %d octets fetched, want %d; from octet %d on they are %.40q, want %.40q", m.name, len(got), len(want), at,
			got[at:], want[at:])
	}
	if trace.FindString(fetched) == "" {
		t.Errorf("%s: begins with %.300q", m.name, fetched)
	}
}

// mta is a connection to the LMTP port.
type mta struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func (p *program) mta() *mta {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.ports["lmtp"])
	must(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close() })
	m := &mta{p.t, conn, bufio.NewReader(conn)}
	m.reply("220")
	m.do("LHLO mta.example.org\r\n", "250")
	return m
}

// reply reads a reply, of one line or several.
func (m *mta) reply(code string) {
	m.t.Helper()
	must(m.t, m.SetDeadline(time.Now().Add(deadline)))
	for {
		line, err := m.in.ReadString('\n')
		must(m.t, err)
		if !strings.HasPrefix(line, code) {
			m.t.Fatalf("LMTP says %q, want %s", line, code)
		}
		if line[len(code)] == ' ' {
			return
		}
	}
}

func (m *mta) do(text, code string) {
	m.t.Helper()
	_, err := m.Write([]byte(text))
	must(m.t, err)
	m.reply(code)
}

func (m *mta) begin() {
	m.t.Helper()
	m.do("MAIL FROM:<sender@example.org> BODY=8BITMIME\r\n", "250")
	m.do("RCPT TO:<alice@example.com>\r\n", "250")
}

// chunk delivers a message as it is (RFC 3030 §2 BDAT).
func (m *mta) chunk(text string) {
	m.t.Helper()
	m.begin()
	m.do(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text), "250")
}

// data delivers a message whose last line is ended, with the dots of transparency (RFC 5321 §4.5.2): in front of each line that
// begins with one, where a line is what CRLF ends.
func (m *mta) data(text string) {
	m.t.Helper()
	m.begin()
	m.do("DATA\r\n", "354")
	stuffed := strings.TrimPrefix(strings.ReplaceAll("\r\n"+text, "\r\n.", "\r\n.."), "\r\n")
	m.do(stuffed+".\r\n", "250")
}

// text reads a multi-line reply and takes its dots of transparency off (RFC 1939 §3).
func (c *popClient) text(t fatal) string {
	t.Helper()
	must(c.t, c.SetDeadline(time.Now().Add(deadline)))
	c.expect("+OK")
	var text strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		must(c.t, err)
		switch {
		case line == ".\r\n":
			return text.String()
		case !strings.HasSuffix(line, "\r\n") || line[0] == '.' && line[1] != '.':
			t.Fatalf("a line of a multi-line reply is %.60q", line)
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
}

// send writes commands at once, while the test reads: together they may be more than the connection holds.
func (c *popClient) send(commands []byte) {
	go func() { _, _ = c.Write(commands) }()
}

// sizes gives what LIST says (RFC 1939 §5), by number.
func (c *popClient) sizes() map[int]int {
	c.t.Helper()
	all := make(map[int]int)
	for _, line := range c.list("LIST") {
		number, size, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(number)
		must(c.t, err)
		all[n], err = strconv.Atoi(size)
		must(c.t, err)
	}
	return all
}

// newExact starts a server that tells exact sizes, and lets in without TLS too.
func newExact(t *testing.T) *program {
	p := newProgram(t)
	p.config.Maildrop.Size = config.ExactSize
	p.config.Authentication.LoginType = config.PlainTextLogin
	p.writeConfig()
	return p.prepare().start()
}

// Of a message that was acknowledged not an octet changes that its canonical form does not change, whichever way it comes and
// goes. A dot that is lost or one too many, or a line end that one program sees and another one does not, is another message.
func TestWhatIsFetchedIsWhatWasDelivered(t *testing.T) {
	t.Parallel()
	p := newExact(t)
	var mail []sent
	out := p.mta()
	for _, m := range corpus() {
		out.chunk(m.text)
		mail = append(mail, sent{m.name + ", BDAT", m.text})
		if text := m.text; text != "" {
			if !strings.HasSuffix(text, "\r\n") {
				text += "\r\n" // which is part of the text then
			}
			out.data(text)
			mail = append(mail, sent{m.name + ", DATA", text})
		}
	}
	out.data("")
	mail = append(mail, sent{"nothing, DATA", ""})

	c := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	sizes := c.sizes()
	if len(sizes) != len(mail) {
		t.Fatalf("%d messages, want %d", len(sizes), len(mail))
	}
	var retrs, tops bytes.Buffer
	for i, m := range mail {
		c.send(fmt.Appendf(nil, "RETR %d\r\n", i+1))
		fetched := c.text(t)
		expectFetched(t, m, fetched)
		if len(fetched) != sizes[i+1] { // [MS-STANXPOP3] §2.1.5
			t.Errorf("%s: %d octets fetched, LIST says %d", m.name, len(fetched), sizes[i+1])
		}
		fmt.Fprintf(&retrs, "RETR %d\r\n", i+1)
		for _, lines := range topLines {
			fmt.Fprintf(&tops, "TOP %d %d\r\n", i+1, lines)
			c.send(fmt.Appendf(nil, "TOP %d %d\r\n", i+1, lines))
			expectTop(t, m, lines, fetched, c.text(t))
		}
	}
	clear, _ := p.pop()
	for _, c := range []*popClient{c, clear.login("alice@example.com", "secret-of-alice", "+OK")} {
		c.expectPipelined(mail, retrs.Bytes(), tops.Bytes())
	}
}

// topLines are what TOP is asked for; the last one is more than any message has.
var topLines = []int{0, 1, 2, 3, 100_000_000}

func expectTop(t fatal, m sent, lines int, fetched, top string) {
	t.Helper()
	if want := topOf(fetched, lines); top != want {
		t.Errorf("%s: TOP %d gives %d octets, want %d", m.name, lines, len(top), len(want))
	}
}

// expectPipelined wants the same of commands that are written at once (RFC 2449 §6.6 PIPELINING).
func (c *popClient) expectPipelined(mail []sent, retrs, tops []byte) {
	c.t.Helper()
	c.send(retrs)
	fetched := make([]string, len(mail))
	for i, m := range mail {
		fetched[i] = c.text(c.t)
		expectFetched(c.t, m, fetched[i])
	}
	c.send(tops)
	for i, m := range mail {
		for _, lines := range topLines {
			expectTop(c.t, m, lines, fetched[i], c.text(c.t))
		}
	}
	c.quit()
}

// The same of messages that nobody has thought of.
func TestWhateverIsFetchedIsWhatWasDelivered(t *testing.T) {
	t.Parallel()
	p := newExact(t)
	out := p.mta()
	text := rapid.SliceOf(rapid.SampledFrom([]byte(".\r\na\x00\x80")))
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(text, 1, 10).Draw(t, "messages")
		data := rapid.SliceOfN(rapid.Bool(), len(texts), len(texts)).Draw(t, "by DATA")
		mail := make([]sent, len(texts))
		for i, text := range texts {
			deliver := out.chunk
			if data[i] {
				text, deliver = append(text, "\r\n"...), out.data
			}
			mail[i] = sent{fmt.Sprintf("%q", text), string(text)}
			deliver(string(text))
		}
		p.expectLast(t, mail)
	})
}

// expectLast wants these messages at the end of the maildrop, behind what a test has left that failed, and removes them.
func (p *program) expectLast(t fatal, mail []sent) {
	c := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	defer func() { _ = c.Close() }()
	sizes := c.sizes()
	first := len(sizes) - len(mail) + 1
	if first < 1 {
		t.Fatalf("%d messages, want %d", len(sizes), len(mail))
	}
	var commands []byte
	for i := range mail {
		commands = fmt.Appendf(commands, "RETR %d\r\nTOP %d 1\r\nDELE %d\r\n", first+i, first+i, first+i)
	}
	c.send(commands)
	for i, m := range mail {
		fetched := c.text(t)
		expectFetched(t, m, fetched)
		if len(fetched) != sizes[first+i] {
			t.Errorf("%s: %d octets fetched, LIST says %d", m.name, len(fetched), sizes[first+i])
		}
		expectTop(t, m, 1, fetched, c.text(t))
		c.expect("+OK")
	}
	c.quit()
}
