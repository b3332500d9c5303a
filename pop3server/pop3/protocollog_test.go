package pop3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/popservice/popservice/pop3server/config"
)

// entry is a line of the log.
type entry struct {
	Log, Level, Msg, Session, Remote, Mailbox, Command, Reply string
	Octets                                                    int64
	Milliseconds                                              *float64
}

// logProtocol lets the server log the protocol, as JSON, beside what the level lets through.
func (f *fixture) logProtocol(level slog.Level) {
	log := slog.New(slog.NewJSONHandler(&f.log, &slog.HandlerOptions{Level: level}))
	f.options.Log, f.protocol = log, newProtocolLogger(log)
	f.set(func(s *Settings) { s.ProtocolLog = true })
}

// entries gives the lines of the log: those of the protocol log, and the others.
func (f *fixture) entries() (protocol, others []entry) {
	f.t.Helper()
	for line := range strings.Lines(f.log.String()) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			f.t.Fatalf("%q: %v", line, err)
		}
		if e.Log == "protocol" {
			protocol = append(protocol, e)
		} else {
			others = append(others, e)
		}
	}
	return protocol, others
}

// expectProtocol checks commands, replies and their octets, once a session has ended.
func (f *fixture) expectProtocol(want ...string) []entry {
	f.t.Helper()
	eventually(f.t, "end of the session", func() bool { return f.Sessions() == 0 })
	protocol, _ := f.entries()
	var got []string
	for _, e := range protocol {
		got = append(got, fmt.Sprintf("%s > %s (%d)", e.Command, e.Reply, e.Octets))
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		f.t.Errorf("the protocol log has\n%s\nwant\n%s", g, w)
	}
	return protocol
}

// Each command has a line with its reply's status line, whatever the level of the log; mail has none.
func TestProtocolLog(t *testing.T) {
	f := newFixture(t)
	f.logProtocol(slog.LevelError)
	const mail = "Subject: private\r\n\r\nprivate\r\n"
	f.deliver(alice, mail)
	f.set(func(s *Settings) { s.Size = config.ExactSize })
	c := f.connect()
	c.login()
	c.script(`C: STAT
		S: +OK 1 …
		C: LIST
		S: +OK 1 …
		S: 1 …
		S: .
		C: retr	1
		S: +OK
		S: Subject: private
		S:
		S: private
		S: .
		C: TOP 1 0
		S: +OK
		S: Subject: private
		S:
		S: .
		C: RETR 2
		S: -ERR There is no such message.
		C: UIDL 1
		S: +OK 1 1
		C: QUIT
		S: +OK POP3 server signing off.`)
	c.expectClosed()
	list := fmt.Sprintf("+OK 1 %d", len(mail))
	entries := f.expectProtocol(
		"USER alice@example.com > +OK (5)", "PASS *** > +OK User successfully logged on. (34)",
		fmt.Sprintf("STAT > %s (%d)", list, len(list)+2), fmt.Sprintf("LIST > %s (%d)", list, len(list+"\r\n1 29\r\n.\r\n")),
		fmt.Sprintf("RETR 1 > +OK (%d)", len("+OK\r\n"+mail+".\r\n")), "TOP 1 0 > +OK (28)",
		"RETR 2 > -ERR There is no such message. (32)", "UIDL 1 > +OK 1 1 (9)", "QUIT > +OK POP3 server signing off. (30)")
	for i, e := range entries {
		mailbox := recordOf(alice).ID
		if i < 1 {
			mailbox = ""
		}
		if e.Session != entries[0].Session || len(e.Session) != 8 || e.Remote != "127.0.0.1" || e.Mailbox != mailbox ||
			e.Milliseconds == nil || e.Level != "INFO" || e.Msg != "command" {
			t.Errorf("%+v", e)
		}
	}
	if _, others := f.entries(); len(others) > 0 {
		t.Errorf("at level Error the log has %+v", others)
	}
}

// The line at a session's end names the session too, and each session is another one.
func TestSessionsInTheLog(t *testing.T) {
	f := newFixture(t)
	f.logProtocol(slog.LevelInfo)
	for range 2 {
		c := f.connect()
		c.script("C: QUIT\nS: +OK…")
		c.expectClosed()
		eventually(t, "end of the session", func() bool { return f.Sessions() == 0 })
	}
	protocol, others := f.entries()
	if len(protocol) != 2 || len(others) != 2 {
		t.Fatal(f.log.String())
	}
	first, second := others[0].Session, others[1].Session
	if first == second || protocol[0].Session != first || protocol[1].Session != second {
		t.Error(f.log.String())
	}
}

// What the server says unasked has no command. The greeting is no reply, and has no line.
func TestProtocolLogOfWhatIsSaidUnasked(t *testing.T) {
	f := newFixture(t)
	f.logProtocol(slog.LevelError)
	f.set(func(s *Settings) { s.Timeouts.PreAuthenticatedSeconds = 1 })
	f.connect().expect("-ERR Connection is closed. Idle timeout.")
	f.expectProtocol(" > -ERR Connection is closed. Idle timeout. (42)")
}

