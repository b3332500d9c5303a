//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// fetch reads a message octet for octet, without the dots of transparency. Every line must end in CRLF, and no CR or LF may
// stand anywhere else: another client would take it for a line's end (RFC 1939 §3, RFC 5322 §2.1).
func (p *session) fetch(number int) ([]byte, error) {
	if _, err := p.ask("RETR %d", number); err != nil {
		return nil, fmt.Errorf("RETR %d: %w", number, err)
	}
	var text []byte
	for {
		line, err := p.R.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("RETR %d: after %d octets: %w", number, len(text), err)
		}
		if end := len(line) - 2; end < 0 || bytes.IndexByte(line, '\r') != end {
			return nil, &badLineError{number, len(text), line}
		}
		if string(line) == ".\r\n" {
			return text, nil
		}
		text = append(text, bytes.TrimPrefix(line, []byte("."))...)
	}
}

// badLineError is the server's fault, unlike a connection that breaks.
type badLineError struct {
	message, offset int
	line            []byte
}

func (e *badLineError) Error() string {
	return fmt.Sprintf("message %d: a line at octet %d has a CR or an LF that is not its end: %.80q", e.message, e.offset, e.line)
}

// exactly reads a message that must be there.
func (p *session) exactly(t *testing.T, number int) []byte {
	t.Helper()
	text, err := p.fetch(number)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fields cuts off the header fields that servers on the way have put before a message. They must have these names, in this
// order.
func fields(text []byte, names ...string) (rest []byte, err error) {
	for _, name := range names {
		if !bytes.HasPrefix(text, []byte(name+": ")) {
			return nil, fmt.Errorf("there is no field %s before %.120q", name, text)
		}
		for more := true; more; {
			_, text, _ = bytes.Cut(text, []byte("\r\n"))
			more = len(text) > 0 && (text[0] == ' ' || text[0] == '\t') // a folded field goes on
		}
	}
	return text, nil
}

// canonical is the form in which a message is stored and sent: all lines end in CRLF, and there is an empty line after the
// header.
func canonical(text string) []byte {
	lf := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	if lf != "" && !strings.HasSuffix(lf, "\n") {
		lf += "\n"
	}
	if !strings.HasPrefix(lf, "\n") && !strings.Contains(lf, "\n\n") {
		lf += "\n"
	}
	return []byte(strings.ReplaceAll(lf, "\n", "\r\n"))
}

// checkSame fails where two texts differ, and shows the place.
func checkSame(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	around := func(b []byte) []byte { return b[max(0, min(at, len(b))-40):min(len(b), at+40)] }
	t.Errorf("%s: %d octets came and not %d; they differ from octet %d on: …%q… and not …%q…", what, len(got), len(want), at,
		around(got), around(want))
}
