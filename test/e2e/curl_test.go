//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/popservice/popservice/api/v1alpha1"
)

// curl fetches message 1. The certificate must be one of the service's authority for the service's name.
func (s *service) curl(t *testing.T, m *mailbox, scheme string, port int, options ...string) (string, error) {
	t.Helper()
	args := append([]string{
		"--silent", "--show-error", "--verbose", "--max-time", "30", "--ssl-reqd", "--cacert", s.authority.file,
		"--resolve", fmt.Sprintf("%s:%d:%s", s.host(), port, s.ip), "--config", "-",
	}, options...)
	// The password goes in by the standard input, so that it is in no error's command line.
	user := fmt.Sprintf("user = %q\n", m.address()+":"+m.password)
	return try(t, user, "curl", append(args, fmt.Sprintf("%s://%s:%d/1", scheme, s.host(), port))...)
}

func testCurl(t *testing.T, s *service) {
	m := s.newMailbox(t, "curl")
	s.send(t, m, "for curl")
	for _, test := range []struct {
		name, scheme string
		port         int
		said         string
	}{
		{"POP3S", "pop3s", 995, "> AUTH PLAIN"},
		{"STLS", "pop3", 110, "> STLS"},
	} {
		output, err := s.curl(t, m, test.scheme, test.port, "--login-options", "AUTH=PLAIN")
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, want := range []string{test.said, "> AUTH PLAIN", "Subject: for curl\r\n", "..two dots"[1:]} {
			if !strings.Contains(output, want) {
				t.Errorf("%s: curl's output lacks %q:\n%s", test.name, want, output)
			}
		}
	}
}

// TestMechanismsChangeInFlight takes PLAIN away from a running server: curl, which prefers it, then logs in by USER and PASS.
func TestMechanismsChangeInFlight(t *testing.T) {
	t.Parallel()
	s := newService(t, "mechanisms")
	m := s.newMailbox(t, "curl")
	s.send(t, m, "for curl")
	before := s.pod(t)
	change(t, s.PopService, func(pop *v1alpha1.PopService) {
		pop.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismUser}
	})
	awaitReady(t, s.PopService)
	for scheme, port := range map[string]int{"pop3s": 995, "pop3": 110} {
		output, err := s.curl(t, m, scheme, port)
		if err != nil {
			t.Errorf("%s: %v", scheme, err)
			continue
		}
		for _, want := range []string{"> USER " + m.address(), "> PASS ", "Subject: for curl\r\n"} {
			if !strings.Contains(output, want) {
				t.Errorf("%s: curl's output lacks %q:\n%s", scheme, want, output)
			}
		}
	}
	s.checkNotRestarted(t, before)
}

var curlClient = mailClient{
	name: "curl", ways: both, heading: "curl", file: ".curlrc", fetch: fetchByCurl,
	listing: "2 messages, OCTETS octets", complaint: "certificate problem",
}

// fetchByCurl remembers the unique-ids of what it has fetched, for curl does not.
func fetchByCurl(t *testing.T, u *mailUser, remove bool) (string, error) {
	t.Helper()
	listing, err := u.curl(t, "")
	if err != nil {
		return listing, err
	}
	uids, err := u.curl(t, "", "--request", "UIDL")
	if err != nil {
		return uids, err
	}
	// From the last message on, for each curl is a session of its own, where what follows a removed message has moved up.
	lines := slices.Collect(strings.Lines(uids))
	for _, line := range slices.Backward(lines) {
		number, uid, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err := u.curlMessage(t, number, uid, remove); err != nil {
			return "", err
		}
	}
	octets := 0
	for line := range strings.Lines(listing) {
		var number, size int
		if _, err := fmt.Sscanf(line, "%d %d", &number, &size); err != nil {
			t.Fatalf("curl lists %q", line)
		}
		octets += size
	}
	return fmt.Sprintf("%d messages, %d octets", len(lines), octets), nil
}

// curlMessage fetches a message that has not been fetched before, and may remove it.
func (u *mailUser) curlMessage(t *testing.T, number, uid string, remove bool) error {
	t.Helper()
	if known := filepath.Join(u.home, "known-"+uid); !exists(known) {
		if _, err := u.curl(t, number, "--output", "Maildir/new/"+uid); err != nil {
			return err
		}
		u.write(t, filepath.Base(known), "")
	}
	if !remove {
		return nil
	}
	_, err := u.curl(t, number, "--head", "--request", "DELE")
	return err
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// curl runs curl with the user's .curlrc.
func (u *mailUser) curl(t *testing.T, what string, options ...string) (string, error) {
	t.Helper()
	return u.run(t, "", append(append([]string{"curl", "--silent", "--show-error"}, options...), u.url(what))...)
}
