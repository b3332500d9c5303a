package lmtp

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxAddressOctets bounds an address: 64 octets, "@" and 255 (RFC 5321 §4.5.3.1).
const maxAddressOctets = 320

// command is a command line.
type command struct {
	verb     string // in upper case
	argument string
}

// parseCommand fails where a line has what no command has; it could end a line of a header, or of somebody's terminal.
func parseCommand(line string) (c command, ok bool) {
	if !utf8.ValidString(line) || strings.ContainsFunc(line, isControl) {
		return command{}, false
	}
	verb, argument, _ := strings.Cut(line, " ")
	return command{strings.ToUpper(verb), strings.Trim(argument, " ")}, true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// cutKeyword takes "FROM:" or "TO:" off an argument. Some clients put a space behind it.
func cutKeyword(argument, keyword string) (string, bool) {
	if len(argument) < len(keyword) || !strings.EqualFold(argument[:len(keyword)], keyword) {
		return "", false
	}
	return strings.TrimLeft(argument[len(keyword):], " "), true
}

// cutPath takes a path off an argument (RFC 5321 §4.1.2) and gives its address without quotes, empty for "<>".
func cutPath(argument string) (address, rest string, ok bool) {
	if rest, ok = strings.CutPrefix(argument, "<>"); ok {
		return "", rest, rest == "" || rest[0] == ' '
	}
	if rest, ok = strings.CutPrefix(argument, "<"); !ok {
		return "", "", false
	}
	if strings.HasPrefix(rest, "@") { // a source route, which is ignored: RFC 5321 §3.6.1
		if _, rest, ok = strings.Cut(rest, ":"); !ok {
			return "", "", false
		}
	}
	local, rest, ok := cutLocalPart(rest)
	if !ok {
		return "", "", false
	}
	domain, rest, closed := strings.Cut(rest, ">")
	address = local + "@" + domain
	ok = closed && isDomain(domain) && len(address) <= maxAddressOctets && (rest == "" || rest[0] == ' ')
	return address, rest, ok
}

// cutLocalPart takes a local part and its "@" off a path.
func cutLocalPart(path string) (local, rest string, ok bool) {
	if strings.HasPrefix(path, `"`) {
		local, rest, ok = cutQuoted(path[1:])
	} else if i := strings.IndexAny(path, `@<>()[]\,;:" `); i > 0 {
		local, rest, ok = path[:i], path[i:], true
	}
	rest, at := strings.CutPrefix(rest, "@")
	return local, rest, ok && at && local != ""
}

// cutQuoted takes the rest of a quoted string off a text.
func cutQuoted(text string) (content, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:], true
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}

// isDomain tells of a domain or an address literal; that there is such a one is not asked.
func isDomain(domain string) bool {
	inner := domain
	if strings.HasPrefix(domain, "[") && strings.HasSuffix(domain, "]") {
		inner = strings.ReplaceAll(domain[1:len(domain)-1], ":", ".")
	}
	return inner != "" && !strings.ContainsAny(inner, `@<>()[]\,;:" `)
}

// parseParameters gives the parameters behind a path (RFC 5321 §4.1.2). It fails where one stands there twice.
func parseParameters(text string) (map[string]string, bool) {
	parameters := make(map[string]string)
	for _, parameter := range strings.Fields(text) {
		keyword, value, _ := strings.Cut(parameter, "=")
		keyword = strings.ToUpper(keyword)
		if _, twice := parameters[keyword]; twice {
			return nil, false
		}
		parameters[keyword] = value
	}
	return parameters, true
}

// parseSize reads a number of octets (RFC 1870 §5). One that is too large to be counted is as good as any that is too large.
func parseSize(text string) (octets int64, ok bool) {
	const digits = 20
	if text == "" || len(text) > digits || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	octets, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return octets, true
}

// parseChunk reads BDAT's argument (RFC 3030 §2).
func parseChunk(argument string) (octets int64, last, ok bool) {
	size, rest, _ := strings.Cut(argument, " ")
	rest = strings.Trim(rest, " ")
	last = strings.EqualFold(rest, "LAST")
	octets, ok = parseSize(size)
	return octets, last, ok && (last || rest == "") && octets < math.MaxInt64
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}
