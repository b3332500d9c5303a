//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

// quickly is longer than any timer that these tests set, and shorter than those that were in force before.
const quickly = 45 * time.Second

// inFlight is a PopService whose settings change while two sessions are open that were there before.
type inFlight struct {
	*service
	server   corev1.Pod
	initial  v1alpha1.PopServiceSpec
	m        *mailbox
	large    *mailbox // has a message that no connection takes unread
	loggedIn *session // has marked message 1 as deleted
	stranger *session // has not logged in
}

// settingSteps are in an order in which none leaves a session that another one would count.
var settingSteps = []struct {
	name  string
	set   func(*v1alpha1.PopServiceSpec)
	check func(*inFlight, *testing.T)
}{
	{"banner", func(spec *v1alpha1.PopServiceSpec) { spec.Banner = "Good day." }, (*inFlight).checkBanner},
	{"time before login", func(spec *v1alpha1.PopServiceSpec) { spec.Timeouts.PreAuthenticatedSeconds = 1 },
		(*inFlight).checkTimeBeforeLogin},
	{"time after login", func(spec *v1alpha1.PopServiceSpec) { spec.Timeouts.AuthenticatedSeconds = 1 },
		(*inFlight).checkTimeAfterLogin},
	{"length of commands", func(spec *v1alpha1.PopServiceSpec) { spec.Limits.MaxCommandOctets = 64 },
		(*inFlight).checkCommandOctets},
	{"bad commands", func(spec *v1alpha1.PopServiceSpec) { spec.Limits.MaxBadCommands = 2 }, (*inFlight).checkBadCommands},
	{"sessions of a mailbox", func(spec *v1alpha1.PopServiceSpec) { spec.Limits.MaxConnectionsPerMailbox = 2 },
		(*inFlight).checkSessionsOfMailbox},
	{"delay of logins", func(spec *v1alpha1.PopServiceSpec) { spec.Limits.LoginDelaySeconds = 3600 },
		(*inFlight).checkLoginDelay},
	{"time to write", func(spec *v1alpha1.PopServiceSpec) { spec.Timeouts.WriteSeconds = 1 }, (*inFlight).checkTimeToWrite},
	{"connections", func(spec *v1alpha1.PopServiceSpec) { spec.Limits.MaxConnections = 3 }, (*inFlight).checkThirdIsTheLast},
	{"connections of an address", func(spec *v1alpha1.PopServiceSpec) { spec.Limits.MaxConnectionsPerAddress = 3 },
		(*inFlight).checkThirdIsTheLast},
	{"as before", func(*v1alpha1.PopServiceSpec) {}, (*inFlight).checkInitial},
}

// TestSettingsChangeInFlight changes one setting after the other on a running server. Each counts for connections that are
// made afterwards; a session that is open keeps, to its end, what it was made with.
func TestSettingsChangeInFlight(t *testing.T) {
	t.Parallel()
	f := newInFlight(t)
	for _, step := range settingSteps {
		ok := t.Run(step.name, func(t *testing.T) {
			f.change(t, step.set)
			f.checkSessionsAreAsBefore(t) // from here on a timer would run that they had taken over
			step.check(f, t)
			f.checkSessionsAreAsBefore(t)
		})
		if !ok {
			t.FailNow() // the sessions may be of no use any more
		}
	}
	f.loggedIn.quit(t)
	if err := f.stranger.logIn(f.m.address(), f.m.password); err != nil {
		t.Errorf("the session that was open before all changes cannot log in: %v", err)
	}
	f.checkMessages(t, f.m, "kept")
	f.checkNotRestarted(t, f.server)
}

