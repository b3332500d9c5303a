package pop3

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
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
		s.options.Login = passwords{}.begin
		if extended {
			s.extend(config.Capabilities()...)
		}
		s.set(func(set *Settings) { set.Timeouts.PreAuthenticatedSeconds = 2 })
		replies := s.converse(string(text)+"\r\n*\r\nQUIT\r\n", false)
		if bytes.Contains(replies, []byte("success")) {
			t.Fatalf("%q gives %q", text, replies)
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

// converse lets a client send a text over a pipe, and leave then if it does not wait for the server to close. It gives all that
// the server says until the session's end. What a session takes of memory is bounded by what is sent.
func (f *fixture) converse(text string, leaves bool) []byte {
	f.t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.serve(theirs, entrance{security: config.StartTLS})
	}()
	go func() {
		_, _ = ours.Write([]byte(text))
		if leaves {
			_ = ours.Close()
		}
	}()
	replies, _ := io.ReadAll(ours)
	_ = ours.Close()
	<-ended
	runtime.ReadMemStats(&after)
	if used, most := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+64*len(text)+8*len(replies)); used > most {
		f.t.Errorf("%d octets of memory for %q, at most %d are expected", used, text, most)
	}
	if log := f.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "reason=idle") {
		f.t.Fatalf("%q gives %q\n%s", text, replies, log)
	}
	return replies
}

// newFuzzed makes a server on which nobody is waited for long, with a maildrop of three messages.
func newFuzzed(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.set(func(s *Settings) { s.Timeouts.PreAuthenticatedSeconds, s.Timeouts.AuthenticatedSeconds = 2, 2 })
	f.deliver(alice, "A: 1\r\n\r\none\r\n", "A: 2\r\n\r\n.\r\n..two\r\n", "A: 3\r\n\r\n"+strings.Repeat("three\r\n", 3000))
	return f
}

const login = "USER " + alice + "\r\nPASS secret\r\n"

// deleLine and quitLine are commands that could be carried out.
var (
	deleLine = regexp.MustCompile(`(?im)^dele[ \t]+0*([1-3])[ \t]*\r?$`)
	quitLine = regexp.MustCompile(`(?im)^quit[ \t]*\r?$`)
)

// Whatever a user sends in the TRANSACTION state, the session ends, and no message goes that DELE has not named; none at all
// without QUIT ([MS-STANXPOP3] V0006).
func FuzzSessionOfAUser(f *testing.F) {
	for _, text := range []string{
		"STAT\r\nLIST\r\nUIDL\r\nLIST 2\r\nUIDL 3\r\n", "RETR 1\r\nRETR 3\r\nTOP 2 1\r\nTOP 3 99999999999999999999\r\n",
		"DELE 1\r\nDELE 1\r\nRSET\r\nDELE 2\r\n", "DELE 3\r\nRETR 3\r\nSTAT\r\n", "NOOP\r\nCAPA\r\nSTLS\r\nAUTH\r\nUTF8\r\nLANG\r\n",
		"dele\t2\t\nlist 0\nlist -1\nlist +1\nlist 4294967297\n", "RETR 1 2\r\nTOP 1\r\nTOP 1 -1\r\n\x00\r\n", "DELE 1\r\nQUIT",
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, quit bool) {
		s := newFuzzed(t)
		end := "\r\nNOOP x" // within a line
		if quit {
			end = "\r\nQUIT\r\n"
		}
		sent := login + string(text) + end
		replies := s.converse(sent, !quit)
		left := s.uidsOf(alice)
		named := deleLine.FindAllSubmatch(text, -1)
		for _, uid := range []string{"1", "2", "3"} {
			isNamed := slices.ContainsFunc(named, func(m [][]byte) bool { return string(m[1]) == uid })
			if !slices.Contains(left, uid) && (!isNamed || !quitLine.MatchString(sent)) {
				t.Fatalf("%q has removed message %s: %q", text, uid, replies)
			}
		}
	})
}

// However messages are marked, by several at one time and with others that remove them too, QUIT removes those that are marked
// in the end, and a session that does not come to QUIT removes nothing (RFC 1939 §6; [MS-STANXPOP3] V0006).
func FuzzUpdate(f *testing.F) {
	for _, steps := range [][]byte{{1, 2, 3}, {1, 0, 2}, {0x11, 2}, {3, 3, 0, 3}, {0x13, 0, 1}, {}} {
		f.Add(steps, true)
		f.Add(steps, false)
	}
	f.Fuzz(func(t *testing.T, steps []byte, quit bool) {
		s := newFuzzed(t)
		marked, taken, text := markings(steps)
		other, err := s.store.Store.Open(context.Background(), boxOf(alice))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		s.store.opened = func() { // behind the session's snapshot
			_ = other.Delete(context.Background(), slices.DeleteFunc(slices.Clone(other.Messages()), func(m maildrop.Message) bool {
				return !taken[m.UID()]
			}))
		}
		if quit {
			text += "QUIT\r\n"
		}
		s.converse(login+text, !quit)
		var want []string
		for _, uid := range []string{"1", "2", "3"} {
			if !taken[uid] && (!quit || !marked[uid]) {
				want = append(want, uid)
			}
		}
		if got := s.uidsOf(alice); !slices.Equal(got, want) {
			t.Fatalf("after %q, of which others have removed %v, there are %v, want %v", text, taken, got, want)
		}
	})
}

// markings makes commands of steps: 0 is RSET, a number DELE; with a higher bit, somebody else removes the message.
func markings(steps []byte) (marked, taken map[string]bool, text string) {
	marked, taken = make(map[string]bool), make(map[string]bool)
	for _, step := range steps {
		number := strconv.Itoa(int(step & 3))
		switch {
		case number == "0":
			text += "RSET\r\n"
			clear(marked)
		case step&0x10 != 0:
			taken[number] = true
		default:
			text += "DELE " + number + "\r\nNOOP\r\n" // a second mark is refused, and no bad command
			marked[number] = true
		}
	}
	return marked, taken, text
}

// Whatever a client answers to AUTH, the exchange ends with one reply, nobody gets in who has not the password, and who has it
// does (RFC 5034 §4).
func FuzzExchange(f *testing.F) {
	right := base64.StdEncoding.EncodeToString([]byte("\x00" + alice + "\x00secret"))
	for _, line := range []string{right, "*", "=", "", right + "=", right[:8], right + " x", "AGEAYg==", "\x00",
		strings.Repeat("A", 4096), strings.Repeat("A", 5000)} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		s := newFuzzed(t)
		replies := string(s.converse("AUTH PLAIN\r\n"+string(line)+"\r\nQUIT\r\n", false))
		isRight := string(bytes.TrimSuffix(line, []byte("\r"))) == right
		_, rest, ok := strings.Cut(replies, "\r\n+ \r\n")
		switch {
		case !ok || strings.Count(rest, "\r\n") > 2:
			t.Fatalf("%q is answered by %q", line, replies)
		case strings.HasPrefix(rest, "+OK User") != (isRight || sameLogin(line)):
			t.Fatalf("%q is answered by %q", line, rest)
		}
	})
}

// sameLogin tells whether a line says the same as the right one: names are compared without regard to case, and the one who
// logs in may say that it acts for itself.
func sameLogin(line []byte) bool {
	text, err := base64.StdEncoding.Strict().DecodeString(string(bytes.TrimSuffix(line, []byte("\r"))))
	parts := strings.Split(string(text), "\x00")
	return err == nil && len(parts) == 3 && strings.EqualFold(parts[1], alice) && parts[2] == "secret" &&
		(parts[0] == "" || strings.EqualFold(parts[0], parts[1]))
}
