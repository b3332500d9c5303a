package pop3

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/sasl"
)

const logonFailure = "-ERR Logon failure: unknown user name or bad password."

func encode(message string) string { return base64.StdEncoding.EncodeToString([]byte(message)) }

// plainOf is what AUTH PLAIN sends.
func plainOf(name, password string) string { return encode("\x00" + name + "\x00" + password) }

// [MS-STANXPOP3] V0008, V0009: USER succeeds for any name; PASS does not tell which part was wrong.
func TestUserAndPass(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxFailedLogins = 100 })
	c := f.connect()
	c.script(`C: USER nobody@example.com
		S: +OK
		C: PASS secret
		S: -ERR Logon failure: unknown user name or bad password.
		C: USER alice@example.com
		S: +OK
		C: PASS Secret
		S: -ERR Logon failure: unknown user name or bad password.
		C: PASS secret
		S: -ERR Command is not valid in this state.
		C: USER alice@example.com
		S: +OK
		C: NOOP
		S: -ERR Command is not valid in this state.
		C: PASS secret
		S: -ERR Command is not valid in this state.
		C: USER alice@example.com
		S: +OK
		C: CAPA
		S: +OK
		S: TOP
		S: UIDL
		S: SASL PLAIN
		S: USER
		S: .
		C: PASS secret
		S: -ERR Command is not valid in this state.
		C: USER alice@example.com
		S: +OK
		C: PASS
		S: -ERR Command arguments are not valid.
		C: USER
		S: -ERR Command arguments are not valid.
		C: USER alice bob
		S: -ERR Command arguments are not valid.
		C: USER nobody@example.com
		S: +OK
		C: user ALICE@Example.com
		S: +OK
		C: pass secret
		S: +OK User successfully logged on.
		C: STAT
		S: +OK 0 0`)
}

// [MS-STANXPOP3] V0011: a password has its spaces, and its end ones. What stands between keyword and password are separators.
func TestPassWithSpaces(t *testing.T) {
	f := newFixture(t)
	f.options.Login = passwords{bob: "two \t words  "}.begin
	c := f.connect()
	c.script("C: USER bob@example.com\nS: +OK")
	c.say("PASS two \t words  \r\n")
	c.expect("+OK User successfully logged on.")
	c = f.connect()
	c.script("C: USER bob@example.com\nS: +OK")
	c.say("PASS two \t words\r\n")
	c.expect(logonFailure)
}

func TestAuthPlain(t *testing.T) {
	f := newFixture(t)
	f.options.Login = passwords{alice: " pass wörd "}.begin
	good := plainOf(alice, " pass wörd ")
	for _, test := range []struct{ name, script string }{
		{"initial response", "C: AUTH PLAIN " + good + "\nS: +OK User successfully authenticated."},
		{"lower case", "C: auth plain " + good + "\nS: +OK User successfully authenticated."},
		{"challenge", "C: AUTH PLAIN\nS: +\nC: " + good + "\nS: +OK User successfully authenticated."},
		{"after cancelling", "C: AUTH PLAIN\nS: +\nC: *\nS: -ERR The AUTH protocol exchange was canceled by the client.\n" +
			"C: AUTH PLAIN " + good + "\nS: +OK User successfully authenticated."},
		{"after bad base64", "C: AUTH PLAIN\nS: +\nC: AGFs!\nS: -ERR Response is not valid base64.\n" +
			"C: AUTH PLAIN " + good + "\nS: +OK User successfully authenticated."},
		{"after a bad password", "C: AUTH PLAIN " + plainOf(alice, "x") + "\nS: " + logonFailure + "\n" +
			"C: AUTH PLAIN " + good + "\nS: +OK User successfully authenticated."},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := f.connect()
			c.t = t
			c.script(strings.ReplaceAll(test.script, "S: +\n", "S: + …\n"))
			c.script("C: STAT\nS: +OK 0 0\nC: AUTH PLAIN\nS: " + wrongState)
		})
	}
}