// The setting of the moment holds for new connections.
func TestProtocolLogIsLive(t *testing.T) {
	f := newFixture(t)
	f.logProtocol(slog.LevelError)
	logged := f.connect()
	f.set(func(s *Settings) { s.ProtocolLog = false })
	f.connect().script("C: QUIT\nS: +OK…")
	logged.script("C: QUIT\nS: +OK…")
	f.expectProtocol("QUIT > +OK POP3 server signing off. (30)")
}

// A SASL exchange is logged line by line, without what is in it.
func TestProtocolLogOfAnExchange(t *testing.T) {
	f := newFixture(t)
	f.logProtocol(slog.LevelError)
	c := f.connect()
	c.script("C: auth plain\nS: + …\nC: *\nS: -ERR The AUTH…\nC: AUTH PLAIN\nS: + …")
	c.script("C: " + plainOf(alice, "secret") + "\nS: +OK User…\nC: QUIT\nS: +OK…")
	f.expectProtocol(
		"AUTH PLAIN > +  (4)", "*** > -ERR The AUTH protocol exchange was canceled by the client. (61)",
		"AUTH PLAIN > +  (4)", "*** > +OK User successfully authenticated. (38)",
		"QUIT > +OK POP3 server signing off. (30)")
}

// A client that uses what it is told to keep in every place where it does not belong, under TLS and without: none of it
// is in the log at any level.
func TestNoSecretInTheProtocolLog(t *testing.T) {
	const secret = "hunter2-Xyzzy"
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		f := newFixture(t)
		f.useTLS()
		f.logProtocol(level)
		f.options.Login = passwords{alice: secret}.begin
		f.deliver(alice, "Subject: "+secret+"\r\n\r\n"+secret+"\r\n")
		f.set(func(s *Settings) { s.Limits.MaxFailedLogins, s.Limits.MaxBadCommands = 1000, 1000 })
		c := f.connect()
		c.misplace(secret)
		c.script("C: STLS\nS: +OK Begin…")
		c.startTLS(f)
		c.misplace(secret)
		c.script("C: USER alice@example.com\nS: +OK\nC: PASS " + secret + "\nS: +OK…")
		c.misplace(secret)
		c.script("C: RETR 1\nS: +OK\nS: Subject:…\nS:\nS: " + secret + "\nS: .\nC: " + strings.Repeat(secret, 100))
		c.expect("-ERR Protocol error. Connection is closed. 10")
		c = f.connect() // behind STLS, and in a response that is too long
		c.say("STLS\r\nPASS " + secret + "\r\n")
		c.expect("-ERR Protocol error. Connection is closed.")
		c = f.connect()
		c.script("C: AUTH PLAIN\nS: + …\nC: " + strings.Repeat(secret, 1000) + "\nS: -ERR Protocol error. Connection is closed. 10")
		_ = c.Close()
		eventually(t, "end of the sessions", func() bool { return f.Sessions() == 0 })
		protocol, _ := f.entries()
		if len(protocol) < 60 {
			t.Errorf("the protocol log has %d lines only", len(protocol))
		}
		f.expectNowhere(secret)
	}
}

// misplace sends a secret in wrong places, and answers what it is asked with it.
func (c *client) misplace(secret string) {
	c.t.Helper()
	for _, command := range []string{
		"PASS " + secret, "pass " + secret, "Pass\t " + secret, " PASS " + secret, "PASS" + secret, "PAS " + secret, secret,
		"PASS\x00" + secret, secret + " " + secret, "USER " + alice + " " + secret, "USER  bob\t" + secret + "\t" + secret,
		"AUTH " + secret, "AUTH PLAIN " + secret, "AUTH PLAIN " + plainOf(alice, secret) + "!", "AUTH " + plainOf(alice, secret),
		"AUTH NTLM " + secret, "auth login " + secret, "APOP " + alice + " " + secret, "XTND " + secret, "RETR " + secret,
		"NOOP " + secret, "QUIT " + secret, "STLS " + secret, "CAPA " + secret, "TOP 1 " + secret, "LIST 1 " + secret,
		"USER " + alice, "USER", "PASS " + secret + "!",
	} {
		c.say(command + "\r\n")
		_ = c.line()
	}
	c.say("AUTH PLAIN\r\n")
	if c.line() == "+ " {
		c.say(secret + "\r\n")
		_ = c.line()
	}
}

// expectNowhere wants a text in no form in the log.
func (f *fixture) expectNowhere(secret string) {
	f.t.Helper()
	log := strings.ToLower(f.log.String())
	for _, form := range []string{secret, secret[:7], plainOf(alice, secret)} {
		if i := strings.Index(log, strings.ToLower(form)); i >= 0 {
			f.t.Errorf("the log has %q: …%s…", form, log[max(0, i-200):min(len(log), i+100)])
		}
	}
}

