package server

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/config"
)

// plaintext is a configuration that needs no certificate.
const plaintext = `
apiVersion: pop3d.popservice.io/v1
kind: Config
revision: "1"
listeners:
- {name: pop3, address: "127.0.0.1:0", security: Plaintext}
admin: {}
directory: {path: DIR/directory}
maildrop: {path: DIR/maildrops}
`

// writeConfig writes a configuration, with a folder of its own, and gives its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	must(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "directory"), 0o700))
	return path
}

func newTestServer(t *testing.T, text string) *server {
	t.Helper()
	s, err := newServer(Options{ConfigPath: writeConfig(t, text), Log: &bytes.Buffer{}})
	must(t, err)
	return s
}

// signalWriter is a log that tells of a line.
type signalWriter struct {
	text string
	seen chan struct{}
	once sync.Once
}

func (w *signalWriter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

// Run leaves nothing behind: TestMain looks for goroutines.
func TestRunEndsWithItsContext(t *testing.T) {
	log := &signalWriter{text: `"msg":"serving"`, seen: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	path := writeConfig(t, plaintext)
	go func() { ended <- Run(ctx, Options{ConfigPath: path, Log: log}) }()
	select {
	case <-log.seen:
	case err := <-ended:
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
}

// A port that fails for good ends the server, with an error.
func TestRunEndsWithAPort(t *testing.T) {
	s := newTestServer(t, plaintext)
	ports := s.ports()
	must(t, s.listen(t.Context(), ports))
	must(t, ports[0].listener.Close())
	if err := s.run(t.Context(), ports); err == nil || !strings.Contains(err.Error(), "accept POP3 connections") {
		t.Errorf("run gives %v", err)
	}
}

// Where one port cannot be had, none is kept.
func TestListenAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	s := newTestServer(t, plaintext)
	ports := append(s.ports(), &port{setting: "admin", address: taken.Addr().String()})
	if err := s.listen(t.Context(), ports); err == nil || !strings.HasPrefix(err.Error(), "admin.address: ") {
		t.Errorf("listen gives %v", err)
	}
	if _, err := ports[0].listener.Accept(); err == nil {
		t.Error("the first port is still open")
	}
}

func TestReadinessOfPlaintextNeedsNoCertificate(t *testing.T) {
	s := newTestServer(t, plaintext)
	if err := s.checkCertificates(t.Context()); err != nil {
		t.Error(err)
	}
	s = newTestServer(t, strings.Replace(plaintext, "Plaintext", "StartTLS", 1))
	if err := s.checkCertificates(t.Context()); err == nil {
		t.Error("ready without a certificate")
	}
}

// A directory that could be read once is good enough to serve; one that never could is not.
func TestReadinessOfTheDirectory(t *testing.T) {
	s := newTestServer(t, plaintext)
	must(t, s.checkDirectory(t.Context()))
	must(t, os.Remove(s.mailboxes.path))
	s.mailboxes.load()
	if err := s.checkDirectory(t.Context()); err != nil {
		t.Errorf("a folder that went away: %v", err)
	}
	if len(s.mailboxes.served.Load().problems) == 0 || len(s.mailboxes.status().Errors) == 0 {
		t.Error("nobody is told")
	}
	never := newMailboxes(filepath.Join(t.TempDir(), "missing"), s.log, s.beforeServing)
	s.mailboxes = never
	if err := s.checkDirectory(t.Context()); err == nil {
		t.Error("ready without a directory")
	}
}

// What belongs to a new configuration is in force before its revision is told.
func TestConfigurationIsPreparedFirst(t *testing.T) {
	s := newTestServer(t, plaintext)
	path := s.configuration.path
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), `"1"`, `"2"`, 1)+"log: {level: Error}\n"), 0o600))
	prepared := ""
	changed := s.configuration.reload(func(next *config.Config) {
		prepared = s.configuration.status().Revision + " then " + next.Revision
	})
	if !changed || prepared != "1 then 2" || s.configuration.status().Revision != "2" {
		t.Errorf("changed %v, prepared %q, status %+v", changed, prepared, s.configuration.status())
	}
	if s.log.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the log has the old level")
	}
	if s.configuration.reload(func(*config.Config) { t.Error("prepared again") }) {
		t.Error("an unchanged file is a change")
	}
}
