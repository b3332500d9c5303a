package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// subject is the header of those messages whose body is the trap.
const subject = "Subject: corpus\r\n\r\n"

// sent is a message as an MTA hands it in.
type sent struct{ name, text string }

// large tells whether a message takes so long that it goes fewer ways than the others.
func (m sent) large() bool { return len(m.text) >= mib }

// corpus is what has been a trap to mail servers.
func corpus() []sent {
	return slices.Concat(shortMessages(), plainTraps(), lookAlikes(), mixedLineEnds(), headerTraps(), headerEnds(), longHeaders(),
		whitespace(), characterSets(), mimeTraps(), multipartNests(), lineLengths(), hugeLines(), acrossBuffers(), inlineSizes())
}

// The size of the corpus is no claim: the messages of up to three octets are not counted, and no message is there twice.
func TestCorpusOfWhatIsFetched(t *testing.T) {
	t.Parallel()
	const least = 200
	names, texts := make(map[string]bool), make(map[string]string)
	counted := 0
	for _, m := range corpus() {
		if names[m.name] {
			t.Errorf("two messages are named %s", m.name)
		}
		if other, twice := texts[m.text]; twice {
			t.Errorf("%s is the same as %s", m.name, other)
		}
		names[m.name], texts[m.text] = true, m.name
		if len(m.text) > shortOctets {
			counted++
		}
	}
	t.Logf("%d messages, %d of them of more than %d octets", len(names), counted, shortOctets)
	if counted < least {
		t.Errorf("%d messages of more than %d octets, want %d", counted, shortOctets, least)
	}
}

// named gives the messages of a family from names and texts by turns. The prefix stands in front of each text.
func named(family, prefix string, namesAndTexts ...string) (all []sent) {
	for pair := range slices.Chunk(namesAndTexts, 2) {
		all = append(all, sent{family + ", " + pair[0], prefix + pair[1]})
	}
	return all
}

// shortOctets is how long the longest of the short messages is.
const shortOctets = 3

// shortMessages are all messages of up to three octets that matter to a parser of lines: in them a line end, a dot or a header
// begins and is not gone on with.
func shortMessages() (all []sent) {
	texts := []string{""}
	for range shortOctets + 1 {
		var longer []string
		for _, text := range texts {
			all = append(all, sent{fmt.Sprintf("%q alone", text), text})
			for _, octet := range []string{".", "\r", "\n", "x"} {
				longer = append(longer, text+octet)
			}
		}
		texts = longer
	}
	return all
}

func plainTraps() []sent {
	return slices.Concat(
		named("header", "", "not ended", "Subject: corpus", "no blank line", "Subject: corpus\r\n", "no body", subject),
		named("body", subject,
			"no final line end", "one\r\ntwo", "a dot at the end, not ended", "one\r\n.",
			"dots", ".\r\n..\r\n...\r\n.\r\n.\r\nx\r\n.x\r\n..x\r\n.\r\n",
			"an end of data that bare LFs hide", "x\n.\nQUIT\n..\n.\r\ny\n.\r\n",
			"an end of data that bare CRs hide", "x\r.\rQUIT\r..\r.\r\ny\r.\r\n.\rz",
			"line ends that were converted twice", "x\r\r\n.\r\r\n\r\r\n..\r\r\r\ny\r\r",
			"NUL", "a\x00b\r\n\x00\r\n.\x00\r\n\x00.\r\n\x00\n\x00",
			"many blank lines", strings.Repeat("\r\n", 5000), "many bare CRs", strings.Repeat("\r", 2000)+"\n",
			"many bare LFs", strings.Repeat("\n", 2000), "CRs in front of each LF", strings.Repeat(strings.Repeat("\r", 9)+"\n", 200),
			"LF in front of CR", strings.Repeat("x\n\r", 200), "dots alone, 5,000 lines", strings.Repeat(".\r\n", 5000),
			"lines that grow by a dot", growing(".", 200), "lines that grow by a NUL", growing("\x00", 100),
			"3 MiB", strings.Repeat(".0123456789012345678901234567890123456789\r\n..\r\n", 3*mib/47)),
		named("commands in the body", subject,
			"POP3", "RETR 1\r\nDELE 1\r\nRSET\r\nQUIT\r\n", "replies of POP3", "+OK 1 2\r\n.\r\n-ERR no\r\n+ \r\n",
			"LMTP", "RSET\r\nMAIL FROM:<a@example.org>\r\nDATA\r\n.\r\nQUIT\r\n", "BDAT", "BDAT 0 LAST\r\nBDAT 5\r\nQUIT\r\n",
			"replies of LMTP", "250-one\r\n250 two\r\n354 go on\r\n", "smuggled",
			"x\n.\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"))
}

