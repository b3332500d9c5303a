//go:build e2e

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func (s *service) poplib(t *testing.T, m *mailbox, mode string) (string, error) {
	t.Helper()
	return try(t, m.address()+"\n"+m.password+"\n", "python3", "testdata/fetch.py", mode, s.host(), s.ip, s.authority.file)
}

// fetched is what testdata/fetch.py prints.
type fetched struct {
	Capabilities, Messages, UIDs []string
	Count, Octets                int
}

func testPoplib(t *testing.T, s *service) {
	m := s.newMailbox(t, "poplib")
	s.send(t, m, "first")
	s.send(t, m, "second")
	want := s.checkMessages(t, m, "first", "second")
	for _, mode := range []string{"tls", "stls"} {
		output, err := s.poplib(t, m, mode)
		if err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		var got fetched
		if err := json.Unmarshal([]byte(output), &got); err != nil {
			t.Fatalf("%s: %v: %s", mode, err, output)
		}
		if got.Count != 2 || got.Octets <= 2*len(body) || !slices.Equal(got.UIDs, want) {
			t.Errorf("%s: got %+v, want 2 messages with the unique-ids %q", mode, got, want)
		}
		for i, subject := range []string{"first", "second"} {
			if text := got.Messages[i] + "\n"; !strings.Contains(text, "Subject: "+subject+"\n") || !strings.HasSuffix(text, body) {
				t.Errorf("%s: message %d is not what was sent:\n%q", mode, i+1, text)
			}
		}
	}
}
