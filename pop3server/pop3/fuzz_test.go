package pop3

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
)

// Whatever a line holds, taking it apart loses and invents nothing, and its parts have no separators.
func FuzzParseCommand(f *testing.F) {
	for _, line := range []string{"USER alice\r\n", "PASS  a b \r\n", "top\t1 2\n", "\r\n", "\x00\r\n", "é \xff\r\n", " x\r\n"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		text := trimLineEnd(bytes.Clone(line))
		c, err := parseCommand(bytes.Clone(line))
		if err != nil {
			if !bytes.ContainsFunc(text, isControl) {
				t.Fatalf("%q is refused", line)
			}
			return
		}
		if len(c.keyword)+len(c.argument) > len(text) || !bytes.HasSuffix(text, c.argument) ||
			bytes.ContainsAny(c.keyword, " \tabz") {
			t.Fatalf("%q gives %q and %q", line, c.keyword, c.argument)
		}
		if one, ok := c.argument.one(); ok && bytes.ContainsAny(one, " \t") {
			t.Fatalf("%q has one argument %q", line, one)
		}
		if first, second, ok := c.argument.two(); ok && strings.ContainsAny(string(first)+string(second), " \t") {
			t.Fatalf("%q has the arguments %q and %q", line, first, second)
		}
	})
}

// Whatever a stranger sends, the session ends, each reply is a status line or a line of CAPA, AUTH or LANG, and nobody gets in;
// with all capabilities and with Exchange's alone.
func FuzzSessionOfAStranger(f *testing.F) {
	for _, text := range []string{
		"USER a\r\nPASS b\r\nQUIT\r\n", "CAPA\r\nAUTH\r\nSTLS\r\n", "AUTH PLAIN\r\nAGEAYg==\r\n", "AUTH PLAIN\r\n*\r\nSTAT\r\n",
		"AUTH PLAIN =\r\n", "STLS\r\n\x16\x03\x01\x00\x05hello", strings.Repeat("x", 600), "\x00\r\n\n\r\r\n",
		"UTF8\r\nCAPA\r\nSTLS\r\nUSER \xff\r\nPASS \xff\r\n", "LANG\r\nLANG *\r\nLANG i-default\r\nLANG \xff\r\n",
		"USER busy\r\nPASS x\r\nUTF8 x\r\n",
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, extended bool) {
		s := newFixture(t)
		s.options.Verifier = passwords{}
		if extended {
			s.extend(config.Capabilities()...)
		}
		s.set(func(set *Settings) { set.Timeouts.PreAuthenticatedSeconds = 2 })
		ours, theirs := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.serve(theirs, entrance{security: config.StartTLS})
		}()
		go func() {
			_, _ = ours.Write(text)
			_, _ = ours.Write([]byte("\r\n*\r\nQUIT\r\n"))
		}()
		replies, _ := io.ReadAll(ours)
		_ = ours.Close()
		<-ended
		log := s.log.String()
		if bytes.Contains(replies, []byte("success")) || strings.Contains(log, "panic") || strings.Contains(log, "reason=idle") {
			t.Fatalf("%q gives %q\n%s", text, replies, log)
		}
		for line := range bytes.Lines(replies) {
			if !isReply(line, extended) {
				t.Fatalf("%q gives the line %q", text, line)
			}
		}
	})
}

var (
	replyLine = regexp.MustCompile(`^(\+OK( .*)?|-ERR [^\[].*|\+ .*|\.|TOP|UIDL|SASL PLAIN|USER|PLAIN)\r\n$`)
	// IMPLEMENTATION is not for strangers.
	extendedLine = regexp.MustCompile(`^(-ERR \[(AUTH|SYS/TEMP)\] .*|RESP-CODES|AUTH-RESP-CODE|PIPELINING|EXPIRE NEVER|` +
		`LOGIN-DELAY 0|UTF8 USER|LANG|en English|i-default English)\r\n$`)
)

func isReply(line []byte, extended bool) bool {
	return len(line) <= 512 && (replyLine.Match(line) || extended && extendedLine.Match(line))
}
