//go:build differential

package differential

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"
)

// trial is a mailbox and the scripts that are played with it, one after the other.
type trial struct {
	messages []*message
	scripts  []script
}

// script is what a client sends in one session.
type script struct {
	lines     []string // with their ends
	rest      string   // the beginning of a line that never ends: the client is gone
	pipelined bool     // all at once; otherwise the client waits for each reply
	visit     *visit   // nil if there is none
}

// Generators shrink towards what comes first or is smallest, so the plainest stands there.
var (
	counts = []int{0, 1, 2, 3, 4, 5, 6, 8, 2, 3, 4, 5, 6, 8, 2, 3, 4, 5, 6, 8, 20, 60}
	names  = slices.SortedFunc(maps.Keys(corpus), func(a, b string) int { return len(corpus[a]) - len(corpus[b]) })
	// many are short, so that a mailbox with many messages is made quickly.
	manyNames = names[:12]
	octets    = []byte("a.\n\r :\x00\xff")
)

func drawTrial(t *rapid.T) trial {
	count := rapid.SampledFrom(counts).Draw(t, "number of messages")
	choice := names
	if count > 8 {
		choice = manyNames
	}
	var trial trial
	for i := range count {
		trial.messages = append(trial.messages, drawMessage(t, i+1, choice))
	}
	trial.scripts = []script{drawScript(t, count)}
	if !trial.scripts[0].pipelined && rapid.Bool().Draw(t, "visit") {
		trial.scripts[0].visit = drawVisit(t, count, len(trial.scripts[0].lines))
	}
	if oneIn(t, 4) {
		trial.scripts = append(trial.scripts, drawScript(t, count))
	}
	return trial
}

func drawMessage(t *rapid.T, number int, choice []string) *message {
	name := rapid.SampledFrom(choice).Draw(t, "message")
	text := corpus[name]
	if oneIn(t, 6) {
		text = string(rapid.SliceOfN(rapid.SampledFrom(octets), 0, 40).Draw(t, "text"))
	}
	return newMessage(number, rapid.IntRange(0, 20).Draw(t, "phase"), text)
}

// drawVisit makes what others do during a session of so many lines.
func drawVisit(t *rapid.T, messages, lines int) *visit {
	v := &visit{before: rapid.IntRange(0, lines).Draw(t, "visit before")}
	if rapid.Bool().Draw(t, "a message arrives") {
		v.arrives = drawMessage(t, messages+1, names)
	}
	for number := 1; number <= messages; number++ {
		if oneIn(t, 3) {
			v.removed = append(v.removed, number)
		}
	}
	return v
}

// oneIn is true once in n times.
func oneIn(t *rapid.T, n int) bool { return rapid.IntRange(1, n).Draw(t, "of "+strconv.Itoa(n)) == n }

// ends are the ways in which a script ends: well or not, within a line or with one that is longer than pop3d takes.
var ends = []string{
	"QUIT\r\n", "QUIT\r\n", "QUIT\r\n", "quit\r\n", "QUIT\n", "QUIT \r\n", "QUIT x\r\n", "QUIT\t\r\n",
	"", "", "QUIT", "QUIT\r", "DELE 1", strings.Repeat("x", 600) + "\r\n",
}

func drawScript(t *rapid.T, messages int) script {
	command := rapid.Custom(func(t *rapid.T) string { return drawLine(t, messages) })
	s := script{
		lines:     spaced(rapid.SliceOfN(command, 0, 30).Draw(t, "lines")),
		pipelined: rapid.Bool().Draw(t, "pipelined"),
	}
	end := rapid.SampledFrom(ends).Draw(t, "end")
	if strings.HasSuffix(end, "\n") {
		s.lines = append(s.lines, end)
	} else {
		s.rest = end
	}
	return s
}

