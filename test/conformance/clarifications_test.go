package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
)

// [MS-STANXPOP3] C0001: 512 octets with CRLF. The client of these tests looks at each status line; here are those that
// could be longest.
func TestC0001_NoReplyHasMoreThan512Octets(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	long := strings.Repeat("x", 240)
	before, after := s.secure(), s.login()
	for _, command := range []string{long, "USER " + long, "AUTH " + long, "APOP " + long, "STLS " + long, "QUIT " + long} {
		before.say(command)
	}
	for _, command := range []string{long, "RETR " + long, "DELE " + strings.Repeat("9", 240), "TOP 1 " + long, "UIDL " + long} {
		after.refused(command)
	}
	for _, command := range []string{"STAT", "LIST 1", "UIDL 1", "DELE 1", "RSET", "NOOP"} {
		after.ok(command)
	}
	for _, command := range []string{"LIST", "UIDL", "TOP 1 0", "RETR 1", "CAPA"} {
		after.lines(command)
	}
}

// [MS-STANXPOP3] C0001: the greeting is the one that an administrator writes, and 506 octets are all that it may have.
func TestC0001_LongestGreeting(t *testing.T) {
	t.Parallel()
	banner := func(octets int) func(*config.Config) {
		return func(c *config.Config) { c.Banner = strings.Repeat("x", octets) }
	}
	s := serverWith(t, "the greeting", banner(506))
	if greeting := dial(t, s.pop3).status(); len(greeting) != 510 {
		t.Errorf("the greeting has %d octets without CRLF", len(greeting))
	}
	if check(t, banner(507)) {
		t.Error("a greeting of 513 octets is taken")
	}
}

// ofMail are commands that need a mailbox.
var ofMail = []string{"STAT", "LIST", "LIST 1", "RETR 1", "DELE 1", "NOOP", "RSET", "TOP 1 0", "UIDL", "UIDL 1"}

// [MS-STANXPOP3] C0002: after the greeting, a client has to log in before anything else.
func TestC0002_NothingOfTheMailboxBeforeLogin(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	for _, c := range []*client{s.secure(), s.connect()} {
		for _, command := range ofMail {
			c.refused(command)
		}
		c.capa()
		c.quit()
	}
	c := s.login()
	if n, _ := c.numbers("STAT"); n != 1 {
		c.errorf("%d messages are left", n)
	}
}

// [MS-STANXPOP3] C0003: a name alone and a wrong password open nothing; nor is there a second login in a session.
func TestC0003_OnlyALoginOpensTheMailbox(t *testing.T) {
	t.Parallel()
	s := served(t)
	c := s.secure()
	c.refused("PASS " + s.password) // without USER
	c.ok("USER " + s.user)
	c.refused("STAT")
	c.refused("PASS " + s.password) // RFC 1939 §7: valid immediately after USER only
	c.ok("USER " + s.user)
	c.refused("PASS wrong" + s.password)
	c.refused("PASS " + s.password) // the name is forgotten
	c.refused("STAT")
	c.ok("USER " + s.user)
	c.ok("PASS " + s.password)
	c.ok("STAT")
	for _, command := range []string{"USER " + s.user, "PASS " + s.password, "AUTH PLAIN", "STLS"} {
		c.refused(command)
	}
}

// [MS-STANXPOP3] C0004: what others add and remove during a session does not change what it sees; what is gone cannot be read.
func TestC0004_TheListIsThatOfTheLogin(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, hello, hello)
	c, other := s.login(), s.login()
	before := c.view()
	other.ok("DELE 2")
	other.quit()
	s.deliver(hello)
	if after := c.view(); after != before {
		c.errorf("before:\n%s\nafter:\n%s", before, after)
	}
	c.refused("RETR 2")
	c.refused("TOP 2 0")
	c.message("RETR 1")
	c.message("TOP 3 0")
	c.refused("RETR 4")
	c.ok("DELE 2") // which is done already
	c.quit()
	c = s.login()
	if n, _ := c.numbers("STAT"); n != 3 {
		c.errorf("%d messages in the next session", n)
	}
}

// view gives all that a session sees of the list.
func (c *client) view() string {
	c.t.Helper()
	return fmt.Sprint(c.ok("STAT"), c.lines("LIST"), c.lines("UIDL"), c.ok("LIST 2"), c.ok("UIDL 2"))
}

// [MS-STANXPOP3] C0005: after too many failed logins the connection is closed, after one it need not be.
func TestC0005_ClosesAfterFailedLogins(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "how many logins may fail", func(c *config.Config) { c.Limits.MaxFailedLogins = 2 })
	c := s.secure()
	c.ok("USER " + alice)
	c.refused("PASS wrong")
	c.refused("AUTH PLAIN " + plain("", alice, "wrong")) // one count for all mechanisms
	c.closed()
}

