//go:build differential

package differential

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// explanation is why a difference is meant.
type explanation struct {
	id   string // of the statement that asks for it: of [MS-STANXPOP3], of an RFC, or Dovecot, where only that differs
	what string
	met  int
}

// formDifference is a form of command that one of the servers refuses and the other one may take. The one that refuses gets
// the command again in a plain form, so that both stay in step and what they answer can be compared all the same.
type formDifference struct {
	explanation
	refuser int
	// plain gives the plain form, if the line has the form. Neither has a line end.
	plain func(line string) (string, bool)
}

var formDifferences = []*formDifference{
	{
		explanation{id: "RFC 1939 §3", what: "a command has no NUL; Dovecot reads the line as far as that"},
		pop3d, func(line string) (string, bool) {
			before, _, found := strings.Cut(line, "\x00")
			return before, found
		},
	},
	{
		explanation{id: "RFC 1939 §5", what: "STAT, NOOP, RSET, CAPA and QUIT have no arguments; Dovecot passes over them"},
		pop3d, withoutArguments,
	},
	{
		explanation{id: "[MS-STANXPOP3] §2.1.1", what: "HT separates too; Dovecot knows SP alone"},
		dovecot, withoutTabs,
	},
	{
		explanation{id: "[MS-STANXPOP3] §2.1.1", what: "SP behind the last argument is nothing; Dovecot refuses it as noise"},
		dovecot, withoutTrailingBlanks,
	},
	{
		explanation{id: "RFC 1939 §7 TOP", what: "any number of lines is good; Dovecot takes 64 bits"},
		dovecot, withSmallCount,
	},
}

var withArgument = regexp.MustCompile(`^((?i:STAT|NOOP|RSET|CAPA|QUIT)) .*[^ \t]`)

func withoutArguments(line string) (string, bool) {
	m := withArgument.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// The commands without arguments are told from noise behind SP, which Dovecot passes over, HT included.
var (
	bareWithTab     = regexp.MustCompile(`^(?i:STAT|NOOP|RSET|CAPA|QUIT)\t[ \t]*$`)
	numberedWithTab = regexp.MustCompile(`^(?i:LIST|UIDL|RETR|DELE|TOP)[ \t].*`)
)

func withoutTabs(line string) (string, bool) {
	if !strings.Contains(line, "\t") || !bareWithTab.MatchString(line) && !numberedWithTab.MatchString(line) {
		return "", false
	}
	return strings.Join(wordsOf(line), " "), true
}

var trailingBlanks = regexp.MustCompile(`^((?i:LIST|UIDL|RETR|DELE|TOP) +[^ ](?:.*[^ ])?) +$`)

func withoutTrailingBlanks(line string) (string, bool) {
	return strings.TrimRight(line, " "), trailingBlanks.MatchString(line)
}

var (
	topCommand = regexp.MustCompile(`^((?i:TOP) +\d+) +(\d+)$`)
	largest    = new(big.Int).SetUint64(1<<64 - 1)
)

func withSmallCount(line string) (string, bool) {
	m := topCommand.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	count, _ := new(big.Int).SetString(m[2], 10)
	return m[1] + " 4294967296", count.Cmp(largest) > 0
}

// contentDifference is one in what a positive reply has.
type contentDifference struct {
	explanation
	explains func(d *difference) bool
}

var contentDifferences = []*contentDifference{
	{
		explanation{id: "[MS-STANXPOP3] V0007", what: "CAPA: Exchange's set; Dovecot has extensions of its own"},
		func(d *difference) bool {
			return d.keyword == "CAPA" && d.ours.body == "TOP\r\nUIDL\r\nSASL PLAIN\r\nUSER\r\n" &&
				d.theirs.body == "CAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n"
		},
	},
	{
		explanation{id: "[MS-STANXPOP3] §2.1.5", what: "an exact size counts the line end that is added; Dovecot adds it uncounted"},
		func(d *difference) bool {
			return d.isSize() && d.ofCanonical(func(m defects) bool { return m.endsMidLine })
		},
	},
	{
		explanation{id: "[MS-STANXPOP3] C0011", what: "a header has a blank line behind it; Dovecot has what is in the file"},
		func(d *difference) bool { return d.ofCanonical(func(m defects) bool { return m.hasNoBlank }) },
	},
	{
		explanation{id: "[MS-STANXPOP3] C0011", what: "a bare CR is a line end; Dovecot has what is in the file"},
		func(d *difference) bool { return d.ofCanonical(func(m defects) bool { return m.hasBareCR }) },
	},
	{
		explanation{id: "[MS-STANXPOP3] C0011", what: "CR CR LF is one line end; Dovecot has what is in the file"},
		func(d *difference) bool { return d.ofCanonical(func(m defects) bool { return m.hasDoubledCR }) },
	},
	{
		explanation{id: "[MS-STANXPOP3] C0011", what: "NUL is no character of a message; Dovecot has what is in the file"},
		func(d *difference) bool {
			return !d.isSize() && d.ofCanonical(func(m defects) bool { return m.hasNUL })
		},
	},
}

// explanations gives all of both kinds.
func explanations() (all []*explanation) {
	for _, f := range formDifferences {
		all = append(all, &f.explanation)
	}
	for _, c := range contentDifferences {
		all = append(all, &c.explanation)
	}
	return all
}

// explained tells whether a difference is meant, and counts it.
func explained(d *difference) bool {
	found := false
	for _, c := range contentDifferences {
		if c.explains(d) {
			c.met++
			found = true
		}
	}
	return found
}

// isSize: the difference is one of sizes.
func (d *difference) isSize() bool { return d.keyword == "STAT" || d.keyword == "LIST" }

// ofCanonical: pop3d has what the messages' canonical form gives, and one of them is such as the function tells.
func (d *difference) ofCanonical(such func(defects) bool) bool {
	return d.canonical && slices.ContainsFunc(d.messages, func(m *message) bool { return such(m.defects) })
}

// command is a line of a script.
type command struct {
	line string
	// plain is the line without what one of the servers would refuse; it has the same meaning for both.
	plain string
	// forms are what each server gets: the line, and, where it refuses that, plainer ones.
	forms [2][]string
	// differences are those that the line has met if the other server takes it.
	differences []*formDifference
}

func (c command) isQuit() bool { return keywordOf(wordsOf(c.plain)) == "QUIT" }

// commandOf finds the forms of a line.
func commandOf(line string) command {
	c := command{line: line, forms: [2][]string{{line}, {line}}}
	text := strings.TrimRight(line, "\r\n")
	end := line[len(text):]
	for _, d := range formDifferences {
		if plain, ok := d.plain(text); ok {
			text = plain
			c.forms[d.refuser] = append(c.forms[d.refuser], plain+end)
			c.differences = append(c.differences, d)
		}
	}
	c.plain = text
	return c
}

func commandsOf(lines []string) []command {
	all := make([]command, len(lines))
	for i, line := range lines {
		all[i] = commandOf(line)
	}
	return all
}