// Each of these is refused, and the client may go on.
func TestAuthRefusals(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxFailedLogins, s.Limits.MaxBadCommands = 100, 100 })
	c := f.connect()
	badBase64 := "-ERR Response is not valid base64."
	for _, test := range []struct{ command, want string }{
		{"AUTH NTLM", "-ERR Protocol error. 14"},
		{"AUTH USER", "-ERR Protocol error. 14"},
		{"AUTH PLAINX", "-ERR Protocol error. 14"},
		{"AUTH PLAIN =", logonFailure}, // an initial response of no octets
		{"AUTH PLAIN ==", badBase64},
		{"AUTH PLAIN *", badBase64}, // "*" gives up an exchange that has begun
		{"AUTH PLAIN AGFs", logonFailure},
		{"AUTH PLAIN AGFsaWNl!", badBase64},
		{"AUTH PLAIN " + strings.TrimRight(plainOf("a", "b"), "=") + "=", badBase64},
		{"AUTH PLAIN AB==", badBase64}, // stray bits
		{"AUTH PLAIN " + plainOf(alice, "secret") + " x", wrongArguments},
		{"AUTH PLAIN " + encode("boss\x00alice@example.com\x00secret"), logonFailure},
		{"AUTH PLAIN " + encode("\x00alice@example.com\x00"), logonFailure},
		{"AUTH PLAIN " + plainOf(alice, "Secret"), logonFailure},
		{"AUTH PLAIN " + plainOf("nobody@example.com", "secret"), logonFailure},
		{"AUTH PLAIN " + plainOf("busy@example.com", "secret"), "-ERR Server is too busy to check the password. Try again later."},
	} {
		c.say(test.command + "\r\n")
		if got := c.line(); got != test.want {
			t.Errorf("%q gives %q, want %q", test.command, got, test.want)
		}
	}
	c.script("C: AUTH PLAIN " + plainOf(alice, "secret") + "\nS: +OK User successfully authenticated.")
}

// What comes right behind a response is carried out as it is. (Wiping the AUTH line must not touch what has been read since.)
func TestCommandsBehindAResponse(t *testing.T) {
	f := newFixture(t)
	good := plainOf(alice, "secret") + "\r\n"
	for _, responses := range []string{"", "*\r\nAUTH PLAIN " + good, good} {
		c := f.connect()
		c.script("C: AUTH PLAIN\nS: + …")
		c.say(responses + "\r\nNOOP\r\nCAPA\r\nQUIT\r\n")
		for line := c.line(); !strings.HasPrefix(line, "+OK POP3"); line = c.line() {
			if strings.Contains(line, "control character") {
				t.Errorf("behind %q: %s", responses, line)
			}
		}
		c.expectClosed()
	}
}

// Clients older than CAPA ask with AUTH alone.
func TestAuthListsMechanisms(t *testing.T) {
	newFixture(t).connect().script("C: AUTH\nS: +OK\nS: PLAIN\nS: .")
}

// RFC 5034 §4: the limit for commands does not hold for responses, which have one of their own.
func TestAuthResponseOctets(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxCommandOctets = 40 })
	c := f.connect()
	c.script("C: AUTH PLAIN\nS: + …")
	c.say(encode(strings.Repeat("x", 3000)) + "\r\n")
	c.expect(logonFailure)
	c.script("C: AUTH PLAIN\nS: + …")
	c.say(strings.Repeat("A", saslMechanisms[config.MechanismPlain].maxOctets+40)) // and no line end
	c.expect("-ERR Protocol error. Connection is closed. 10")
	c.expectClosed()
	f.expectReason("command too long")
}

// LoginType and TLS decide together which ways to log in there are; CAPA tells of them, and of no other.
func TestLoginTypes(t *testing.T) {
	type ways struct{ user, plain bool }
	none, all := ways{}, ways{true, true}
	for _, test := range []struct {
		loginType   config.LoginType
		clear, tls_ ways
	}{
		{config.SecureLogin, none, all},
		{config.PlainTextAuthentication, none, all}, // both send the password in the clear
		{config.PlainTextLogin, all, all},
	} {
		t.Run(string(test.loginType), func(t *testing.T) {
			f := newFixture(t)
			f.set(func(s *Settings) { s.Authentication.LoginType = test.loginType })
			c := f.connect()
			c.expectWays(test.clear.user, test.clear.plain, false)
			f.useTLS()
			c = f.connect()
			c.expectWays(test.clear.user, test.clear.plain, true)
			c = f.connect()
			c.script("C: STLS\nS: +OK Begin TLS negotiation.")
			c.startTLS(f)
			c.expectWays(test.tls_.user, test.tls_.plain, false)
			c = f.dial(config.ImplicitTLS)
			c.startTLS(f)
			c.expect("+OK ready")
			c.expectWays(test.tls_.user, test.tls_.plain, false)
		})
	}
}

