package conformance

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// [MS-STANXPOP3] V0001: a negative reply says why, so that a client knows a command that there is not from one that failed.
func TestV0001_NegativeRepliesSayWhy(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	before, after := s.secure(), s.login()
	after.ok("DELE 1")
	for _, command := range []string{"XYZZY", "STAT", "USER", "PASS x", "AUTH XYZZY", "APOP a b"} {
		before.checkReason(command)
	}
	for _, command := range []string{
		"XYZZY", "USER x", "RETR", "RETR x", "RETR 2", "RETR 1", "TOP 1", "LIST 9", "UIDL 9", "DELE 1",
	} {
		after.checkReason(command)
	}
	if unknown, none := after.refused("XYZZY"), after.refused("RETR 2"); unknown == none {
		after.errorf("no command and no message have the same text")
	}
}

func (c *client) checkReason(command string) {
	c.t.Helper()
	if text := c.refused(command); len(strings.Fields(text)) < 2 {
		c.errorf("%q is refused with %q alone", command, text)
	}
}

// timers sets both timers, in seconds.
func timers(before, after int) func(*config.Config) {
	return func(c *config.Config) {
		c.Timeouts.PreAuthenticatedSeconds, c.Timeouts.AuthenticatedSeconds = before, after
	}
}

// told waits for the status line that comes at the end of the connection.
func (c *client) told() string {
	c.t.Helper()
	text := c.status()
	c.closed()
	return text
}

// lasts tells how long a connection lasts of which nothing is heard. Until it begins, a machine that is busy may take a while.
func lasts(connect func() *client) time.Duration {
	start := time.Now()
	connect().told()
	return time.Since(start)
}

// [MS-STANXPOP3] V0002: a timer before login and another one after it. RFC 1939 §3 has one of 10 minutes at least.
func TestV0002_TwoTimers(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the timers", timers(1, 3))
	for name, connect := range map[string]func() *client{"under TLS": s.secure, "in the clear": s.connect} {
		if took := lasts(connect); took < time.Second || took >= 3*time.Second {
			t.Errorf("%s, before login: closed after %v", name, took)
		}
	}
	if took := lasts(s.login); took < 3*time.Second || took > 9*time.Second {
		t.Errorf("after login: closed after %v", took)
	}
}

// [MS-STANXPOP3] V0002: any command begins the time anew, be it a bad one; a part of a line does not.
func TestV0002_AnyCommandBeginsTheTimeAnew(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the timers", timers(3, 3))
	both := []*client{s.login(), s.secure()}
	for range 3 {
		time.Sleep(1100 * time.Millisecond) // three of these are more than the timer has
		for _, c := range both {
			c.refused("XYZZY")
		}
	}
	for _, c := range both {
		c.ok("QUIT")
	}
}