// growing gives lines of one, two, three… of a text.
func growing(text string, most int) string {
	var all strings.Builder
	for n := range most {
		all.WriteString(strings.Repeat(text, n+1) + "\r\n")
	}
	return all.String()
}

// lookAlikes are what some program has taken for the end of the data, at the beginning, within and at the end of a body.
func lookAlikes() (all []sent) {
	for _, end := range []string{
		".", ".\r", ".\n", "\r\n.", "\r\n.\r", "\r\n.\n", "\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\r\r\n", "\r\n..\r\n",
		"\r\n.\x00\r\n",
		"\r\n\x00.\r\n", "\r\n. \r\n", "\r\n.\t\r\n", "\r\n .\r\n", "\r\n.\r\n.\r\n", "\r\n.\x1a\r\n", "\r\n\xae\r\n",
		"\r\n\xc0\xae\r\n",
	} {
		name := func(where string) string { return fmt.Sprintf("%q %s the body", end, where) }
		all = append(all, sent{name("begins"), subject + end + "QUIT\r\n"}, sent{name("within"), subject + "one" + end + "QUIT\r\n"},
			sent{name("ends"), subject + "one\r\ntwo" + end})
	}
	return all
}

// mixedLineEnds are messages in which two kinds of line ends take turns, also around the blank line and dots.
func mixedLineEnds() (all []sent) {
	ends := []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r"}
	for _, one := range ends {
		for _, other := range ends {
			text := strings.NewReplacer("1", one, "2", other).Replace("Subject: ends1To: a22body1.2.1..212.21x1.x2")
			all = append(all, sent{fmt.Sprintf("line ends %q and %q", one, other), text})
		}
	}
	return all
}

func headerTraps() []sent {
	const body = "\r\n\r\n.body\r\n"
	return named("header", "",
		"folded", "Subject: one\r\n two\r\n\tthree"+body, "folded at a blank line", "Subject: one\r\n \r\n\t\r\n two"+body,
		"folded with dots", "Subject:\r\n .\r\n ..\r\n ."+body, "first line folded", " Subject: continues a trace field"+body,
		"no colon", "This is no field"+body, "no name", ": nothing"+body, "no value", "Subject:"+body,
		"space in front of the colon", "Subject : corpus"+body, "space in the name", "Sub ject: corpus"+body,
		"dots alone", ".\r\n..\r\n..."+body, "field named by dots", "..: dots\r\n.Subject: dot"+body,
		"leading blank line", "\r\nSubject: body"+body, "leading blank lines", strings.Repeat("\r\n", 10)+"Subject: body"+body,
		"mbox From", "From sender@example.org Thu Jan  1 00:00:00 1970\r\nSubject: corpus"+body,
		"mbox From in the body", subject+"From here on\r\n>From there\r\n>>From\r\n", "mbox fields",
		"Status: RO\r\nX-UIDL: 1\r\nX-Status: D\r\nContent-Length: 1\r\nLines: 0"+body,
		"trace of its own", "Return-Path: <a@example.org>\r\nDelivered-To: bob@example.com\r\nReceived: from a\r\n\tby b"+body,
		"NUL", "Subject: a\x00b\r\n\x00: x\r\n\x00"+body, "8 bits", "Subject: Gr\xfc\xdfe\r\nX-\xff: \x80"+body,
		"UTF-8", "Subject: Grüße 世界\r\nTo: 世界 <a@例え.example>"+body, "byte order mark", "\xef\xbb\xbfSubject: corpus"+body,
		"encoded words", "Subject: =?utf-8?Q?=2E=0D=0A=2E?= =?iso-8859-1?B?Lg0KLg0K?="+body,
		"controls", "Subject: \x01\x07\b\x1b[2J\x7f"+body,
		"fields twice", "Subject: one\r\nSubject: two\r\nsubject: three\r\nFrom: a\r\nFrom: b"+body,
		"trailing spaces", "Subject: corpus   \r\nTo: \t \r\nX: "+body, "parentheses", "To: "+strings.Repeat("(", 5000)+"a"+body,
		"quotes", `To: "`+strings.Repeat(`\"`, 5000)+"@example.com"+body, "routes", "To: <@a,@b:c@d>, a: b, c;;, <>"+body,
		"1,000 Received", strings.Repeat("Received: from a.example by b.example;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n", 1000)+body,
		"5,000 recipients", "To: a@example.com"+strings.Repeat(",\r\n .a@example.com", 5000)+body,
		"5,000 fields, no body", strings.Repeat("X: y\r\n", 5000), "name of 70,000 octets", strings.Repeat("X", 70_000)+": y"+body,
		"value of 100,000 octets", "Subject: "+strings.Repeat("x", 100_000)+body,
		"value of 1 MiB that is folded", "Subject:"+strings.Repeat(" "+strings.Repeat("x", 70)+"\r\n", mib/73)+body)
}

