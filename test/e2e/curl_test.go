//go:build e2e

package e2e

import (
	"fmt"
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

// testCertificateIsVerified shows that the clients of these tests do check: they refuse a server of another authority.
func testCertificateIsVerified(t *testing.T, s *service) {
	stranger := *s
	stranger.authority = newAuthority(t)
	m := &mailbox{Mailbox: mailboxOf(s.PopService, "curl"), password: newPassword()}
	if output, err := stranger.curl(t, m, "pop3s", 995); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("curl did not complain of the certificate: %v\n%s", err, output)
	}
	if output, err := stranger.poplib(t, m, "tls"); err == nil || !strings.Contains(err.Error(), "CERTIFICATE_VERIFY_FAILED") {
		t.Errorf("poplib did not complain of the certificate: %v\n%s", err, output)
	}
	run := mpopRun{tls: "on", starttls: "off", port: 995, auth: "plain", dir: t.TempDir()}
	if output, err := stranger.mpop(t, m, run); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("mpop did not complain of the certificate: %v\n%s", err, output)
	}
}