// expectWays wants CAPA to tell of these ways and no other, and the commands to behave accordingly.
func (c *client) expectWays(user, plain, stls bool) {
	c.t.Helper()
	want := "+OK TOP UIDL"
	if plain {
		want += " SASL PLAIN"
	}
	if user {
		want += " USER"
	}
	if stls {
		want += " STLS"
	}
	if got := c.capabilities(); got != want+" ." {
		c.t.Errorf("CAPA gives %q, want %q", got, want+" .")
	}
	if !user { // [MS-STANXPOP3] V0010: whatever the name
		c.script("C: USER alice@example.com\nS: " + wrongState + "\nC: PASS secret\nS: " + wrongState)
	}
	if !plain {
		c.script("C: AUTH\nS: " + wrongState + "\nC: AUTH PLAIN " + plainOf(alice, "secret") + "\nS: " + wrongState)
	}
	if user {
		c.login()
		if got := c.capabilities(); got != strings.TrimSuffix(want, " STLS")+" ." {
			c.t.Errorf("CAPA after login gives %q", got)
		}
	}
}

func (c *client) capabilities() string {
	c.t.Helper()
	c.say("CAPA\r\n")
	lines := []string{c.line()}
	for lines[len(lines)-1] != "." {
		lines = append(lines, c.line())
	}
	return strings.Join(lines, " ")
}

func TestMechanismsThatAreNotSet(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Authentication.Mechanisms = []config.Mechanism{config.MechanismPlain} })
	c := f.connect()
	c.script("C: USER alice@example.com\nS: " + wrongState)
	if got := c.capabilities(); got != "+OK TOP UIDL SASL PLAIN ." {
		t.Error(got)
	}
	f.set(func(s *Settings) { s.Authentication.Mechanisms = []config.Mechanism{config.MechanismUser} })
	c = f.connect()
	c.script("C: AUTH PLAIN\nS: " + wrongState)
	if got := c.capabilities(); got != "+OK TOP UIDL USER ." {
		t.Error(got)
	}
	c.login()
}

// [MS-STANXPOP3] C0005: too many failed logins close the connection, each is answered later than the one before it, and how
// they were tried makes no difference.
func TestFailedLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.failureStep = failureStep
		c := f.pipe(config.StartTLS)
		start := time.Now()
		c.script("S: +OK ready\nC: AUTH PLAIN " + plainOf(alice, "x") + "\nS: " + logonFailure)
		f.expectElapsed(start, 2*time.Second)
		c.script("C: USER bob@example.com\nS: +OK\nC: PASS x\nS: " + logonFailure)
		f.expectElapsed(start, 6*time.Second)
		c.script("C: USER nobody@example.com\nS: +OK\nC: PASS x\nS: " + logonFailure + " Connection is closed.")
		f.expectElapsed(start, 12*time.Second)
		c.expectClosed()
		synctest.Wait()
		f.expectReason("too many failed logins")
	})
}

func (f *fixture) expectElapsed(start time.Time, want time.Duration) {
	f.t.Helper()
	if got := time.Since(start); got != want {
		f.t.Errorf("%v have passed, want %v", got, want)
	}
}

// A password that could not be checked is no failed login.
func TestBusyIsNoFailure(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxFailedLogins = 1 })
	c := f.connect()
	for range 3 {
		c.script(`C: USER busy@example.com
			S: +OK
			C: PASS secret
			S: -ERR Server is too busy to check the password. Try again later.`)
	}
	c.login()
	for result, want := range map[string]float64{"busy": 3, "ok": 1, "rejected": 0} {
		if got := testutil.ToFloat64(f.metrics.logins.WithLabelValues("USER", result)); got != want {
			t.Errorf("%v logins are counted as %s, want %v", got, result, want)
		}
	}
}

// Who asks again at once for what cannot be checked waits a step each time, and no longer. It is no failed login: neither does
// it close the connection, nor is the first real failure answered later.
func TestUncheckedLogins(t *testing.T) {
	for name, refused := range map[string]string{
		"busy@example.com":        "-ERR Server is too busy to check the password. Try again later.",
		"unavailable@example.com": "-ERR Login cannot be checked now. Try again later.",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.failureStep = failureStep
				c := f.pipe(config.StartTLS)
				start := time.Now()
				c.script("S: +OK ready")
				for n := range f.settings.Limits.MaxFailedLogins + 1 {
					c.script("C: AUTH PLAIN " + plainOf(name, "secret") + "\nS: " + refused)
					f.expectElapsed(start, time.Duration(n+1)*failureStep)
				}
				start = time.Now()
				c.script("C: USER " + name + "\nS: +OK\nC: PASS secret\nS: " + refused)
				f.expectElapsed(start, failureStep)
				start = time.Now()
				c.script("C: AUTH PLAIN " + plainOf(alice, "x") + "\nS: " + logonFailure)
				f.expectElapsed(start, failureStep)
				c.script("C: QUIT\nS: +OK…")
			})
		})
	}
}

