package pop3

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/popservice/popservice/pop3server/config"
)

const (
	wrongState     = "-ERR Command is not valid in this state."
	wrongArguments = "-ERR Command arguments are not valid."
	unknown        = "-ERR Command is not recognized."
	noMessage      = "-ERR There is no such message."
)

// RFC 1939 §3; [MS-STANXPOP3] C0002, C0003: a command in the wrong state is refused and changes nothing.
func TestCommandsInEachState(t *testing.T) {
	both := map[string]bool{"CAPA": true, "QUIT": true, "LANG": true}
	before := map[string]bool{"USER": true, "PASS": true, "AUTH": true, "STLS": true, "UTF8": true}
	f := newFixture(t)
	f.extend(config.CapabilityUTF8, config.CapabilityLang)
	f.set(func(s *Settings) { s.Limits.MaxBadCommands = 100 })
	f.deliver(alice, "A: b\r\n\r\n")
	out, in := f.connect(), f.login()
	for name := range commands {
		if both[name] {
			continue
		}
		wrong := out
		if before[name] {
			wrong = in
		}
		for _, arguments := range []string{"", " 1", " 1 1", " x y z"} {
			wrong.say(name + arguments + "\r\n")
			wrong.expect(wrongState)
		}
	}
	in.script("C: STAT\nS: +OK 1 112")
	out.login()
}

// [MS-STANXPOP3] V0012: there is no APOP; and what RFC 1939 and RFC 2449 do not know is not known here.
func TestUnknownCommands(t *testing.T) {
	f := newFixture(t)
	for _, c := range []*client{f.connect(), f.login()} {
		for _, command := range []string{
			"", " ", " STAT", "APOP alice 0123456789abcdef", "XTND", "LAST", "STATX", "STA", "STAT\t \vx", "é", "GET / HTTP/1.1",
			"UTF8", "LANG", "LANG en", // known only where the settings have them
		} {
			c.say(command + "\r\n")
			if got := c.line(); got != unknown && got != "-ERR Command has a control character." {
				t.Errorf("%q gives %q", command, got)
			}
		}
		c.script("C: QUIT\nS: +OK POP3 server signing off.")
		c.expectClosed()
	}
}

func TestArguments(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxBadCommands = 100 })
	f.deliver(alice, "A: b\r\n\r\nbody\r\n")
	c := f.login()
	for _, test := range []struct{ command, want string }{
		{"STAT 1", wrongArguments}, {"NOOP x", wrongArguments}, {"RSET 1", wrongArguments}, {"CAPA x", wrongArguments},
		{"QUIT 1", wrongArguments},
		{"RETR", wrongArguments}, {"DELE", wrongArguments}, {"TOP", wrongArguments}, {"TOP 1", wrongArguments},
		{"RETR 1 1", wrongArguments}, {"DELE 1 1", wrongArguments}, {"LIST 1 1", wrongArguments}, {"UIDL 1 1", wrongArguments},
		{"TOP 1 1 1", wrongArguments}, {"TOP 1 -1", wrongArguments}, {"TOP 1 x", wrongArguments}, {"TOP x 1", wrongArguments},
		{"RETR 0", wrongArguments}, {"RETR -1", wrongArguments}, {"RETR +1", wrongArguments}, {"RETR 1x", wrongArguments},
		{"RETR 1.0", wrongArguments}, {"RETR 0x1", wrongArguments}, {"RETR ١", wrongArguments}, {"DELE 0", wrongArguments},
		{"RETR 2", noMessage}, {"LIST 2", noMessage}, {"UIDL 4294967295", noMessage}, {"DELE 2147483648", noMessage},
		{"TOP 2 0", noMessage},
		{"RETR 4294967296", wrongArguments}, {"RETR 4294967297", wrongArguments}, {"LIST 18446744073709551617", wrongArguments},
		{"DELE 99999999999999999999999999999999999999999", wrongArguments},
		{"LIST 1", "+OK 1 112"}, {"LIST 0000000001", "+OK 1 112"}, {"list 1 ", "+OK 1 112"}, {"UIDL 1", "+OK 1 1"},
		{"LIST\t1", "+OK 1 112"}, {"LIST \t  1\t ", "+OK 1 112"}, {"lIsT 1", "+OK 1 112"}, {"STAT ", "+OK 1 112"},
		{"NOOP", "+OK"}, {"RSET", "+OK"}, {"DELE\t1", "+OK"}, {"STAT", "+OK 0 0"},
	} {
		c.say(test.command + "\r\n")
		if got := c.line(); got != test.want {
			t.Errorf("%q gives %q, want %q", test.command, got, test.want)
		}
	}
}