func TestLoggedCommands(t *testing.T) {
	long := strings.Repeat("x", 300)
	for line, want := range map[string]string{
		"user alice":                       "USER alice",
		"USER":                             "USER",
		"USER alice secret":                "USER alice ***",
		"USER \xff\u0080é\u202e":           `USER \xff\u0080é\u202e`,
		"USER " + long:                     "USER " + long[:128] + "…",
		"pass a":                           "PASS ***",
		"PASS":                             "PASS",
		"PASS 123456":                      "PASS ***",
		"AUTH":                             "AUTH",
		"AUTH plain":                       "AUTH PLAIN",
		"AUTH PLAIN =":                     "AUTH PLAIN ***",
		"AUTH 123456":                      "AUTH ***",
		"AUTH scram-sha-256 x":             "AUTH SCRAM-SHA-256 ***",
		"top 1\t20":                        `TOP 1\t20`,
		"RETR -1":                          "RETR ***",
		"RETR " + strings.Repeat("1", 200): "RETR " + strings.Repeat("1", 128) + "…",
		"NOOP x":                           "NOOP ***",
		"APOP alice x":                     "APOP",
		"GET / HTTP/1.1":                   "GET",
		"PASS1 x":                          "?",
		"letmein":                          "?",
		"123":                              "?",
		"é":                                "?",
		"":                                 "?",
		" PASS x":                          "?",
		"USER\x00x":                        "?",
	} {
		c, _ := parseCommand([]byte(line + "\r\n"))
		if got := loggedCommand(c); got != want {
			t.Errorf("%q is logged as %q, want %q", line, got, want)
		}
	}
}

func TestLoggedReplies(t *testing.T) {
	for status, want := range map[string]string{
		"+OK ready\r": "+OK ready", "+ \r": "+ ", "+ dG9rZW4=\r": "+ ***", "-ERR no\r": "-ERR no", "": "",
	} {
		if got := loggedReply([]byte(status)); got != want {
			t.Errorf("%q is logged as %q, want %q", status, got, want)
		}
	}
}

// Nothing is kept of a reply beyond its status line, however it is written.
func TestProtocolLogIsBounded(t *testing.T) {
	p := &protocolLog{}
	for _, part := range []string{"+OK", " 1", "\r", "\nmail", "mail\r\n"} {
		p.sent([]byte(part))
	}
	if string(p.status) != "+OK 1\r" || p.octets != 17 {
		t.Errorf("%q, %d octets", p.status, p.octets)
	}
	p = &protocolLog{}
	for range 3 {
		p.sent(bytes.Repeat([]byte("x"), 300))
	}
	if len(p.status) != maxStatusOctets {
		t.Errorf("%d octets are kept", len(p.status))
	}
}

// Whatever a line holds, what is logged of it is short, printable, and has no more of it than a right command would.
func FuzzLoggedCommand(f *testing.F) {
	for _, line := range []string{
		"USER alice x", "PASS x", "AUTH PLAIN AGEAYg==", "AUTH x", "TOP 1 2", "x", "\xff\x80", "USER \u202e",
	} {
		f.Add([]byte(line))
	}
	shape := regexp.MustCompile(`^(\?|[A-Z]{3,4}( \*\*\*)?|USER \S+( \*\*\*)?|AUTH [A-Z0-9_-]+( \*\*\*)?|[A-Z]{3,4} [0-9 \\t…]+)$`)
	f.Fuzz(func(t *testing.T, line []byte) {
		c, _ := parseCommand(bytes.Clone(line))
		got := loggedCommand(c)
		if !shape.MatchString(got) || len(got) > 16*maxWordOctets || !utf8.ValidString(got) ||
			strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) }) {
			t.Fatalf("%q is logged as %q", line, got)
		}
	})
}

// The log costs nothing where it is off.
func TestNoProtocolLogByDefault(t *testing.T) {
	f := newFixture(t)
	c := f.dial(config.Plaintext)
	c.script("S: +OK ready\nC: NOOP\nS: -ERR…\nC: QUIT\nS: +OK…")
	f.expectReason("quit")
	if log := f.log.String(); strings.Contains(log, "protocol") || !strings.Contains(log, "session=") {
		t.Error(log)
	}
}

// A mechanism that there is, and that the log would not name, could not be told from a password in the wrong place.
func TestEachMechanismIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	for _, mechanism := range config.Mechanisms() {
		if mechanism == config.MechanismUser { // a command
			continue
		}
		c, err := parseCommand([]byte("auth " + strings.ToLower(string(mechanism)) + " c2VjcmV0"))
		if got, want := loggedCommand(c), "AUTH "+string(mechanism)+" ***"; got != want || err != nil {
			t.Errorf("logged %q (%v), want %q", got, err, want)
		}
	}
}
