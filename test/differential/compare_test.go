//go:build differential

package differential

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// view is what a session sees of a mailbox: the messages by their numbers from 1 on.
type view struct {
	messages []*message
	marked   []bool
	quit     bool
	visit    *visit                  // that was paid during the session
	uids     map[*message]*[2]string // as far as the servers have told them, in this session or an earlier one
	newest   int                     // unique-id of pop3d before these messages
}

func newView(messages []*message, newest int) *view {
	return &view{
		messages: messages, marked: make([]bool, len(messages)), uids: make(map[*message]*[2]string), newest: newest,
	}
}

// next gives what the next session is to see.
func (v *view) next() *view {
	var left []*message
	for i, m := range v.messages {
		removed := v.quit && v.marked[i] || v.visit != nil && slices.Contains(v.visit.removed, i+1)
		if !removed {
			left = append(left, m)
		}
	}
	if v.visit != nil && v.visit.arrives != nil {
		left = append(left, v.visit.arrives)
	}
	return &view{messages: left, marked: make([]bool, len(left)), uids: v.uids, newest: v.newest}
}

// difference is one between two positive replies to a command.
type difference struct {
	keyword      string
	ours, theirs reply
	messages     []*message // that it comes from
	canonical    bool       // ours is what the canonical form of these messages asks for
}

// compare compares two sessions.
func (v *view) compare(commands []command, answers [2][]answer) error {
	ours, theirs := answers[pop3d], answers[dovecot]
	for i, c := range commands[:min(len(ours), len(theirs))] {
		if err := v.compareAnswers(c, ours[i], theirs[i]); err != nil {
			return fmt.Errorf("%q: %w", c.line, err)
		}
	}
	if len(ours) != len(theirs) {
		return fmt.Errorf("pop3d answers %d commands, Dovecot %d", len(ours), len(theirs))
	}
	return nil
}

// compareAnswers compares what the servers answer to one line.
func (v *view) compareAnswers(c command, ours, theirs answer) error {
	for which, a := range [2]answer{ours, theirs} {
		for i, form := range c.forms[which] {
			last := i == len(c.forms[which])-1
			if i >= len(a) || a[i].ok() && !last {
				return fmt.Errorf("%s is known to refuse %q and to take the next form", serverNames[which], form)
			}
		}
	}
	our, their := ours[len(ours)-1], theirs[len(theirs)-1]
	switch {
	case !statusLine.MatchString(our.status) || len(our.status) > maxStatus:
		return fmt.Errorf("the status line is %q", our.status)
	case our.ok() != their.ok():
		return errors.New("one of the servers refuses it")
	case !our.ok():
		return nil
	}
	for _, d := range c.differences {
		d.met++
	}
	return v.compareContent(wordsOf(c.plain), our, their)
}

// maxStatus is the most that a status line may have without its end ([MS-STANXPOP3] C0001).
const maxStatus = 510

var (
	// statusLine: a refusal says why ([MS-STANXPOP3] V0001).
	statusLine = regexp.MustCompile(`^(\+OK( [ -~]+)?|-ERR [ -~]+)$`)
	scanLine   = regexp.MustCompile(`^(\d+) (\d+)$`) // [MS-STANXPOP3] V0004, V0005: and nothing more
	uidLine    = regexp.MustCompile(`^(\d+) (\S+)$`) // RFC 1939 §7 UIDL
	decimal    = regexp.MustCompile(`^[1-9][0-9]*$`) // [MS-STANXPOP3] C0007
)

// compareContent compares two positive replies to a command in its plain form.
func (v *view) compareContent(words []string, ours, theirs reply) error {
	d := &difference{keyword: keywordOf(words), ours: ours, theirs: theirs}
	switch d.keyword {
	case "STAT":
		return v.compareStat(d)
	case "LIST":
		return v.compareScan(d)
	case "UIDL":
		return v.compareUIDs(d)
	case "RETR", "TOP":
		return v.compareText(d, words)
	case "CAPA":
		return d.judge(ours.body == theirs.body)
	case "DELE":
		v.marked[number(words[1])-1] = true
	case "RSET":
		clear(v.marked)
	case "QUIT":
		v.quit = true
	case "NOOP":
	default:
		return errors.New("both take a command that there is not")
	}
	return nil
}

// judge is about two replies that are the same or not.
func (d *difference) judge(same bool) error {
	if same || explained(d) {
		return nil
	}
	return errors.New("the replies differ")
}

// number reads a number that a server has taken.
func number(text string) int {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(n)
}