// [MS-STANXPOP3] C0005: so it is after many bad commands in a row.
func TestC0005_ClosesAfterBadCommands(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "how many commands may be bad", func(c *config.Config) { c.Limits.MaxBadCommands = 3 })
	c := s.login()
	for range 3 { // a good one begins the count anew
		c.refused("XYZZY")
		c.refused("RETR")
		c.ok("NOOP")
	}
	for range 3 {
		c.refused("XYZZY")
	}
	c.closed()
}

// [MS-STANXPOP3] C0005: too many connections, of one address or in one mailbox, are told so and closed.
func TestC0005_ClosesWhatIsTooMany(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the limits", func(c *config.Config) {
		c.Limits.MaxConnections, c.Limits.MaxConnectionsPerAddress, c.Limits.MaxConnectionsPerMailbox = 4, 3, 1
	})
	first := s.login()
	second := s.secure()
	second.ok("USER " + alice)
	second.refused("PASS " + password)
	second.closed()
	greeted := func() bool { return strings.HasPrefix(dial(t, s.pop3).line(), "+OK") }
	for range 2 { // a connection that the client has seen closed may be counted for a moment
		eventually(t, "room for three", greeted)
	}
	c := dial(t, s.pop3)
	if line := c.status(); !strings.HasPrefix(line, "-ERR ") {
		c.errorf("one connection too many is greeted with %q", line)
	}
	c.closed()
	first.quit()
	eventually(t, "room", greeted)
}

// [MS-STANXPOP3] C0006: all commands of RFC 1939 §4 to §6.
func TestC0006_AllCommandsOfAMinimalServer(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, hello)
	c := s.login()
	if n, _ := c.numbers("STAT"); n != 2 {
		c.errorf("STAT has %d messages", n)
	}
	if n, _ := c.numbers("LIST 2"); n != 2 || len(c.lines("LIST")) != 2 {
		c.errorf("LIST has not the two messages")
	}
	if text := c.message("RETR 1"); !strings.HasSuffix(text, hello) {
		c.errorf("RETR gives %q", text)
	}
	c.ok("DELE 1")
	c.ok("NOOP")
	c.ok("RSET")
	c.ok("DELE 2")
	c.quit()
	c = s.login()
	if n, _ := c.numbers("STAT"); n != 1 {
		c.errorf("%d messages are left", n)
	}
}

// uids gives the unique-ids in the order of the numbers.
func (c *client) uids() []string {
	c.t.Helper()
	uids := []string{}
	for i, line := range c.lines("UIDL") {
		number, uid, _ := strings.Cut(line, " ")
		if number != strconv.Itoa(i+1) || c.ok("UIDL "+number) != line {
			c.errorf("line %d of UIDL is %q, UIDL %s gives something else", i+1, line, number)
		}
		uids = append(uids, uid)
	}
	return uids
}

var decimal = regexp.MustCompile(`^[0-9]{1,20}$`)

// decimals gives the unique-ids, which must be decimal integers that rise.
func (c *client) decimals() []uint64 {
	c.t.Helper()
	var numbers []uint64
	for _, uid := range c.uids() {
		n, err := strconv.ParseUint(uid, 10, 64)
		if !decimal.MatchString(uid) || err != nil || len(numbers) > 0 && n <= numbers[len(numbers)-1] {
			c.fatalf("the unique-ids are no decimal integers that rise")
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// [MS-STANXPOP3] C0007: unique-ids are decimal integers that rise, with gaps, and stay over sessions.
func TestC0007_UniqueIDsAreDecimalAndRise(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, hello, hello)
	c := s.login()
	first := c.decimals()
	c.ok("DELE 2")
	c.quit()
	s.deliver(hello)
	c = s.login()
	second := c.decimals()
	if len(first) != 3 || len(second) != 3 || second[0] != first[0] || second[1] != first[2] || second[2] <= first[2] {
		c.errorf("unique-ids %v, then %v", first, second)
	}
}

// [MS-STANXPOP3] C0008: the highest unique-id is not used again after its message is removed.
func TestC0008_UniqueIDsAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	s := served(t)
	var last uint64
	for range 3 {
		s.deliver(hello)
		c := s.login()
		uids := c.decimals()
		if len(uids) != 1 || uids[0] <= last {
			c.fatalf("unique-ids %v after %d", uids, last)
		}
		last = uids[0]
		c.ok("DELE 1")
		c.quit()
	}
}

// [MS-STANXPOP3] C0008: nor after a server was killed.
func TestC0008_UniqueIDsAreNotUsedAgainAfterAKill(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "to kill the server", usual)
	var last uint64
	for range 2 {
		s.deliver(hello)
		s = s.own.restart(usual)
		c := s.login()
		uids := c.decimals()
		if len(uids) != 1 || uids[0] <= last {
			c.fatalf("unique-ids %v after %d", uids, last)
		}
		last = uids[0]
		c.ok("DELE 1")
		c.quit()
		s = s.own.restart(usual)
	}
}