// headerEnds are headers whose blank line is not everyone's blank line.
func headerEnds() []sent {
	return named("end of the header", "Subject: corpus",
		"bare LFs", "\n\n.body\n", "bare CRs", "\r\r.body\r", "CRLF and LF", "\r\n\n.body\r\n", "LF and CRLF", "\n\r\n.body\r\n",
		"CRLF and CR", "\r\n\r.body\r\n", "converted twice", "\r\r\n\r\r\n.body\r\r\n", "LF, CR", "\n\r.body\n\r",
		"a space", "\r\n \r\n.body\r\n",
		"a tab", "\r\n\t\r\n.body\r\n", "NUL", "\r\n\x00\r\n.body\r\n", "a dot", "\r\n.\r\n.body\r\n",
		"form feed", "\r\n\f\r\n.body\r\n",
		"NEL", "\r\n\u0085\r\n.body\r\n", "no blank line in front of the body", "\r\n.body\r\nmore\r\n",
		"CR alone at the end", "\r\n\r")
}

// longHeaders are headers whose fields a full buffer cuts at each of their octets, for one or the other of them. Who takes the
// rest of a cut line for a blank line sees a body in the header.
func longHeaders() (all []sent) {
	const field, fields = "X: y\r\n", 25_000
	for phase := range len(field) {
		text := "X: " + strings.Repeat("y", phase) + "\r\n" + strings.Repeat(field, fields) + "\r\n.body\r\n"
		all = append(all, sent{fmt.Sprintf("header, %d fields, phase %d", fields, phase), text})
	}
	return all
}

func whitespace() []sent {
	return named("whitespace", subject,
		"trailing spaces", "one  \r\ntwo \r\n. \r\n", "leading spaces", " one\r\n  .\r\n",
		"lines of spaces", " \r\n  \r\n\t\r\n \t \r\n",
		"spaces, not ended", "one\r\n   ", "tabs", "\tone\t\ttwo\t\r\n.\t\r\n", "form feeds", "one\ftwo\r\n\f\r\n.\f\r\n\f.\r\n",
		"vertical tabs", "one\vtwo\r\n\v.\r\n", "Ctrl-Z", "one\x1atwo\r\n\x1a\r\n.\r\nbehind the end of a file\r\n",
		"Ctrl-Z at the end", "one\r\n\x1a", "Ctrl-D", "one\r\n\x04\r\n", "backspaces", "one\b\b\btwo\r\n\b.\r\n",
		"DEL", "\x7f\r\n.\x7f\r\n",
		"escapes", "\x1b[2J\x1b]0;title\a\r\n.\x1b\r\n", "XON and XOFF", "\x11\x13one\r\n\x13.\x11\r\n",
		"signature", "one\r\n-- \r\n.\r\n",
		"format=flowed", "one \r\n two \r\n .\r\n>> one \r\n", "100,000 spaces", strings.Repeat(" ", 100_000)+"\r\n.\r\n")
}

