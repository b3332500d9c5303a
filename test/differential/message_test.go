//go:build differential

package differential

import (
	"fmt"
	"regexp"
	"strings"
)

// message is one as an MTA hands it in.
type message struct {
	text string
	// trace is what pop3d has put in front of it. Dovecot gets the message with these fields, so that both have the same one.
	trace     string
	canonical string // with the trace: what RETR is to send
	delta     int    // by how many octets pop3d's size is larger than Dovecot's
	defects   defects
}

// defects are in what a text differs from its canonical form so that Dovecot shows it.
type defects struct{ endsMidLine, hasNoBlank, hasBareCR, hasDoubledCR, hasNUL bool }

// corpus is what has been a trap to mail servers, by name.
var corpus = map[string]string{
	"short":                   "Subject: a\r\n\r\nb\r\n",
	"empty body":              "Subject: a\r\n\r\n",
	"header only":             "Subject: a\r\n",
	"header only, not ended":  "Subject: a",
	"blank lines":             "Subject: a\r\n\r\n\r\n\r\n\r\n",
	"dots":                    "Subject: a\r\n\r\n.\r\n..\r\n...\r\n.\r\nx\r\n.x\r\n..x\r\n.\r\n",
	"dot at the end":          "Subject: a\r\n\r\none\r\n.",
	"no final line end":       "Subject: a\r\n\r\none\r\ntwo",
	"folded header":           "Subject: a\r\n b\r\n\tc\r\n.d: e\r\n\r\nbody\r\n",
	"line of blanks":          "Subject: a\r\n \r\n\r\n \r\n\t\r\nbody\r\n",
	"8 bits":                  "Subject: \xe9\r\n\r\n\x80\xff\xfe\r\n.\xff\r\n\xc3\r\n\x85\xa0\r\n",
	"UTF-8":                   "Subject: Grüße\r\n\r\n世界 🙂\r\n.ü\r\n",
	"bare LF":                 "Subject: a\n\none\n.\n..two\r\nthree\n",
	"end of data in bare LFs": "Subject: a\r\n\r\nx\n.\nQUIT\n..\n.\r\ny\n.\r\n",
	"bare CR":                 "Subject: a\r\n\r\none\r.\rtwo\r\n.\r\nthree\r\n",
	"doubled CR":              "Subject: a\r\n\r\none\r\r\n.\r\r\ntwo\r\n",
	"NUL":                     "Subject: a\r\n\r\na\x00b\r\n\x00\r\n.\x00\r\n",
	"line of 998":             "Subject: a\r\n\r\n" + strings.Repeat("x", 998) + "\r\n",
	"line of 9,000":           "Subject: a\r\n\r\n." + strings.Repeat(".", 9000) + "\r\nend\r\n",
	"long header":             "Subject: a\r\n" + strings.Repeat("X-Long: field\r\n", 600) + "\r\nend\r\n",
	"8 KiB":                   "Subject: a\r\n\r\n" + strings.Repeat(".0123456789abc\r\n", 512),
	"70 KiB of dots":          "Subject: a\r\n\r\n" + strings.Repeat(".\r\n..\r\n.a\r\n", 7000),
	"150 KiB of dots":         "Subject: a\r\n\r\n" + strings.Repeat(".\r\n..\r\n.a\r\n", 15000),
	"140 KiB":                 "Subject: a\r\n\r\n" + strings.Repeat("0123456789abcdef0123456789abcdef012\r\n", 3900) + "end",
}

// newMessage makes the message with this number of a text. The text gets a header that tells messages apart and moves what is
// behind it to and fro, so that buffers end anywhere.
func newMessage(number, phase int, text string) *message {
	text = fmt.Sprintf("X-Number: %d%s\r\n%s", number, strings.Repeat("x", phase), text)
	return &message{text: text, defects: defects{
		endsMidLine:  !strings.HasSuffix(text, "\n"),
		hasNoBlank:   !strings.Contains(lineEnd.ReplaceAllString(text, "\n"), "\n\n"),
		hasBareCR:    bareCR.MatchString(text),
		hasDoubledCR: strings.Contains(text, "\r\r"),
		hasNUL:       strings.Contains(text, "\x00"),
	}}
}

var (
	lineEnd = regexp.MustCompile(`\r*\n|\r`)
	bareCR  = regexp.MustCompile(`\r(?:[^\r\n]|$)`)
)

// setTrace tells what pop3d has put in front of the message. Its size is that of the canonical form; Dovecot's is that of the
// file with CRLF for each bare LF.
func (m *message) setTrace(trace string) {
	m.trace = trace
	m.canonical = canonicalOf(trace + m.text)
	file := strings.ReplaceAll(strings.ReplaceAll(trace+m.text, "\r\n", "\n"), "\n", "\r\n")
	m.delta = len(m.canonical) - len(file)
}

// canonicalOf gives the form of [MS-STANXPOP3] C0011. It has nothing in common with the code that makes it.
func canonicalOf(text string) string {
	text = strings.ReplaceAll(lineEnd.ReplaceAllString(text, "\r\n"), "\x00", "\x80")
	if !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	if !strings.Contains(text, "\r\n\r\n") {
		text += "\r\n"
	}
	return text
}

// top is what TOP is to send.
func (m *message) top(lines int) string {
	header, body, _ := strings.Cut(m.canonical, "\r\n\r\n")
	all := strings.SplitAfterN(body, "\r\n", min(lines, len(body))+1)
	return header + "\r\n\r\n" + strings.Join(all[:min(lines, len(all))], "")
}

// file is the message as it lies in a Maildir. Every other one has LF as line ends, as delivery agents leave it, where that
// does not make another message of it.
func (m *message) file(number int) string {
	text := m.trace + m.text
	if number%2 == 0 && !m.defects.hasBareCR && !m.defects.hasDoubledCR {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	return text
}