// [MS-STANXPOP3] C0009: copies of one message have different unique-ids.
func TestC0009_CopiesHaveUniqueIDsOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, hello)
	c := s.login()
	if uids := c.uids(); len(uids) != 2 || uids[0] == uids[1] {
		c.errorf("unique-ids %q", uids)
	}
}

// [MS-STANXPOP3] C0009: messages that come from another server keep the unique-ids that they had there.
func TestC0009_FormerUniqueIDsStay(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "mail of another server", usual)
	former := []string{"AAQYVbIAAAlTbwzqZuCIuxNHvpKFmcN7", "!~AbC+/=\"#"} // both ends of RFC 1939's range of characters
	mail, list := s.own.path("former"), s.own.path("uidl")
	var lines strings.Builder
	for i, uid := range former {
		name := fmt.Sprintf("%d.M1P1.host", 1700000000+i)
		must(t, os.MkdirAll(filepath.Join(mail, "cur"), 0o700))
		must(t, os.WriteFile(filepath.Join(mail, "cur", name), []byte(hello), 0o600))
		fmt.Fprintf(&lines, "%s %s\n", uid, name)
	}
	must(t, os.MkdirAll(filepath.Join(mail, "new"), 0o700))
	must(t, os.WriteFile(list, []byte(lines.String()), 0o600))
	output, ok := s.own.run("maildrop", "import", "--store", s.own.config.Maildrop.Path, alice, "--owner", "mail/"+alice,
		"--from", "maildir:"+mail, "--uidl-list", list)
	if !ok {
		t.Fatal(output)
	}
	s.deliver(hello)
	c := s.login()
	uids := c.uids()
	if len(uids) != 3 || !slices.Equal(uids[:2], former) || !decimal.MatchString(uids[2]) {
		c.errorf("unique-ids %q", uids)
	}
}

// [MS-STANXPOP3] C0010: who has the mailbox elsewhere is told what one is told who has none.
func TestC0010_AMailboxOfAnotherSite(t *testing.T) {
	t.Parallel()
	here := serverWith(t, "a second server", usual)
	there := serverWith(t, "a second server", usual, directory.Record{Address: small}).own.mailbox(small)
	there.login()
	elsewhere, wrong := here.secure(), here.secure()
	elsewhere.sendLogin(small, password)
	wrong.sendLogin(alice, "wrong")
	if a, b := elsewhere.loginReply(small, password), wrong.loginReply(alice, "wrong"); a != b || !strings.HasPrefix(a, "-ERR ") {
		t.Errorf("%q and %q", a, b)
	}
}

var forbidden = regexp.MustCompile(`\x00|\r[^\n]|[^\r]\n`)

// [MS-STANXPOP3] C0011: whatever comes in, what goes out has CRLF line ends, an empty line after the header, and no NUL.
// (That no line has a bare CR or LF is what the client of these tests looks at.)
func TestC0011_MessagesHaveTheFormOfTheInternet(t *testing.T) {
	t.Parallel()
	s := served(t)
	mail := append(slices.Clone(awkward), "Subject: NUL\r\n\r\na\x00b\r\n", "no header at all",
		"Subject: CRs\r\n\r\none\r\r\ntwo\r\n")
	s.deliver(mail...)
	c := s.login()
	for n := range mail {
		text := c.message(fmt.Sprintf("RETR %d", n+1))
		header, _, ended := strings.Cut(text, "\r\n\r\n")
		if !ended || header == "" || forbidden.MatchString(text) || !strings.HasSuffix(text, "\r\n") {
			c.errorf("message %d is sent as %q", n+1, text)
		}
	}
}

// [MS-STANXPOP3] C0011; RFC 1939 §3: what begins with a dot arrives as it was.
func TestC0011_DotsArrive(t *testing.T) {
	t.Parallel()
	s := served(t)
	mail := "Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.x\r\n" + strings.Repeat(".\r\n", 50_000) + "end\r\n"
	s.deliver(mail)
	c := s.login()
	if text := c.message("RETR 1"); !strings.HasSuffix(text, mail) {
		c.errorf("%d octets came, of %d at least", len(text), len(mail))
	}
	if text := c.message("TOP 1 4"); !strings.HasSuffix(text, "\r\n\r\n.\r\n..\r\n...\r\n.x\r\n") {
		c.errorf("TOP gives %q", text)
	}
}
