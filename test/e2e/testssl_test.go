//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// testsslLimit: it computes half a minute, and gives way to other tests.
const testsslLimit = 10 * time.Minute

// finding is one thing that testssl.sh tells.
type finding struct{ ID, Severity, Finding string }

// excused findings are about the certificates of these tests, or about the machine of testssl.sh.
var excused = []string{
	"cert_expirationStatus", "cert_notAfter", // certificates of tests are good for one day
	"cert_revocation", // and their authority has no place to ask for a revocation
	"engine_problem",  // GOST ciphers cannot be tried with Debian's OpenSSL
}

// testTestssl has testssl.sh look for all weaknesses that it knows. It must trust the certificate.
func testTestssl(t *testing.T, s *service, w way) {
	t.Parallel()
	findings := s.testssl(t, w)
	for _, f := range findings {
		// Where something could not be tried, testssl.sh warns.
		bad := slices.Contains([]string{"WARN", "MEDIUM", "HIGH", "CRITICAL", "FATAL"}, f.Severity)
		if bad && !slices.Contains(excused, f.ID) {
			t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
	// A run that was cut short would raise nothing either.
	for _, want := range []finding{
		{"TLS1_3", "OK", "offered with final"}, {"cert_chain_of_trust", "OK", "passed."}, {"RC4", "OK", "not vulnerable"},
	} {
		if !slices.Contains(findings, want) {
			t.Errorf("testssl.sh does not tell %q; it tells\n%q", want, findings)
		}
	}
}

func (s *service) testssl(t *testing.T, w way) []finding {
	t.Helper()
	u := newUser(t, s, nil, w)
	u.trust(t, s.authority)
	command := []string{"nice", "testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", s.ip,
		"--add-ca", "ca.pem", "--jsonfile", "findings.json",
		"--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--vulnerable"}
	if w == stls {
		command = append(command, "--starttls", "pop3")
	}
	command = append(command, s.host()+":"+strconv.Itoa(w.port))
	output, _ := u.runFor(t, testsslLimit, "", command...) // its error is the number of what it found; a file that ends says more
	text, err := os.ReadFile(filepath.Join(u.home, "findings.json"))
	if err != nil {
		t.Fatalf("%v; testssl.sh said\n%s", err, output)
	}
	var findings []finding
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return findings
}