// characterSets are bodies in which the octets of a line end, a dot or a NUL are halves of characters, or no characters at all.
func characterSets() []sent {
	return named("character set", subject,
		"ISO-8859-1", "Gr\xfc\xdfe\r\n.\xe4\r\n\xa0\r\n", "Windows-1252", "\x93quoted\x94 \x85\r\n.\x80\r\n",
		"KOI8-R", "\xf0\xd2\xc9\xd7\xc5\xd4\r\n",
		"Shift-JIS", "\x83\x5c\x95\x5c\x8f\x5c\r\n.\x82\xa0\r\n\x83", "EUC-JP", "\xc6\xfc\xcb\xdc\r\n.\x8f\xb0\xa1\r\n",
		"ISO-2022-JP", "\x1b$B.!.\"\x1b(B\r\n.\x1b$BF|K\\\r\n", "Big5", "\xa5\x5c\xb3\x5c\r\n.\xa4\x40\r\n",
		"GB18030", "\x81\x30\x81\x30\r\n.\x84\x31\xa4\x37\r\n", "UTF-7", "+AAoADQAuAAo-\r\n.+AC4-\r\n",
		"EBCDIC", "\x4b\x25\x0d\x25\x4b\x25\x15\x4b",
		"UTF-8", "Grüße, 世界 🙂\r\n.ü\r\n", "UTF-8 with byte order mark", "\xef\xbb\xbf.\r\n\xef\xbb\xbf\r\n.\xef\xbb\xbf\r\n",
		"UTF-16LE", inUTF16("\ufeff.\r\n..\r\nGrüße 🙂\r\n.\r\n", 0), "UTF-16BE", inUTF16("\ufeff.\r\n..\r\nGrüße 🙂\r\n.\r\n", 1),
		"UTF-16 whose halves are line ends", inUTF16("\u0d0a\u2e0d\u0a2e\u2e2e\u0a0d\u0d0a\u2e0d", 1),
		"UTF-32", ".\x00\x00\x00\r\x00\x00\x00\n\x00\x00\x00.\x00\x00\x00",
		"overlong UTF-8", "\xc0\xae\r\n\xc0\x8d\xc0\x8a.\r\n\xe0\x80\xae\r\n\xc0\x80\r\n",
		"surrogates", "\xed\xa0\xbd\xed\xb9\x82\r\n.\xed\xa0\x80\r\n", "cut UTF-8", "\xe4\xb8\r\n\xf0\x9f\x99\r\n.\xc3",
		"octets that UTF-8 has not", "\xfe\xff\xf8\xc1\r\n",
		"UTF-8's other line ends", "a\u2028.\u2029.\u0085.\r\n", "right to left", "\u202e.\r\n\u200f.\r\n",
		"joined", "e\u0301\u200d\r\n.\u0301\r\n",
		"C0 controls", octets(0, 0x20), "C1 controls", octets(0x80, 0xa0), "all octets", octets(0, 0x100),
		"all octets, a line each", eachOctet("%c\r\n"),
		"all octets behind a dot", eachOctet(".%c\r\n"), "all octets in front of a dot", eachOctet("\r\n%c.\r\n"),
		"all octets behind CR", eachOctet("\r%c."),
		"random octets", noise(20_000), "random octets, few of them", noise(2_000))
}

// inUTF16 gives the code units of a text with their high octet first (1) or last (0).
func inUTF16(text string, high int) string {
	var all []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		pair := []byte{byte(unit), byte(unit >> 8)}
		all = append(all, pair[high], pair[1-high])
	}
	return string(all)
}

// octets gives all octets of a range.
func octets(from, to int) string {
	var all []byte
	for octet := from; octet < to; octet++ {
		all = append(all, byte(octet))
	}
	return string(all)
}

// eachOctet gives each octet in the place of %c.
func eachOctet(format string) string {
	before, behind, _ := strings.Cut(format, "%c")
	var all strings.Builder
	for _, octet := range []byte(octets(0, 0x100)) {
		all.WriteString(before + string([]byte{octet}) + behind)
	}
	return all.String()
}