func newInFlight(t *testing.T) *inFlight {
	t.Helper()
	s := newServiceOf(t, "settings", func(spec *v1alpha1.PopServiceSpec) {
		// Times that do not pass during the test.
		spec.Timeouts.PreAuthenticatedSeconds, spec.Timeouts.WriteSeconds = 3600, 3600
	})
	f := &inFlight{service: s, server: s.pod(t), initial: *s.Spec.DeepCopy()}
	f.m, f.large = s.newMailbox(t, "alice"), s.newMailbox(t, "large")
	s.send(t, f.m, "marked")
	s.send(t, f.m, "kept")
	s.send(t, f.large, "large\n\n"+strings.Repeat(strings.Repeat("x", 1022)+"\n", 8<<10))
	f.stranger, f.loggedIn = s.dial(t, time.Hour), s.openFor(t, f.m, time.Hour)
	f.loggedIn.must(t, "DELE 1")
	return f
}

// change makes the settings those of the beginning but for what is set, and waits until the server says that they are in force.
func (f *inFlight) change(t *testing.T, set func(*v1alpha1.PopServiceSpec)) {
	t.Helper()
	change(t, f.PopService, func(pop *v1alpha1.PopService) {
		f.initial.DeepCopyInto(&pop.Spec)
		set(&pop.Spec)
	})
	awaitReady(t, f.PopService)
}

// checkSessionsAreAsBefore: both sessions answer, within the limits of the beginning.
func (f *inFlight) checkSessionsAreAsBefore(t *testing.T) {
	t.Helper()
	f.loggedIn.must(t, "%s", padded("NOOP", 512))
	f.stranger.must(t, "%s", padded("CAPA", 512))
	if _, err := f.stranger.ReadDotLines(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f.loggedIn.refused(t, "Command is not recognized.", "BAD")
	}
	f.loggedIn.must(t, "NOOP") // ends the row
}

// padded makes a command line so many octets long, CRLF included, with blanks that mean nothing.
func padded(command string, octets int) string {
	return command + strings.Repeat(" ", octets-len(command)-len("\r\n"))
}

// refused sends a command that must be refused with this text.
func (p *session) refused(t *testing.T, text, format string, args ...any) {
	t.Helper()
	if err := p.PrintfLine(format, args...); err != nil {
		t.Fatal(err)
	}
	p.checkLine(t, "-ERR "+text)
}

func (p *session) checkLine(t *testing.T, want string) {
	t.Helper()
	if line, err := p.ReadLine(); err != nil || line != want {
		t.Fatalf("the server said %q, %v; want %q", line, err, want)
	}
}

// checkClosed waits for the server to end the connection, with nothing more to say.
func (p *session) checkClosed(t *testing.T) {
	t.Helper()
	if line, err := p.ReadLine(); !errors.Is(err, io.EOF) {
		t.Fatalf("the connection is not closed: %q, %v", line, err)
	}
}

// dialClear opens a connection to the listener that begins in the clear, and leaves the greeting unread.
func (s *service) dialClear(t *testing.T) *session {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.address(110), quickly)
	if err != nil {
		t.Fatal(err)
	}
	return sessionOn(t, conn)
}

// sessionOn is a session on a connection, which ends with the test.
func sessionOn(t *testing.T, conn net.Conn) *session {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(quickly)); err != nil {
		t.Fatal(err)
	}
	return &session{Conn: textproto.NewConn(conn)}
}

func (f *inFlight) checkBanner(t *testing.T) {
	f.dialClear(t).checkLine(t, "+OK Good day.")
}

func (f *inFlight) checkTimeBeforeLogin(t *testing.T) {
	start := time.Now()
	f.dial(t, quickly).checkTimedOut(t, start)
}

func (f *inFlight) checkTimeAfterLogin(t *testing.T) {
	p := f.dial(t, quickly)
	p.must(t, "USER %s", f.m.address())
	start := time.Now()
	p.must(t, "PASS %s", f.m.password)
	p.checkTimedOut(t, start)
}

