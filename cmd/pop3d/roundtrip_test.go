package main_test

import (
	"bufio"
	"crypto/sha256"
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
	in   *bufio.Reader
	text string // the name of what is delivered, if it has one
}

func (p *program) mta() *mta {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.ports["lmtp"])
	must(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close() })
	m := &mta{t: p.t, Conn: conn, in: bufio.NewReader(conn)}
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
			m.t.Fatalf("%s: LMTP says %q, want %s", m.text, line, code)
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

// text reads a multi-line reply, of a message of this name, and takes its dots of transparency off (RFC 1939 §3).
func (c *popClient) text(t fatal, name string) string {
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
			t.Fatalf("%s: a line of a multi-line reply is %.60q", name, line)
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

// held is a message in a maildrop, with what every session is to see of it.
type held struct {
	sent
	number int // in the session
	uid    string
	retr   digest   // of what RETR gave first
	tops   []digest // of what TOP gave first, by topLines
}

// digest stands for octets that take too much room to be kept.
type digest struct {
	octets int
	sum    [sha256.Size]byte
}

func digestOf(text string) digest { return digest{len(text), sha256.Sum256([]byte(text))} }

// topLines are what TOP is asked for; the last one is more than any message has.
var topLines = []int{0, 1, 2, 3, 100_000_000}

// topLines are those that are asked for of this message.
func (m sent) topLines() []int {
	if m.large() {
		return topLines[:2]
	}
	return topLines
}

// Of a message that was acknowledged not an octet changes that its canonical form does not change, whichever way it comes and
// goes. A dot that is lost or one too many, or a line end that one program sees and another one does not, is another message.
// Its size and its unique-id stay too (RFC 1939 §7), in later sessions, behind a restart, and when other messages are removed.
func TestWhatIsFetchedIsWhatWasDelivered(t *testing.T) {
	t.Parallel()
	p := newExact(t)
	mail := p.mta().deliver(corpus())
	p.alice().expectFirst(mail)
	clear, _ := p.pop()
	for _, c := range []*popClient{p.alice(), clear.login("alice@example.com", "secret-of-alice", "+OK")} {
		c.expectAll(mail)
		c.quit()
	}
	p.kill()
	p.start()
	left := p.alice().removeSome(mail)
	p.alice().expectAll(left)
	p.kill()
	p.start()
	p.alice().expectAll(left)
	p.expectNewUID(mail)
}

// deliver hands in messages, each one both ways, large ones one way by turns, and gives them as they were handed in.
func (m *mta) deliver(all []sent) (mail []held) {
	m.t.Helper()
	add := func(name, text string) { mail = append(mail, held{sent: sent{name, text}, number: len(mail) + 1}) }
	for i, message := range all {
		m.text = message.name
		if !message.large() || i%2 == 0 {
			m.chunk(message.text)
			add(message.name+", BDAT", message.text)
		}
		if !message.large() || i%2 == 1 {
			text := message.text
			if text != "" && !strings.HasSuffix(text, "\r\n") {
				text += "\r\n" // which is part of the text then
			}
			m.data(text)
			add(message.name+", DATA", text)
		}
	}
	return mail
}

// alice logs in to the mailbox of the corpus.
func (p *program) alice() *popClient {
	p.t.Helper()
	return p.pops().login("alice@example.com", "secret-of-alice", "+OK")
}

// expectFirst fetches all messages for the first time, one by one, and notes what later sessions are to see.
func (c *popClient) expectFirst(mail []held) {
	c.t.Helper()
	c.noteUIDs(mail)
	for i := range mail {
		m := &mail[i]
		c.send(fmt.Appendf(nil, "RETR %d\r\n", m.number))
		fetched := c.text(c.t, m.name)
		expectFetched(c.t, m.sent, fetched)
		m.retr = digestOf(fetched)
		for _, lines := range m.topLines() {
			c.send(fmt.Appendf(nil, "TOP %d %d\r\n", m.number, lines))
			top := c.text(c.t, m.name)
			expectTop(c.t, m.sent, lines, fetched, top)
			m.tops = append(m.tops, digestOf(top))
		}
	}
	c.expectListed(mail)
	c.quit()
}

// noteUIDs wants unique-ids that are decimal numbers and rise from message to message.
func (c *popClient) noteUIDs(mail []held) {
	c.t.Helper()
	lines := c.list("UIDL")
	if len(lines) != len(mail) {
		c.t.Fatalf("UIDL has %d messages, want %d", len(lines), len(mail))
	}
	last := uint64(0)
	for i, line := range lines {
		uid, err := strconv.ParseUint(strings.TrimPrefix(line, fmt.Sprintf("%d ", i+1)), 10, 64)
		mail[i].uid = strconv.FormatUint(uid, 10)
		if err != nil || line != fmt.Sprintf("%d %s", i+1, mail[i].uid) || uid <= last {
			c.t.Errorf("%s: UIDL says %q, behind unique-id %d", mail[i].name, line, last)
		}
		last = uid
	}
}

// expectAll wants all that was noted, of commands that are written at once (RFC 2449 §6.6 PIPELINING).
func (c *popClient) expectAll(mail []held) {
	c.t.Helper()
	c.expectListed(mail)
	var retrs, tops []byte
	for _, m := range mail {
		retrs = fmt.Appendf(retrs, "RETR %d\r\n", m.number)
		for _, lines := range m.topLines() {
			tops = fmt.Appendf(tops, "TOP %d %d\r\n", m.number, lines)
		}
	}
	c.send(append(retrs, tops...))
	for _, m := range mail {
		c.expectText(m, "RETR", m.retr)
	}
	for _, m := range mail {
		for i, lines := range m.topLines() {
			c.expectText(m, fmt.Sprintf("TOP %d", lines), m.tops[i])
		}
	}
}

// expectText wants the text that the first session got.
func (c *popClient) expectText(m held, command string, want digest) {
	c.t.Helper()
	if got := digestOf(c.text(c.t, m.name)); got != want {
		c.t.Errorf("%s: %s gives %d octets, which are not the %d of before", m.name, command, got.octets, want.octets)
	}
}

// expectListed wants the sizes, which are those of what RETR gives (RFC 1939 §5, [MS-STANXPOP3] §2.1.5), and the unique-ids, of
// all messages at once and of each one alone.
func (c *popClient) expectListed(mail []held) {
	c.t.Helper()
	must(c.t, c.SetDeadline(time.Now().Add(deadline)))
	scans, uids := c.list("LIST"), c.list("UIDL")
	if len(scans) != len(mail) || len(uids) != len(mail) {
		c.t.Fatalf("LIST has %d messages and UIDL has %d, want %d", len(scans), len(uids), len(mail))
	}
	total := 0
	for i, m := range mail {
		total += m.retr.octets
		c.expectLine(m, "LIST", scans[i], strconv.Itoa(m.retr.octets))
		c.expectLine(m, "UIDL", uids[i], m.uid)
	}
	if got, want := c.do("STAT", "+OK"), fmt.Sprintf("+OK %d %d", len(mail), total); got != want {
		c.t.Errorf("STAT says %q, want %q", got, want)
	}
}

// expectLine wants a message's line of a list, and the same of the command for this message alone.
func (c *popClient) expectLine(m held, command, line, want string) {
	c.t.Helper()
	want = fmt.Sprintf("%d %s", m.number, want)
	if alone := c.do(fmt.Sprintf("%s %d", command, m.number), "+OK"); line != want || alone != "+OK "+want {
		c.t.Errorf("%s: %s says %q among all and %q alone, want %q", m.name, command, line, alone, want)
	}
}

// removeSome removes every third message, and gives the others with the numbers of the next session. In the session that
// removes, they keep theirs.
func (c *popClient) removeSome(mail []held) (left []held) {
	c.t.Helper()
	c.expectListed(mail)
	for i, m := range mail {
		if i%3 == 1 {
			c.do(fmt.Sprintf("DELE %d", m.number), "+OK")
		} else {
			left = append(left, m)
		}
	}
	c.expectAll(left)
	c.quit()
	for i := range left {
		left[i].number = i + 1
	}
	return left
}

// expectNewUID wants a message that comes now to have a unique-id that none of these has had, be they removed or not.
func (p *program) expectNewUID(mail []held) {
	p.t.Helper()
	p.mta().chunk(subject)
	lines := p.alice().list("UIDL")
	_, uid, _ := strings.Cut(lines[len(lines)-1], " ")
	last, err := strconv.ParseUint(mail[len(mail)-1].uid, 10, 64)
	must(p.t, err)
	if next, err := strconv.ParseUint(uid, 10, 64); err != nil || next <= last {
		p.t.Errorf("unique-id %s of a new message behind %d", uid, last)
	}
}

func expectTop(t fatal, m sent, lines int, fetched, top string) {
	t.Helper()
	if want := topOf(fetched, lines); top != want {
		t.Errorf("%s: TOP %d gives %d octets, want %d", m.name, lines, len(top), len(want))
	}
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
	c := p.alice()
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
		fetched := c.text(t, m.name)
		expectFetched(t, m, fetched)
		if len(fetched) != sizes[first+i] {
			t.Errorf("%s: %d octets fetched, LIST says %d", m.name, len(fetched), sizes[first+i])
		}
		expectTop(t, m, 1, fetched, c.text(t, m.name))
		c.expect("+OK")
	}
	c.quit()
}
