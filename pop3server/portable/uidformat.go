package portable

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// DovecotUIDs is how Dovecot makes unique-ids unless it is told otherwise: uid and uidvalidity, each in 8 hexadecimal digits.
const DovecotUIDs = "%08Xu%08Xv"

// UIDFormat is a value of Dovecot's setting pop3_uidl_format.
type UIDFormat struct{ parts []formatPart }

// formatPart is a text, or a variable with what is done to its value.
type formatPart struct {
	text     string
	variable byte // u, v, f or g; 0 is a text
	hex      bool
	width    int
	zeros    bool
}

// Variables of Dovecot up to 2.3 and from 2.4 on.
var (
	shortVariable = regexp.MustCompile(`^%(0?)(\d{0,2})(X?)([a-zA-Z%])`)
	longVariable  = regexp.MustCompile(`^%\{ *([a-z0-9]+) *(?:\| *hex\((\d{1,2})\) *)?\}`)
	longNames     = map[string]byte{"uid": 'u', "uidvalidity": 'v', "filename": 'f', "guid": 'g'}
)

// ParseUIDFormat reads a format: %u, %v, %f and %g (uid, uidvalidity, name of the file, GUID), with a width, zeros and X for
// hexadecimal digits as in %08Xu; or %{uid | hex(8)} and so on.
func ParseUIDFormat(format string) (*UIDFormat, error) {
	f := &UIDFormat{}
	for rest := format; rest != ""; {
		part, n, err := parsePart(rest)
		if err != nil {
			return nil, fmt.Errorf("format of unique-ids %q: %w", format, err)
		}
		f.parts = append(f.parts, part)
		rest = rest[n:]
	}
	if !f.distinguishes() {
		return nil, fmt.Errorf("format of unique-ids %q: it must have %%u, %%f or %%g, which differ from message to message", format)
	}
	return f, nil
}

func parsePart(rest string) (formatPart, int, error) {
	if rest[0] != '%' {
		text, _, _ := strings.Cut(rest, "%")
		return formatPart{text: text}, len(text), nil
	}
	if m := longVariable.FindStringSubmatch(rest); m != nil {
		width, _ := strconv.Atoi(m[2]) // at most two digits
		part := formatPart{variable: longNames[m[1]], hex: m[2] != "", width: width, zeros: true}
		return part, len(m[0]), part.check(m[0])
	}
	m := shortVariable.FindStringSubmatch(rest)
	if m == nil {
		return formatPart{}, 0, fmt.Errorf("%q is no variable that is known here", rest)
	}
	if m[4] == "%" {
		return formatPart{text: "%"}, len(m[0]), nil
	}
	width, _ := strconv.Atoi(m[2])
	part := formatPart{variable: m[4][0], hex: m[3] != "", width: width, zeros: m[1] != ""}
	return part, len(m[0]), part.check(m[0])
}

func (p formatPart) check(text string) error {
	if p.variable == 0 || !strings.ContainsRune("uvfg", rune(p.variable)) {
		return fmt.Errorf("%q is no variable that is known here: %%u, %%v, %%f and %%g are", text)
	}
	return nil
}

func (f *UIDFormat) distinguishes() bool {
	for _, p := range f.parts {
		if strings.ContainsRune("ufg", rune(p.variable)) && p.variable != 0 {
			return true
		}
	}
	return false
}

// UID gives the unique-id that Dovecot would.
func (f *UIDFormat) UID(validity uint64, r UIDRecord) string {
	values := map[byte]string{'u': strconv.FormatUint(r.UID, 10), 'v': strconv.FormatUint(validity, 10), 'f': r.File, 'g': r.GUID}
	if r.GUID == "" { // a Maildir's messages have the name of their file for one
		values['g'] = r.File
	}
	var uid strings.Builder
	for _, p := range f.parts {
		if p.variable == 0 {
			uid.WriteString(p.text)
			continue
		}
		uid.WriteString(p.apply(values[p.variable]))
	}
	return uid.String()
}

// apply does to a value what Dovecot does: a width with zeros fills up, one without cuts off.
func (p formatPart) apply(value string) string {
	if p.hex {
		n, _ := strconv.ParseUint(value, 10, 64) // what is no number counts as 0
		value = strconv.FormatUint(n, 16)
	}
	switch {
	case p.zeros && len(value) < p.width:
		return strings.Repeat("0", p.width-len(value)) + value
	case !p.zeros && p.width > 0 && len(value) > p.width:
		return value[:p.width]
	}
	return value
}