// spaced puts a good command between bad ones: both servers close the connection after too many of them in a row
// ([MS-STANXPOP3] C0005), and what counts as bad is up to each.
func spaced(lines []string) []string {
	var all []string
	for chunk := range slices.Chunk(lines, 6) {
		all = append(append(all, chunk...), "NOOP\r\n")
	}
	return all
}

var (
	plain    = []string{"STAT", "NOOP", "RSET", "CAPA"}
	numbered = []string{"RETR", "DELE", "LIST", "UIDL", "DELE"}
	junk     = []string{
		"", " ", "XTND", "LAST", "STATX", "STA", "é", "USER alice", "PASS secret", "AUTH", "AUTH PLAIN", "STLS", "APOP a b",
		"GET / HTTP/1.1", " STAT", "\tSTAT", "RETR1", "LIST\x001", "NOOP\r", "STAT\rNOOP", "\x00", "DELE 1\x7f", "TOP", "+OK", ".",
	}
	wrongNumbers = []string{
		"0", "-1", "+1", "1x", "x", "1.0", "0x1", "", "00", "4294967295", "4294967296", "4294967297", "2147483648",
		"18446744073709551617", strings.Repeat("9", 60), "\"1\"", "1,2",
	}
	lineCounts = []string{
		"0", "1", "2", "3", "10", "100000", "007", "2147483647", "4294967296", "18446744073709551615", "18446744073709551616",
		strings.Repeat("9", 60), "-1", "+1", "x", "", "1x",
	}
	separators = []string{" ", " ", " ", " ", "  ", "\t", " ", " ", " ", " ", " ", " ", "\t\t", " \t", "\t "}
	trailing   = []string{"", "", "", "", "", "", "", "", "", "", "", "", " ", "   ", "\t", " \t", " 1", " x", "  1"}
	lineEnds   = []string{"\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n"}
)

// drawLine makes a command line for a mailbox with so many messages.
func drawLine(t *rapid.T, messages int) string {
	pick := func(from []string) string { return rapid.SampledFrom(from).Draw(t, "") }
	var line string
	switch kind := rapid.IntRange(0, 19).Draw(t, "kind"); {
	case kind < 5:
		line = pick(plain)
	case kind < 7:
		line = pick([]string{"LIST", "UIDL"})
	case kind < 15:
		line = pick(numbered) + pick(separators) + drawNumber(t, messages)
	case kind < 18:
		line = "TOP" + pick(separators) + drawNumber(t, messages) + pick(separators) + pick(lineCounts)
	case kind < 19:
		return pick(junk) + pick(lineEnds)
	case oneIn(t, 3):
		line = "QUIT"
	}
	return drawCase(t, line) + pick(trailing) + pick(lineEnds)
}

// drawNumber makes a message-number, which is a good one more often than not.
func drawNumber(t *rapid.T, messages int) string {
	if oneIn(t, 5) {
		return rapid.SampledFrom(wrongNumbers).Draw(t, "")
	}
	number := rapid.IntRange(1, messages+1).Draw(t, "")
	if oneIn(t, 12) {
		return fmt.Sprintf("%030d", number)
	}
	return fmt.Sprint(number)
}

// drawCase writes a line in capitals, in small letters or in both (RFC 1939 §3: keywords are case-insensitive).
func drawCase(t *rapid.T, line string) string {
	switch rapid.IntRange(0, 7).Draw(t, "case") {
	case 6:
		return strings.ToLower(line)
	case 7:
		return strings.ToLower(line[:len(line)/2]) + line[len(line)/2:]
	}
	return line
}

// inventory is the script that shows all that is in a mailbox, and then removes it.
func inventory(messages int) script {
	lines := []string{"STAT\r\n", "LIST\r\n", "UIDL\r\n"}
	for i := range messages {
		lines = append(lines, fmt.Sprintf("RETR %d\r\n", i+1), fmt.Sprintf("DELE %d\r\n", i+1))
	}
	return script{lines: append(lines, "STAT\r\n", "QUIT\r\n"), pipelined: true}
}