// RFC 1939 §3: a line ends in CRLF. A bare LF is taken for it, since some clients send that, and told in the log; a CR that
// ends nothing, NUL and other control characters are not.
func TestLineEndsAndControlCharacters(t *testing.T) {
	f := newFixture(t)
	c := f.login()
	c.say("NOOP\n")
	c.expect("+OK")
	for _, line := range []string{
		"NOOP\x00", "\x00", "NO\x00OP", "NOOP\r", "STAT\rNOOP", "NOOP\x7f", "NOOP\x1b[A", "LIST \x011", "NOOP\v",
	} {
		c.say(line + "\r\n")
		if got := c.line(); got != "-ERR Command has a control character." {
			t.Errorf("%q gives %q", line, got)
		}
	}
	c.script("C: QUIT\nS: +OK POP3 server signing off.")
	f.expectReason("quit")
	if !strings.Contains(f.log.String(), "bareLF=true") {
		t.Error("the log does not tell of the bare LF")
	}
}

// [MS-STANXPOP3] C0001, E0006: the limit counts CRLF; a command beyond it closes the connection, without waiting for its end.
func TestCommandTooLong(t *testing.T) {
	for _, limit := range []int{40, 512, 1024} {
		f := newFixture(t)
		f.set(func(s *Settings) { s.Limits.MaxCommandOctets = limit })
		c := f.login()
		c.say("NOOP" + strings.Repeat(" ", limit-6) + "\r\n")
		c.expect("+OK")
		c.say("NOOP" + strings.Repeat(" ", limit-4)) // and no line end
		c.expect("-ERR Protocol error. Connection is closed. 10")
		c.expectClosed()
		f.expectReason("command too long")
	}
}

// The same when the line does end, one octet too late: nothing behind it is carried out.
func TestCommandTooLongByOne(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\n\r\n")
	c := f.login()
	c.say("DELE 1\r\nNOOP" + strings.Repeat(" ", 512-5) + "\r\nQUIT\r\n")
	c.expect("+OK", "-ERR Protocol error. Connection is closed. 10")
	c.expectClosed()
	f.expectReason("command too long")
	f.expectMessages(alice, "1")
}

// RFC 1939 §3: status lines have at most 512 octets; the longest banner makes exactly that.
func TestBanner(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Banner = strings.Repeat("x", 506) })
	c := f.dial(config.Plaintext)
	if line := c.line(); len(line)+2 != 512 {
		t.Errorf("the greeting has %d octets, want 512", len(line)+2)
	}
}

// [MS-STANXPOP3] C0001: with its response code too, no reply is longer. Exchange's texts have none unless the settings say so.
func TestRefusalsAreShort(t *testing.T) {
	all := Settings{Capabilities: config.Capabilities()}
	for _, r := range []*refusal{
		refuseState, refuseTooLong, refuseMechanism, refuseCredential, refuseCanceled, refuseUnknown, refuseArguments,
		refuseControl, refuseBase64, refuseNumber, refuseDeleted, refuseVanished, refuseDamaged, refuseUnreadable, refuseUTF8,
		refuseForeign, refuseMailbox, refuseLoginDelay, refuseBusy, refuseCertificate, refuseLanguage, refuseInjection,
		refuseFailedLogins, refuseBadCommands, refuseConnections, refuseMailboxConnections, refuseIdle, refuseShutdown,
		refuseUpdate,
	} {
		if line := r.line(all); len(line) > 512 || strings.ContainsAny(r.text, "\r\n[<") {
			t.Errorf("%q is no status line", line)
		}
		if line := r.line(Settings{}); line != "-ERR "+r.text+"\r\n" {
			t.Errorf("%q has more than its text", line)
		}
	}
}