// [MS-STANXPOP3] V0002: what is no command, for its end has not come, does not.
func TestV0002_PartOfALineDoesNotBeginTheTimeAnew(t *testing.T) {
	t.Parallel()
	c := serverWith(t, "the timers", timers(2, 2)).login()
	start := time.Now()
	go func() {
		for range 30 { // until the connection is closed, and further
			time.Sleep(200 * time.Millisecond) // an octet a while is what is tested
			if _, err := c.conn.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	c.status()
	if took := time.Since(start); took > 5*time.Second {
		c.errorf("closed after %v", took)
	}
}

// [MS-STANXPOP3] V0002: 60 and 1,800 seconds by default. A test cannot wait for them, but sees that they are not short.
func TestV0002_TimersByDefault(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]float64{"preAuthenticatedSeconds": 60, "authenticatedSeconds": 1800} {
		if got := defaultOf(t, "timeouts", field); got != want {
			t.Errorf("%s is %v by default", field, got)
		}
	}
	s := served(t)
	before, after := s.secure(), s.login()
	time.Sleep(1500 * time.Millisecond) // more than the least that can be set
	before.capa()
	after.ok("NOOP")
}

// [MS-STANXPOP3] V0003: the client is told that the connection is closed, and nothing is removed. RFC 1939 §3 sends nothing.
func TestV0003_TheClientIsToldOfTheTimeout(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the timers", timers(1, 1))
	s.deliver(hello)
	c := s.login()
	c.ok("DELE 1")
	for _, c := range []*client{c, s.secure()} {
		if text := c.told(); !strings.HasPrefix(text, "-ERR ") || !strings.Contains(strings.ToLower(text), "closed") {
			c.errorf("told %q", text)
		}
	}
	c = s.login()
	if n, _ := c.numbers("STAT"); n != 1 {
		c.errorf("%d messages are left", n)
	}
}

var twoNumbers = regexp.MustCompile(`^\+OK [0-9]+ [0-9]+$`)

// [MS-STANXPOP3] V0004.
func TestV0004_StatHasNothingBehindTheSize(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	c := s.login()
	for range 2 { // with a message, and without any
		if line := c.say("STAT"); !twoNumbers.MatchString(line) {
			c.errorf("STAT gives %q", line)
		}
		c.ok("DELE 1")
		c.ok("RSET")
		c.ok("DELE 1")
		if line := c.say("STAT"); line != "+OK 0 0" {
			c.errorf("STAT gives %q", line)
		}
		c.ok("RSET")
	}
}

// [MS-STANXPOP3] V0005.
func TestV0005_ListHasNothingBehindTheSize(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, hello)
	c := s.login()
	if line := c.say("LIST 2"); !twoNumbers.MatchString(line) {
		c.errorf("LIST 2 gives %q", line)
	}
	for i, line := range c.lines("LIST") {
		if number, octets := c.parse(line); number != int64(i+1) || octets <= 0 {
			c.errorf("line %d of LIST is %q", i+1, line)
		}
	}
}

// [MS-STANXPOP3] V0006: QUIT removes what is marked and nothing else.
func TestV0006_OnlyWhatIsMarkedIsRemoved(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, hello, hello, hello)
	c := s.login()
	before := c.uids()
	c.ok("DELE 4")
	c.ok("RSET")
	c.ok("DELE 1")
	c.ok("DELE 3")
	c.quit()
	c = s.login()
	if after := c.uids(); !slices.Equal(after, []string{before[1], before[3]}) {
		c.errorf("unique-ids %q of %q are left", after, before)
	}
}

// [MS-STANXPOP3] V0006: an error at QUIT is told, and what is not marked is there after it.
func TestV0006_AnErrorIsToldAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "a store that fails", usual)
	s.deliver(hello, hello)
	c := s.login()
	c.ok("DELE 1")
	folder := s.own.maildrop(alice)
	must(t, os.Rename(folder, folder+".away"))
	must(t, os.WriteFile(folder, []byte("no folder"), 0o600))
	c.refused("QUIT")
	c.closed()
	must(t, os.Remove(folder))
	must(t, os.Rename(folder+".away", folder))
	c = s.login()
	if uids := c.uids(); !slices.Contains(uids, "2") {
		c.errorf("unique-ids %q are left", uids)
	}
}

// [MS-STANXPOP3] V0007: there is TOP, and CAPA names it.
func TestV0007_Top(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver("Subject: top\r\n\r\none\r\ntwo\r\nthree\r\n")
	if capa := s.secure().capa(); !slices.Contains(capa, "TOP") {
		t.Errorf("CAPA has %q", capa)
	}
	c := s.login()
	whole := c.message("RETR 1")
	header, _, _ := strings.Cut(whole, "\r\n\r\n")
	for lines, body := range map[string]string{
		"0": "", "1": "one\r\n", "2": "one\r\ntwo\r\n", "3": "one\r\ntwo\r\nthree\r\n",
		"99999999999999999999": "one\r\ntwo\r\nthree\r\n", // more than any message has
	} {
		if got := c.message("TOP 1 " + lines); got != header+"\r\n\r\n"+body {
			c.errorf("TOP 1 %s gives %q", lines, got)
		}
	}
}

// [MS-STANXPOP3] V0008: USER does not fail, whoever is named; PASS does, with one text.
func TestV0008_UserDoesNotFail(t *testing.T) {
	t.Parallel()
	c := served(t).secure()
	for _, name := range []string{"nobody", nobody, "a", "DOMAIN\\user/alias", "x@y@z", "%s%n", "';--", "\xc3\xa4"} {
		c.ok("USER " + name)
	}
}