// Where many logins have failed of late, the first failure on a connection is answered later; one that has failed more often
// than that on its own is answered as without it.
func TestDelaySteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.failureStep = failureStep
		f.set(func(s *Settings) { s.Limits.MaxFailedLogins = 100 })
		steps := 5
		f.onFailure(func(error) int { return steps })
		c := f.pipe(config.StartTLS)
		c.script("S: +OK ready")
		for _, test := range []struct {
			steps int
			want  time.Duration
		}{{5, 10 * time.Second}, {7, 14 * time.Second}, {1, 6 * time.Second}} {
			steps = test.steps
			start := time.Now()
			c.script("C: AUTH PLAIN " + plainOf(alice, "x") + "\nS: " + logonFailure)
			f.expectElapsed(start, test.want)
		}
		c.script("C: QUIT\nS: +OK…")
	})
}

func TestMaildropCannotBeOpened(t *testing.T) {
	f := newFixture(t)
	f.store.openError = errors.New("volume is gone")
	c := f.connect()
	c.script("C: USER alice@example.com\nS: +OK\nC: PASS secret\nS: -ERR Mailbox cannot be opened now. Try again later.")
	if !strings.Contains(f.log.String(), "volume is gone") {
		t.Error("the log does not say why")
	}
	f.store.openError = nil
	c.login()
	if n := f.opened(); n != 1 {
		t.Errorf("%d connections are counted for the mailbox, want 1", n)
	}
}

// No password gets into the log, whatever the client does with it.
func TestNoPasswordInTheLog(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.Limits.MaxFailedLogins = 100 })
	c := f.connect()
	const secret = "hunter2-xyzzy"
	for _, command := range []string{
		"USER alice@example.com", "PASS " + secret, "PASS " + secret, secret, "AUTH PLAIN " + plainOf(alice, secret),
		"AUTH " + plainOf(alice, secret), "AUTH PLAIN " + plainOf(alice, secret) + "!", "PASS\x00" + secret,
	} {
		c.say(command + "\r\n")
		_ = c.line()
	}
	c.script("C: QUIT\nS: +OK…")
	f.expectReason("quit")
	for _, text := range []string{secret, plainOf(alice, secret)} {
		if strings.Contains(f.log.String(), text) {
			t.Errorf("the log has %q:\n%s", text, f.log.String())
		}
	}
}

// wrongToken is what AUTH XOAUTH2 sends.
var wrongToken = encode("user=alice@example.com\x01auth=Bearer x\x01\x01")

// newRefusingFixture makes a server that takes no token.
func newRefusingFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.useTLS()
	f.set(func(s *Settings) {
		s.Authentication.Mechanisms = []config.Mechanism{config.MechanismXOAuth2}
		s.Limits.MaxFailedLogins = 3
	})
	f.options.Keys.Token = func(context.Context, string) (Subject, error) { return Subject{}, sasl.ErrFailed }
	return f
}

// A client that is told in a challenge that its token is no good has failed, whether it answers or not.
func TestUnansweredRefusal(t *testing.T) {
	f := newRefusingFixture(t)
	c := f.connectTLS()
	attempt := "C: AUTH XOAUTH2 " + wrongToken + "\nS: + …\n"
	c.script(attempt + "C: *\nS: " + logonFailure)
	c.script(attempt + "C: !\nS: " + logonFailure)
	c.script(attempt + "C: *\nS: -ERR …")
	c.expectClosed()
	f.expectReason("too many failed logins")
}

// It has failed too where it hangs up instead, and is counted once. Who hangs up before anything was refused has not failed.
func TestHangUpBehindARefusal(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		failed  int32
	}{
		"refused":   {"AUTH XOAUTH2 " + wrongToken, 1},
		"not begun": {"AUTH XOAUTH2", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newRefusingFixture(t)
			var failed atomic.Int32
			f.onFailure(func(err error) int {
				if !errors.Is(err, sasl.ErrFailed) {
					t.Errorf("the reason is %v", err)
				}
				failed.Add(1)
				return 0
			})
			c := f.connectTLS()
			c.script("C: " + test.command + "\nS: + …")
			_ = c.Close()
			f.expectReason("client left")
			if got := failed.Load(); got != test.failed {
				t.Errorf("%d failures are counted, want %d", got, test.failed)
			}
			rejected := testutil.ToFloat64(f.metrics.logins.WithLabelValues(string(config.MechanismXOAuth2), "rejected"))
			if rejected != float64(test.failed) {
				t.Errorf("the metric has %v, want %d", rejected, test.failed)
			}
		})
	}
}
