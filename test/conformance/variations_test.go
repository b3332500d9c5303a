package conformance

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
)

// [MS-STANXPOP3] §2.1.1. RFC 1939 §3 has a single SP.
func TestS2_1_1_SeparatorsAreOneOrMoreSpacesOrTabs(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	c := s.login()
	want := c.ok("LIST 1")
	for _, command := range []string{"LIST  1", "LIST\t1", "LIST\t\t1", "LIST   \t\t 1"} {
		if got := c.ok(command); got != want {
			c.errorf("%q gives %q, one space gives %q", command, got, want)
		}
	}
	top := c.message("TOP 1 0")
	for _, command := range []string{"TOP  1   0", "TOP\t1\t0", "TOP\t\t1 \t0"} {
		if got := c.message(command); got != top {
			c.errorf("%q gives %q, single spaces give %q", command, got, top)
		}
	}
}

// [MS-STANXPOP3] §2.1.1: the same before login.
func TestS2_1_1_SeparatorsBeforeLogin(t *testing.T) {
	t.Parallel()
	s := served(t)
	for _, separator := range []string{"  ", "\t", "\t\t", " \t "} {
		c := s.secure()
		c.ok("USER" + separator + s.user)
		c.ok("PASS" + separator + s.password)
		c.ok("STAT")
		c.quit()
	}
}

// [MS-STANXPOP3] §2.1.2. RFC 1939 §3 has 40 characters.
func TestS2_1_2_AnArgumentMayBeLongerThan40Octets(t *testing.T) {
	t.Parallel()
	c := served(t).secure()
	for _, octets := range []int{40, 41, 200} {
		c.ok("USER " + strings.Repeat("x", octets))
	}
}

// [MS-STANXPOP3] §2.1.2: one argument may take all of the 512 octets that a command has.
func TestS2_1_2_TheCommandAloneIsLimited(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "the longest command", usual)
	s.secure().ok("USER " + strings.Repeat("x", 512-len("USER \r\n")))
	c := s.secure()
	c.refused("USER " + strings.Repeat("x", 513-len("USER \r\n")))
	c.closed()
}

// [MS-STANXPOP3] §2.1.3. RFC 1939 §4 has an exclusive-access lock.
func TestS2_1_3_ManySessionsOfOneMailbox(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello)
	first, second := s.login(), s.login()
	s.deliver(hello) // while it is open
	third := s.login()
	for c, want := range map[*client]int64{first: 1, second: 1, third: 2} {
		if got, _ := c.numbers("STAT"); got != want {
			c.errorf("%d messages, want %d", got, want)
		}
	}
	first.ok("DELE 1")
	first.quit()
	second.ok("NOOP")
	third.message("RETR 2")
}

// [MS-STANXPOP3] §2.1.4: whatever the size is, it is that of the messages together, and the same in each session.
func TestS2_1_4_StatIsTheSumOfList(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, "Subject: longer\r\n\r\n"+strings.Repeat("0123456789\r\n", 1000), hello)
	for range 2 {
		c := s.login()
		c.checkSum()
		c.ok("DELE 2")
		c.checkSum()
		c.ok("RSET")
		c.quit()
	}
}

// checkSum compares STAT with the messages that LIST has.
func (c *client) checkSum() {
	c.t.Helper()
	count, octets := c.numbers("STAT")
	for _, line := range c.lines("LIST") {
		_, size := c.parse(line)
		count, octets = count-1, octets-size
	}
	if count != 0 || octets != 0 {
		c.errorf("STAT has %d messages and %d octets more than LIST", count, octets)
	}
}

// [MS-STANXPOP3] §2.1.4: by default it is what the mail occupies in the store.
func TestS2_1_4_StatIsTheStorageByDefault(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "that sizes are not exact", usual)
	large := "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5000) // has a file of its own
	s.deliver(hello, hello, hello, large)
	c := s.login()
	_, told := c.numbers("STAT")
	const overhead = 300 // the head of the file with the small ones
	if used := octetsIn(t, s.own.maildrop(alice)); told > used || told < used-overhead {
		c.errorf("STAT tells %d octets, the files have %d", told, used)
	}
	if exact := c.octetsOfAll(); told == exact {
		c.errorf("STAT tells %d octets, which is the size of the text", told)
	}
}

// octetsOfAll gives how much RETR sends of all messages.
func (c *client) octetsOfAll() (octets int64) {
	c.t.Helper()
	count, _ := c.numbers("STAT")
	for n := range count {
		octets += int64(len(c.message(fmt.Sprintf("RETR %d", n+1))))
	}
	return octets
}

// octetsIn sums up the files in a folder, but for one that is made of the others.
func octetsIn(t *testing.T, folder string) (octets int64) {
	t.Helper()
	must(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "index" {
			return err
		}
		info, err := os.Stat(path)
		octets += info.Size()
		return err
	}))
	return octets
}

// exact has STAT and LIST tell the exact size.
func exact(c *config.Config) { c.Maildrop.Size = config.ExactSize }

// awkward are messages whose text is changed on its way in or out.
var awkward = []string{
	hello,
	"Subject: bare LF\r\n\r\none\ntwo\nthree\r\n",
	"Subject: dots\r\n\r\n.\r\n..\r\n...\r\nx.\r\n",
	"Subject: no body\r\n",
	"Subject: bare CR\r\n\r\none\rtwo\r\n",
	"Subject: 8-bit\r\n\r\nGr\u00fc\u00dfe \xff\xfe\r\n",
	"Subject: long\r\n\r\n" + strings.Repeat("x", 100_000) + "\r\n",
}

// [MS-STANXPOP3] §2.1.4: a setting makes it exact. RFC 1939 §11: that is the size with CRLF line ends, without the dots of
// transparency.
func TestS2_1_4_StatIsExactWhereItIsSet(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "that sizes are exact", exact)
	s.deliver(awkward...)
	c := s.login()
	c.checkSum()
	if _, told := c.numbers("STAT"); told != c.octetsOfAll() {
		c.errorf("STAT tells %d octets, RETR sends %d", told, c.octetsOfAll())
	}
}

// [MS-STANXPOP3] §2.1.5: whatever the size is, both forms of LIST tell the same.
func TestS2_1_5_BothFormsOfListAgree(t *testing.T) {
	t.Parallel()
	s := served(t)
	s.deliver(hello, "Subject: longer\r\n\r\n"+strings.Repeat("0123456789\r\n", 1000))
	c := s.login()
	for i, line := range c.lines("LIST") {
		if one := c.ok(fmt.Sprintf("LIST %d", i+1)); one != line {
			c.errorf("LIST has %q, LIST %d has %q", line, i+1, one)
		}
	}
}

// [MS-STANXPOP3] §2.1.5: exact where that is set, and what the message occupies by default.
func TestS2_1_5_ListIsExactWhereItIsSet(t *testing.T) {
	t.Parallel()
	s := serverWith(t, "whether sizes are exact", usual)
	s.deliver(awkward...)
	byDefault := s.login().lines("LIST")
	c := s.own.restart(exact).login()
	for i, line := range c.lines("LIST") {
		octets := int64(len(c.message(fmt.Sprintf("RETR %d", i+1))))
		if _, told := c.parse(line); told != octets {
			c.errorf("LIST tells %d octets of message %d, RETR sends %d", told, i+1, octets)
		}
		if _, told := c.parse(byDefault[i]); told == octets {
			c.errorf("LIST tells the exact size by default: %d", told)
		}
	}
}