// pair is a line of a list.
type pair struct {
	number int
	value  string
}

// pairs reads the status line behind +OK, or the lines of a list.
func pairs(r reply, line *regexp.Regexp) ([]pair, error) {
	lines := []string{strings.TrimPrefix(r.status, "+OK ")}
	if r.multi {
		lines = strings.Split(strings.TrimSuffix(r.body, "\r\n"), "\r\n")
	}
	if r.multi && r.body == "" {
		lines = nil
	}
	var all []pair
	for _, text := range lines {
		m := line.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("a line is %q", text)
		}
		all = append(all, pair{number(m[1]), m[2]})
	}
	return all, nil
}

// bothPairs reads both lists, which must have the same numbers.
func (d *difference) bothPairs(line *regexp.Regexp) (ours, theirs []pair, err error) {
	ours, err = pairs(d.ours, line)
	theirs, otherErr := pairs(d.theirs, line)
	same := slices.EqualFunc(ours, theirs, func(a, b pair) bool { return a.number == b.number })
	if err = errors.Join(err, otherErr); err == nil && !same {
		err = errors.New("the numbers differ")
	}
	return ours, theirs, err
}

// compareStat: both count the same messages, whose sizes may differ where those that LIST gives do.
func (v *view) compareStat(d *difference) error {
	ours, theirs, err := d.bothPairs(scanLine)
	if err != nil {
		return err
	}
	delta := 0
	for i, m := range v.messages {
		if !v.marked[i] && m.delta != 0 {
			d.messages = append(d.messages, m)
			delta += m.delta
		}
	}
	return d.judgeSize(ours[0], theirs[0], delta)
}

func (d *difference) judgeSize(ours, theirs pair, delta int) error {
	d.canonical = number(ours.value) == number(theirs.value)+delta
	return d.judge(ours.value == theirs.value)
}

func (v *view) compareScan(d *difference) error {
	ours, theirs, err := d.bothPairs(scanLine)
	if err != nil {
		return err
	}
	for i := range ours {
		m, err := v.message(ours[i].number)
		if err != nil {
			return err
		}
		d.messages = []*message{m}
		if err := d.judgeSize(ours[i], theirs[i], m.delta); err != nil {
			return err
		}
	}
	return nil
}

// message gives the one that a server has shown.
func (v *view) message(number int) (*message, error) {
	if number < 1 || number > len(v.messages) {
		return nil, fmt.Errorf("a message %d is shown and there is none", number)
	}
	return v.messages[number-1], nil
}

// compareUIDs: the texts of unique-ids differ, but each server gives a message one of its own and keeps it. Those of pop3d are
// decimal numbers that rise from message to message ([MS-STANXPOP3] C0007), and none comes again (C0008).
func (v *view) compareUIDs(d *difference) error {
	ours, theirs, err := d.bothPairs(uidLine)
	if err != nil {
		return err
	}
	before := v.newest
	for i := range ours {
		m, err := v.message(ours[i].number)
		if err != nil {
			return err
		}
		uid := ours[i].value
		if !decimal.MatchString(uid) || number(uid) <= before {
			return fmt.Errorf("pop3d's unique-id %q is no decimal number above %d", uid, before)
		}
		before = number(uid)
		if err := v.learn(m, [2]string{uid, theirs[i].value}); err != nil {
			return err
		}
	}
	return nil
}

// learn takes down the unique-ids of a message.
func (v *view) learn(m *message, uids [2]string) error {
	if known := v.uids[m]; known != nil && *known != uids {
		return fmt.Errorf("the unique-ids of a message were %q and are %q", *known, uids)
	}
	v.uids[m] = &uids
	for other, known := range v.uids {
		if other != m && (known[pop3d] == uids[pop3d] || known[dovecot] == uids[dovecot]) {
			return fmt.Errorf("two messages have the unique-ids %q and %q", *known, uids)
		}
	}
	return nil
}

// newestUID gives the highest unique-id that pop3d has told so far.
func (v *view) newestUID() int {
	newest := v.newest
	for _, uids := range v.uids {
		newest = max(newest, number(uids[pop3d]))
	}
	return newest
}

// compareText compares what RETR or TOP sends.
func (v *view) compareText(d *difference, words []string) error {
	m, err := v.message(number(words[1]))
	if err != nil {
		return err
	}
	d.messages = []*message{m}
	want := m.canonical
	if d.keyword == "TOP" {
		want = m.top(number(words[2]))
	}
	d.canonical = d.ours.body == want
	return d.judge(d.ours.body == d.theirs.body)
}