// noise gives octets that are the same each time (the generator is that of Numerical Recipes), each third one a dot, CR or LF.
func noise(size int) string {
	all := make([]byte, size)
	state := uint32(size)
	for i := range all {
		state = state*1664525 + 1013904223
		all[i] = byte(state >> 24)
		if state>>16&0xff < 0x55 {
			all[i] = ".\r\n"[all[i]%3]
		}
	}
	return string(all)
}

// lineLengths are lines around the borders that standards and buffers draw: RFC 5322 §2.1.1 has 78 and 998 octets.
func lineLengths() (all []sent) {
	for _, length := range []int{78, 79, 998, 999, 1000, 1024, 4095, 4096, 4097, 5000, 32 * kib, 65_535, 65_536, 65_537} {
		text := subject + strings.Repeat("x", length) + "\r\n.\r\nend\r\n"
		all = append(all, sent{fmt.Sprintf("line of %d octets", length), text})
	}
	for _, length := range []int{998, 999, 5000, 65_536, 65_537, mib} {
		name := func(what string) string { return fmt.Sprintf("line of %d %s", length, what) }
		all = append(all, sent{name("dots"), subject + strings.Repeat(".", length) + "\r\nend\r\n"},
			sent{name("octets of 8 bits, not ended"), subject + strings.Repeat("\xff", length)},
			sent{name("NULs"), subject + strings.Repeat("\x00", length) + "\r\n.\r\n"},
			sent{name("dots with bare CR at the end"), subject + strings.Repeat(".", length) + "\r"})
	}
	return all
}

// hugeLines are lines that no buffer holds.
func hugeLines() []sent {
	const length = 10_000_000
	return named("line of 10 MB", "",
		"text", subject+strings.Repeat("x", length)+"\r\n.\r\nend\r\n",
		"dots", subject+strings.Repeat(".", length)+"\r\n.\r\nend\r\n",
		"8 bits and NUL, not ended", subject+"."+strings.Repeat("\xff\x00", length/2),
		"header", "Subject: "+strings.Repeat("x", length)+"\r\n\r\n.\r\nend\r\n")
}

// acrossBuffers are messages of which a buffer that is full holds one half of a line end, of a dot line or of a NUL's line.
func acrossBuffers() (all []sent) {
	for _, border := range []int{4 * kib, 8 * kib, 16 * kib, 32 * kib, 64 * kib, 128 * kib, 256 * kib} {
		all = append(all, across(border, ".\r\n")...)
	}
	for _, unit := range []string{"..\r\n", "\r", "\r\r\n", "\n.", "\r\n\x00.", "\x00\r."} {
		all = append(all, across(32*kib, unit)...)
	}
	return all
}

// across are messages in which a buffer that is full at a border cuts one of many equal units: in front of it or within it, as
// the phase has it. The units begin so far before the border that it does not matter whether the buffer holds the trace fields
// too.
func across(border int, unit string) (all []sent) {
	const before, behind = 1024, 256
	line := strings.Repeat("x", 98) + "\r\n"
	for phase := range 3 {
		text := subject + strings.Repeat(line, (border-before-len(subject))/len(line)) + strings.Repeat("y", phase) + "\r\n"
		text += strings.Repeat(unit, (border+behind-len(text))/len(unit)+1)
		all = append(all, sent{fmt.Sprintf("%q across %d octets, phase %d", unit, border, phase), text + "end\r\n"})
	}
	return all
}

func inlineSizes() (all []sent) {
	for more := -1; more <= 1; more++ {
		for _, end := range []string{"\r\n.\r\n", "\r\n.\r\n.", "..\r\n.x"} {
			all = append(all, aroundInline(more, end))
		}
	}
	return all
}

// aroundInline is a message whose canonical form is by so many octets larger than what stands in a journal itself (inlineOctets
// of package maildrop), with dots at its end.
func aroundInline(more int, end string) sent {
	size := 128*kib + more - len(subject) - len(end)
	if !strings.HasSuffix(end, "\r\n") {
		size -= len("\r\n") // which the store adds
	}
	return sent{fmt.Sprintf("%+d octets and %q", more, end), subject + strings.Repeat("z", size) + end}
}
