package pop3

import (
	"bytes"
	"errors"
	"math"
)

// errControl says that a command line has a control character, which none may have.
var errControl = errors.New("control character in a command line")

// command is a command line taken apart. Its parts lie in the line.
type command struct {
	keyword  []byte // upper case; empty for an empty line
	argument arguments
}

// arguments is what follows the keyword and the separators behind it, up to the line's end.
type arguments []byte

// parseCommand takes apart a line that ends in LF or CRLF, and turns its keyword to upper case in place.
//
// RFC 1939 §3: "Keywords and arguments consist of printable ASCII characters." Octets above ASCII are let through, for names
// and passwords have them; of control characters, only HT is, as a separator ([MS-STANXPOP3] §2.1.1).
func parseCommand(line []byte) (command, error) {
	line = trimLineEnd(line)
	if bytes.ContainsFunc(line, isControl) {
		return command{}, errControl
	}
	keyword, argument := cutWord(line)
	for i, c := range keyword {
		if 'a' <= c && c <= 'z' { // RFC 1939 §3: keywords are case-insensitive
			keyword[i] = c - 'a' + 'A'
		}
	}
	return command{keyword, argument}, nil
}

// trimLineEnd takes off LF and one CR before it.
func trimLineEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func isSeparator(c byte) bool { return c == ' ' || c == '\t' }

// cutWord parts a text after its first word. [MS-STANXPOP3] §2.1.1: one or more SP or HT separate. RFC 1939 wants a single SP.
func cutWord(text []byte) (word, rest []byte) {
	end := 0
	for end < len(text) && !isSeparator(text[end]) {
		end++
	}
	next := end
	for next < len(text) && isSeparator(text[next]) {
		next++
	}
	return text[:end], text[next:]
}

// none tells whether there is no argument.
func (a arguments) none() bool { return len(a) == 0 }

// one gives the argument, if there is exactly one.
func (a arguments) one() ([]byte, bool) {
	first, rest := cutWord(a)
	return first, len(first) > 0 && len(rest) == 0
}

// two gives both arguments, if there are exactly two.
func (a arguments) two() (first, second []byte, ok bool) {
	first, rest := cutWord(a)
	second, rest = cutWord(rest)
	return first, second, len(second) > 0 && len(rest) == 0
}

// parseNumber reads a message-number: decimal digits without a sign, 1 or more. It need not be one of the maildrop's.
func parseNumber(text []byte) (number int, ok bool) {
	n, ok := parseCount(text)
	return int(min(n, math.MaxInt)), ok && 0 < n && n <= math.MaxUint32
}

// parseCount reads a non-negative number of decimal digits. One that is too large becomes the largest: more lines than any
// message has.
func parseCount(text []byte) (count int64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		if count > (math.MaxInt64-9)/10 {
			count = math.MaxInt64
			continue
		}
		count = count*10 + int64(c-'0')
	}
	return count, len(text) > 0
}
