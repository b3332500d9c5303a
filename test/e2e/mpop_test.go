//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// mpopRun says how mpop is to fetch. dir holds its mail and its list of unique-ids between runs.
type mpopRun struct {
	tls, starttls, auth string
	port                int
	dir                 string
}

const mpopConfig = `account default
host %s
port %d
timeout 30
tls %s
tls_starttls %s
tls_trust_file %s
auth %s
user %s
password %s
keep on
uidls_file %s/uidls
delivery maildir %[9]s/Maildir
received_header off
`

func (s *service) mpop(t *testing.T, m *mailbox, run mpopRun) (string, error) {
	t.Helper()
	for _, folder := range []string{"new", "cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(run.dir, "Maildir", folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(mpopConfig, s.ip, run.port, run.tls, run.starttls, s.authority.file, run.auth,
		m.address(), m.password, run.dir)
	file := filepath.Join(run.dir, "mpoprc")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// mpop asks DNS for its own name, and there is none that would answer.
	return try(t, "", "env", "RES_OPTIONS=timeout:1 attempts:1", "mpop", "--file="+file)
}

// testMpop fetches with each way of TLS and login. mail stays on the server, and a second run must know all of it.
func testMpop(t *testing.T, s *service) {
	m := s.newMailbox(t, "mpop")
	s.send(t, m, "first")
	s.send(t, m, "second")
	for _, run := range []mpopRun{
		{tls: "on", starttls: "off", port: 995, auth: "user"},
		{tls: "on", starttls: "off", port: 995, auth: "plain"},
		{tls: "on", starttls: "on", port: 110, auth: "user"},
		{tls: "on", starttls: "on", port: 110, auth: "plain"},
	} {
		t.Run(fmt.Sprintf("%s on %d", run.auth, run.port), func(t *testing.T) {
			run.dir = t.TempDir()
			for _, round := range []string{"first", "second"} {
				if output, err := s.mpop(t, m, run); err != nil {
					t.Fatalf("%s run: %v\n%s", round, err, output)
				}
				checkFetched(t, run.dir, 2)
			}
		})
	}
	s.checkNewMailAlone(t, m)
}

// checkNewMailAlone fetches again after one more message came.
func (s *service) checkNewMailAlone(t *testing.T, m *mailbox) {
	t.Helper()
	run := mpopRun{tls: "on", starttls: "off", port: 995, auth: "plain", dir: t.TempDir()}
	for want := 2; want <= 3; want++ {
		if output, err := s.mpop(t, m, run); err != nil {
			t.Fatalf("mpop: %v\n%s", err, output)
		}
		checkFetched(t, run.dir, want)
		s.send(t, m, "one more")
	}
}

func checkFetched(t *testing.T, dir string, want int) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, "Maildir", "new"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != want {
		t.Errorf("mpop has fetched %d messages in all, want %d", len(files), want)
	}
}
