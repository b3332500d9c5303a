package lmtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// begin says a message for alice until its text.
func (c *client) begin() {
	c.t.Helper()
	c.script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
		C: DATA
		S: 354`)
}

// SMTP smuggling: only CRLF "." CRLF ends the text. Each of these is the end for some server.
func TestOnlyDotBetweenCRLFEndsTheText(t *testing.T) {
	const evil = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r", "\r.\r\n", "\r.\n", "\n.\r", "\n\n.\r\n", "\n\r.\r\n",
		"\r\n.\n\r\n", "\r\n.\r\r\n",
		"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n..\r\n", "\r\n. \r\n", "\r\n .\r\n", "\r\n\r.\r\n", "\n.\r\n.\n",
	} {
		f := start(t, nil)
		c := f.greet(t)
		c.begin()
		c.say("A: b\r\n\r\nx" + end + evil + "y\r\n.\r\nNOOP\r\n")
		c.expect("250 2.0.0 <alice@example.com>", "250 2.0.0 Ok")
		if got := f.messages(t, alice); len(got) != 1 || !strings.HasSuffix(got[0], evil+"y\r\n") || len(f.messages(t, bob)) != 0 {
			t.Errorf("%q: %q", end, got)
		}
	}
}

// A text may end with a CR too many; then the line before the dot has it, and the dot is still one between two CRLF.
func TestTextThatEndsInTwoCRs(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.begin()
	c.say("A: b\r\n\r\nx\r\r\n.\r\nNOOP\r\n")
	c.expect("250 2.0.0 <alice@example.com>", "250 2.0.0 Ok")
	if got := f.messages(t, alice)[0]; !strings.HasSuffix(got, "\r\nA: b\r\n\r\nx\r\n") {
		t.Errorf("text %q", got)
	}
}

func TestDotBeforeCR(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.begin()
	c.say("A: b\r\n\r\nx\r\n.\ry\r\n.\r\n")
	c.expect("250 2.0.0 <alice@example.com>")
	if got := f.messages(t, alice)[0]; !strings.HasSuffix(got, "x\r\n\r\ny\r\n") { // the store makes a line end of a CR
		t.Errorf("text %q", got)
	}
}

func TestTextReader(t *testing.T) {
	long := strings.Repeat("z", readOctets)
	for _, test := range []struct{ in, text, rest string }{
		{".\r\nQUIT\r\n", "", "QUIT\r\n"},
		{"\r\n.\r\n", "\r\n", ""},
		{"..\r\n.x\r\n...\r\n.\r\n", ".\r\nx\r\n..\r\n", ""},
		{"a\r\r\n.\r\n", "a\r\r\n", ""},
		{".\rb\r\n.\r\r\n.\r\n", "\rb\r\n\r\r\n", ""},
		{"a\n..b\r..c\r\n.\r\n", "a\n..b\r..c\r\n", ""},
		{long + "\r\n.\r\n", long + "\r\n", ""},
		{long[1:] + "\r\n.\r\n", long[1:] + "\r\n", ""}, // the buffer ends between CR and LF
		{long[2:] + "\r\n.\r\n", long[2:] + "\r\n", ""},
		{long + "\n.\r\n\r\n.\r\n", long + "\n.\r\n\r\n", ""},
		{long[1:] + "\rx\n.\r\n\r\n.\r\n", long[1:] + "\rx\n.\r\n\r\n", ""},
		{"." + long + ".\r\n.\r\n", long + ".\r\n", ""},
	} {
		for _, source := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
			in := bufio.NewReaderSize(source, readOctets)
			text, err := io.ReadAll(&textReader{in: in})
			rest, _ := io.ReadAll(in)
			if err != nil || string(text) != test.text || string(rest) != test.rest {
				t.Errorf("%.40q: %.40q, %v, then %q", test.in, text, err, rest)
			}
		}
	}
}

// Nobody may take the end of the connection for the end of the text, not even where the text's last octet has come.
func TestTextWithoutEnd(t *testing.T) {
	for _, in := range []string{"", "a", "a\r\n", "a\r\n.", "a\r\n.\r"} {
		_, err := io.ReadAll(&textReader{in: bufio.NewReader(strings.NewReader(in))})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func FuzzTextReader(f *testing.F) {
	for _, seed := range []string{".\r\n", "a\r\r\n.\r\n", "\r\n..\r\n.\r\nx", "\n.\n\r\n.\r\n", "a\r\n.\rb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		// By the letter of RFC 5321 §4.5.2: what is between two CRLF is a line.
		text, rest, ended := strings.Cut("\r\n"+in, "\r\n.\r\n")
		text = strings.TrimPrefix(strings.ReplaceAll(text+"\r\n", "\r\n.", "\r\n"), "\r\n")
		reader := bufio.NewReaderSize(strings.NewReader(in), 16)
		got, err := io.ReadAll(&textReader{in: reader})
		left, _ := io.ReadAll(reader)
		switch {
		case !ended && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("%q has no end: %v", in, err)
		case ended && (err != nil || string(got) != text || !bytes.Equal(left, []byte(rest))):
			t.Errorf("%q: %q, %v, then %q; want %q, then %q", in, got, err, left, text, rest)
		}
	})
}

// However long a line is, it gets through: only the message's size is bounded.
func TestLongLines(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.MaxMessageOctets = 4 << 20 })
	for _, octets := range []int{5000, 3 << 20} {
		line := "A: b\r\n\r\n" + strings.Repeat("y", octets) + "\r\n"
		c := f.greet(t)
		c.begin()
		c.say(line + ".\r\n")
		c.expect("250 2.0.0 <alice@example.com>")
		if got := f.messages(t, alice); !strings.HasSuffix(got[len(got)-1], line) {
			t.Errorf("a line of %d octets has changed", octets)
		}
	}
}

// A text that is too large is read to its end, so that the connection can go on.
func TestEndlessLineIsTooLarge(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.begin()
	go func() { _, _ = io.WriteString(c, strings.Repeat("z", 1<<20)+"\r\n.\r\nNOOP\r\n") }()
	c.expect("552 5.3.4 <alice@example.com>", "250 2.0.0")
	if n := len(f.messages(t, alice)); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func TestCommandLineLength(t *testing.T) {
	c := start(t, nil).greet(t)
	longest := "NOOP " + strings.Repeat("x", maxCommandOctets-len("NOOP \r\n")) + "\r\n"
	c.say(longest + strings.Replace(longest, " ", " x", 1) + "NOOP\r\n" + strings.Repeat("x", 10000) + "\r\nNOOP\r\n")
	c.expect("250 2.0.0", "500 5.5.2", "250 2.0.0", "500 5.5.2", "250 2.0.0")
	go func() { _, _ = io.WriteString(c, strings.Repeat("x", 1<<20)) }()
	c.expect("500 5.5.2")
	c.expectEnd()
}

// A command that ends in LF alone is not done: another server may have taken it for text.
func TestCommandLinesEndInCRLF(t *testing.T) {
	f := start(t, nil)
	c := f.greet(t)
	c.say("MAIL FROM:<>\nRCPT TO:<alice@example.com>\r\nNOOP\rQUIT\r\nNOOP \xff\r\nNOOP\x00\r\n")
	c.expect("500 5.5.2 A command line ends in CRLF", "503 5.5.1", "500 5.5.2", "500 5.5.2", "500 5.5.2")
}