// A client that sends nothing but mistakes is let go; one good command makes up for those before it.
func TestBadCommandsInARow(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxBadCommands = 3 })
	c := f.login()
	c.script(`C: X
		S: -ERR Command is not recognized.
		C: RETR
		S: -ERR Command arguments are not valid.
		C: NOOP
		S: +OK
		C: RETR 7
		S: -ERR There is no such message.
		C: X
		S: -ERR Command is not recognized.
		C: X
		S: -ERR Command is not recognized.
		C: X
		S: -ERR Too many bad commands. Connection is closed.`)
	c.expectClosed()
	f.expectReason("too many bad commands")
}

// The first four bad commands in a row are answered at once, each further one later, up to two seconds. One that is merely in
// vain is none, and a good one makes up for those before it.
func TestBadCommandsAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.badStep = badStep
		f.set(func(s *Settings) { s.Limits.MaxBadCommands = 40 })
		c := f.pipe(config.StartTLS)
		c.expect("+OK ready")
		c.login()
		x := "C: X\nS: " + unknown
		for i := range 39 {
			start := time.Now()
			c.script(x)
			f.expectElapsed(start, min(max(0, time.Duration(i-3)*100*time.Millisecond), 2*time.Second))
		}
		start := time.Now()
		c.script("C: RETR 1\nS: " + noMessage + "\nC: NOOP\nS: +OK\n" + strings.Repeat(x+"\n", 4))
		f.expectElapsed(start, 0)
		c.script(strings.Repeat(x+"\n", 35))
		start = time.Now()
		c.script("C: X\nS: -ERR Too many bad commands. Connection is closed.")
		f.expectElapsed(start, 0)
		c.expectClosed()
	})
}

func TestParseCount(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "007": 7, "9223372036854775807": 1<<63 - 1, "9223372036854775808": 1<<63 - 1,
		"99999999999999999999999999": 1<<63 - 1, "": -1, "-1": -1, "1.": -1, "1e3": -1,
	} {
		got, ok := parseCount([]byte(text))
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("parseCount(%q) = %d, %v; want %d", text, got, ok, want)
		}
	}
}

// RFC 2449 §6.6 PIPELINING: many commands at once are answered with one write.
func TestPipeliningFlushesOnce(t *testing.T) {
	f := newFixture(t)
	ours, writes := f.countedPipe()
	ours.expect("+OK ready")
	ours.login()
	before := writes.count()
	ours.say(strings.Repeat("NOOP\r\n", 50) + "STAT\r\n")
	for range 50 {
		ours.expect("+OK")
	}
	ours.expect("+OK 0 0")
	if n := writes.count() - before; n > 2 { // the buffer for lines takes 85 of these at a time
		t.Errorf("51 replies took %d writes", n)
	}
	ours.script("C: QUIT\nS: +OK POP3 server signing off.")
}

// Commands that come in pieces, and several in one piece, are the same conversation.
func TestCommandsInPieces(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\n\r\nbody\r\n")
	c := f.pipe(config.StartTLS)
	c.expect("+OK ready")
	for _, octet := range "USER " + alice + "\r\nPASS secret\r\nSTAT\r\nLIST 1\r\nQUIT\r\n" {
		c.say(string(octet))
		if octet == '\n' {
			c.expect("+OK…")
		}
	}
	c.expectClosed()
}