// [MS-STANXPOP3] V0009: neither USER nor PASS tells whether there is such a mailbox.
func TestV0009_RepliesDoNotTellWhoHasAMailbox(t *testing.T) {
	t.Parallel()
	s := served(t)
	known, unknown := s.secure(), s.secure()
	if a, b := known.say("USER "+s.user), unknown.say("USER nobody-"+s.user); a != b {
		t.Errorf("%q and %q", a, b)
	}
	wrong := "wrong" + s.password
	known.sendLogin(s.user, wrong)
	unknown.sendLogin("nobody-"+s.user, wrong)
	a, b := known.loginReply(s.user, wrong), unknown.loginReply("nobody-"+s.user, wrong)
	if a != b || !strings.HasPrefix(a, "-ERR ") {
		t.Errorf("%q and %q", a, b)
	}
}

// [MS-STANXPOP3] V0010: where no password may be sent in the clear, USER fails, for those too who have no mailbox (V0009).
func TestV0010_NoPasswordInTheClear(t *testing.T) {
	t.Parallel()
	for _, login := range []config.LoginType{config.SecureLogin, config.PlainTextAuthentication} {
		t.Run(string(login), func(t *testing.T) {
			t.Parallel()
			s := serverWith(t, "what may be used without TLS", func(c *config.Config) { c.Authentication.LoginType = login })
			c := s.connect()
			capa := c.capa()
			if slices.Contains(capa, "USER") || slices.Contains(saslOf(capa), "PLAIN") || !slices.Contains(capa, "STLS") {
				c.errorf("CAPA has %q", capa)
			}
			if a, b := c.refused("USER "+alice), c.refused("USER "+nobody); a != b {
				c.errorf("%q and %q", a, b)
			}
			c.refused("AUTH PLAIN " + plain("", alice, password))
			c = c.stls()
			c.ok("USER " + alice)
			c.ok("PASS " + password)
		})
	}
}

// [MS-STANXPOP3] V0010: where they may, it does not.
func TestV0010_PasswordInTheClear(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "what may be used without TLS", func(c *config.Config) {
		c.Authentication.LoginType = config.PlainTextLogin
	})
	c := s.connect()
	c.ok("USER " + nobody)
	c.ok("USER " + alice)
	c.ok("PASS " + password)
	s.connect().ok("AUTH PLAIN " + plain("", alice, password))
}

// [MS-STANXPOP3] V0011: what follows PASS is one password, with the spaces in it and at its end.
func TestV0011_PasswordsHaveSpaces(t *testing.T) {
	t.Parallel()
	const spaced = "two  words and a tail "
	s := serverWith(t, "such a password", usual, directory.Record{Address: small, Credentials: []directory.Credential{
		{Name: "default", Verifier: verifier.Derive([]byte(spaced))},
	}}).own.mailbox(small)
	c := s.secure()
	c.ok("USER " + small)
	c.ok("PASS " + spaced)
	c = s.secure()
	c.ok("USER " + small)
	c.refused("PASS " + strings.TrimSpace(spaced))
}

// [MS-STANXPOP3] V0012: there is no APOP, and nothing that looks like its timestamp (RFC 1939 §7).
func TestV0012_NoAPOP(t *testing.T) {
	t.Parallel()
	s := served(t)
	c := dial(t, s.pop3)
	if greeting := c.status(); regexp.MustCompile(`<[^>]*@[^>]*>`).MatchString(greeting) {
		c.errorf("the greeting has a timestamp")
	}
	c.refused(fmt.Sprintf("APOP %s c4c9334bac560ecc979e58001b3e22fb", s.user))
	if strings.Contains(strings.Join(c.capa(), " "), "APOP") {
		c.errorf("CAPA names APOP")
	}
	c.refused("STAT")
}

// [MS-STANXPOP3] V0012: an administrator cannot write one into the greeting either.
func TestV0012_NoTimestampInTheGreeting(t *testing.T) {
	t.Parallel()
	_ = serverWith(t, "the greeting", usual)
	if check(t, func(c *config.Config) { c.Banner = "ready <1896.697170952@dbc.mtview.ca.us>" }) {
		t.Error("such a greeting is taken")
	}
}