// checkTimedOut: the client says nothing more, and a second later, or more on a busy machine, the server parts from it.
func (p *session) checkTimedOut(t *testing.T, start time.Time) {
	t.Helper()
	p.checkLine(t, "-ERR Connection is closed. Idle timeout.")
	if silence := time.Since(start); silence < time.Second {
		t.Errorf("the session was ended after %s, want 1 s", silence)
	}
	p.checkClosed(t)
}

// checkCommandOctets: USER takes any name, so that the length alone decides.
func (f *inFlight) checkCommandOctets(t *testing.T) {
	p := f.dial(t, quickly)
	longest := "USER " + strings.Repeat("a", 64-len("USER \r\n"))
	p.must(t, "%s", longest)
	p.refused(t, "Protocol error. Connection is closed. 10", "%sa", longest)
	p.checkClosed(t)
}

func (f *inFlight) checkBadCommands(t *testing.T) {
	p := f.dial(t, quickly)
	p.refused(t, "Command is not recognized.", "BAD")
	p.refused(t, "Too many bad commands. Connection is closed.", "BAD")
	p.checkClosed(t)
}

// checkSessionsOfMailbox: the session that is open counts.
func (f *inFlight) checkSessionsOfMailbox(t *testing.T) {
	second := f.open(t, f.m)
	third := f.dial(t, quickly)
	third.must(t, "USER %s", f.m.address())
	third.refused(t, "Too many connections to this mailbox. Try again later.", "PASS %s", f.m.password)
	third.checkClosed(t)
	second.quit(t)
	if err := f.login(f.m.address(), f.m.password); err != nil {
		t.Errorf("after the second session's end: %v", err)
	}
}

// checkLoginDelay: a login that comes too early is no failure, and the connection goes on.
func (f *inFlight) checkLoginDelay(t *testing.T) {
	if err := f.login(f.m.address(), f.m.password); err != nil {
		t.Errorf("the first login: %v", err)
	}
	p := f.dial(t, quickly)
	for range 2 {
		p.must(t, "USER %s", f.m.address())
		p.refused(t, "Mailbox was logged on to recently. Try again later.", "PASS %s", f.m.password)
	}
	p.quit(t)
}

// checkTimeToWrite: a client that does not read is cut in the middle of its message.
func (f *inFlight) checkTimeToWrite(t *testing.T) {
	p := f.open(t, f.large)
	p.must(t, "RETR 1")
	await(t, quickly, "the server to cut a client that does not read", func() (bool, string) {
		sessions := sample(metricsOf(t, f.server), "pop3d_sessions")
		return sessions == "2", "sessions: " + sessions
	})
	if text, err := p.ReadDotBytes(); err == nil {
		t.Errorf("the client could read all %d octets", len(text))
	}
}

// sample gives the value of a metric without labels.
func sample(metrics, name string) string {
	_, rest, _ := strings.Cut(metrics, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// checkThirdIsTheLast: beside the two sessions that are open there is room for one connection. One that was closed a moment ago
// may be counted still.
func (f *inFlight) checkThirdIsTheLast(t *testing.T) {
	var third *session
	await(t, quickly, "room for a third connection", func() (bool, string) {
		third = f.dialClear(t)
		line, err := third.ReadLine()
		return line == "+OK "+f.Spec.Banner, fmt.Sprintf("%q, %v", line, err)
	})
	fourth := f.dialClear(t)
	fourth.checkLine(t, "-ERR Too many connections. Try again later.")
	fourth.checkClosed(t)
	third.quit(t)
}

// checkInitial: what was tightened is loose again.
func (f *inFlight) checkInitial(t *testing.T) {
	p := f.dial(t, quickly)
	p.must(t, "USER %s", strings.Repeat("a", 512-len("USER \r\n")))
	for range 2 {
		p.refused(t, "Command is not recognized.", "BAD")
	}
	p.quit(t)
	f.dialClear(t).checkLine(t, "+OK "+f.initial.Banner)
	f.checkMessages(t, f.m, "marked", "kept") // and again, without a delay
	f.checkMessages(t, f.m, "marked", "kept")
}
