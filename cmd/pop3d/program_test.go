package main_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/popservice/popservice/internal/testkit"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
	"github.com/popservice/popservice/pop3server/tlstest"
)

// deadline is how long a test waits for what must come.
const deadline = 20 * time.Second

// binary is the program, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pop3d")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "pop3d")
	build := exec.Command("go", "build", "-ldflags", "-X main.version=1.2.3", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// volume is a folder that changes as the kubelet does it: all files at once, by moving the link ..data.
type volume struct {
	t       *testing.T
	path    string
	version int
}

func (v *volume) write(files map[string]string) {
	v.t.Helper()
	v.version++
	next := fmt.Sprintf("..%d", v.version)
	must(v.t, os.MkdirAll(filepath.Join(v.path, next), 0o700))
	for name, text := range files {
		must(v.t, os.WriteFile(filepath.Join(v.path, next, name), []byte(text), 0o600))
	}
	must(v.t, os.Symlink(next, filepath.Join(v.path, "..new")))
	must(v.t, os.Rename(filepath.Join(v.path, "..new"), filepath.Join(v.path, "..data")))
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.path, name)); !errors.Is(err, os.ErrExist) {
			must(v.t, err)
		}
	}
	_ = os.RemoveAll(filepath.Join(v.path, fmt.Sprintf("..%d", v.version-1)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// program is a server process with all that it reads.
type program struct {
	t           *testing.T
	dir         string
	config      config.Config
	ca          *tlstest.CA
	configFile  *volume
	mailboxes   *volume
	tlsFiles    *volume
	controlPort *volume

	process *exec.Cmd
	log     *testkit.Log
	exited  chan error
	ports   map[string]string
}

// newProgram lays out the files as the operator does it. The program is not started.
func newProgram(t *testing.T) *program {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	p := &program{
		t: t, dir: dir, ca: tlstest.NewCA(t), configFile: &volume{t: t, path: in("config")},
		mailboxes: &volume{t: t, path: in("directory")}, tlsFiles: &volume{t: t, path: in("tls")},
		controlPort: &volume{t: t, path: in("control")},
	}
	p.config = config.Config{
		APIVersion: config.APIVersion, Kind: config.Kind, Revision: "1", Hostname: "mx.example.com",
		Listeners: []config.Listener{
			{Name: "pop3", Address: "127.0.0.1:0", Security: config.StartTLS},
			{Name: "pop3s", Address: "127.0.0.1:0", Security: config.ImplicitTLS},
		},
		LMTP: &config.LMTP{Address: "127.0.0.1:0"},
		Admin: config.Admin{Address: "127.0.0.1:0", Control: &config.Control{
			Address: "127.0.0.1:0", CertFile: in("control/tls.crt"), KeyFile: in("control/tls.key"), ClientCAFile: in("control/ca.crt"),
		}},
		Directory: config.Directory{Path: in("directory")},
		Maildrop:  config.Maildrop{Path: in("var/maildrops")},
		TLS: config.TLS{Certificates: []config.Certificate{
			{Name: "default", CertFile: in("tls/default.crt"), KeyFile: in("tls/default.key")},
		}},
		Log: config.Log{Level: config.LogDebug},
	}
	p.writeConfig()
	must(t, os.Mkdir(p.tlsFiles.path, 0o700)) // it is mounted, though it may be empty
	identity := p.ca.Issue(t, "", control.ServerName)
	p.controlPort.write(map[string]string{
		"tls.crt": string(identity.Cert), "tls.key": string(identity.Key), "ca.crt": string(p.ca.PEM),
	})
	return p
}

func (p *program) writeConfig() {
	p.t.Helper()
	text, err := config.Encode(&p.config)
	must(p.t, err)
	p.configFile.write(map[string]string{"config.yaml": string(text)})
}

func (p *program) configPath() string { return filepath.Join(p.configFile.path, "config.yaml") }

// pairs gives the contents of the folder for certificates.
func pairs(named map[string]tlstest.Pair) map[string]string {
	files := make(map[string]string)
	for name, pair := range named {
		files[name+".crt"], files[name+".key"] = string(pair.Cert), string(pair.Key)
	}
	return files
}

// writeMailboxes declares mailboxes, with passwords by address; small@… has a small quota.
func (p *program) writeMailboxes(passwords map[string]string) {
	p.t.Helper()
	buckets := make(map[int][]directory.Record)
	for address, password := range passwords {
		r := directory.Record{
			ID: directory.MailboxID(address), Address: address, Owner: "mail/" + address, State: directory.Enabled,
			Credentials: []directory.Credential{{Name: "default", Verifier: verifier.Derive([]byte(password))}},
		}
		if strings.HasPrefix(address, "small@") {
			r.Quota.ProhibitReceive = 500
		}
		buckets[directory.Bucket(r.ID)] = append(buckets[directory.Bucket(r.ID)], r)
	}
	files := make(map[string]string)
	for number, records := range buckets {
		header := directory.Header{
			Version: directory.Version, Bucket: directory.BucketName(number), Revision: time.Now().UnixMilli(),
		}
		text, err := directory.Encode(header, records)
		must(p.t, err)
		files[directory.BucketFile(number)] = string(text)
	}
	p.mailboxes.write(files)
}

// prepare writes one certificate and two mailboxes.
func (p *program) prepare() *program {
	p.t.Helper()
	p.tlsFiles.write(pairs(map[string]tlstest.Pair{"default": p.ca.Issue(p.t, "", "pop.example.com")}))
	p.writeMailboxes(map[string]string{"alice@example.com": "secret-of-alice", "small@example.com": "secret-of-small"})
	return p
}

// start starts the program and waits until it serves.
func (p *program) start() *program {
	p.t.Helper()
	p.log, p.exited = &testkit.Log{}, make(chan error, 1)
	p.process = exec.Command(binary, "serve", "--config", p.configPath())
	p.process.Stderr = p.log
	must(p.t, p.process.Start())
	process, exited := p.process, p.exited
	go func() { exited <- process.Wait() }()
	p.t.Cleanup(func() { _ = process.Process.Kill() })
	p.eventually("start", func() bool { return strings.Contains(p.log.String(), `"msg":"serving"`) })
	p.ports = make(map[string]string)
	for line := range strings.Lines(p.log.String()) {
		var entry struct{ Msg, Port, Address string }
		if err := json.Unmarshal([]byte(line), &entry); err == nil && entry.Msg == "listening" {
			p.ports[entry.Port] = entry.Address
		}
	}
	return p
}

// eventually waits for what must come.
func (p *program) eventually(what string, done func() bool) {
	p.t.Helper()
	testkit.Eventually(p.t, deadline, what, done, p.log.String)
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	must(p.t, p.process.Process.Signal(s))
}

// expectExit waits for the program's end and checks its exit code; -1 is a signal.
func (p *program) expectExit(code int) {
	p.t.Helper()
	select {
	case err := <-p.exited:
		if got := p.process.ProcessState.ExitCode(); got != code {
			p.t.Fatalf("exit code %d (%v), want %d; the log:\n%s", got, err, code, p.log)
		}
	case <-time.After(deadline):
		p.t.Fatalf("still running; the log:\n%s", p.log)
	}
}

// kill ends the program as a power cut would.
func (p *program) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.expectExit(-1)
}

// status asks the control port as the operator does.
func (p *program) status() control.Status {
	p.t.Helper()
	client := &http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: p.ca.Pool(), ServerName: control.ServerName,
		Certificates: []tls.Certificate{p.ca.Issue(p.t, control.ClientName).TLS(p.t)},
	}}}
	response, err := client.Get("https://" + p.ports["control"] + control.Path)
	must(p.t, err)
	defer func() { _ = response.Body.Close() }()
	var status control.Status
	must(p.t, json.NewDecoder(response.Body).Decode(&status))
	return status
}

// ask asks the admin port.
func (p *program) ask(path string) (int, string) {
	p.t.Helper()
	client := &http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + p.ports["admin"] + path)
	must(p.t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	must(p.t, err)
	return response.StatusCode, string(body)
}

// expectMetric wants a line in /metrics.
func (p *program) expectMetric(line string) {
	p.t.Helper()
	if _, body := p.ask("/metrics"); !slices.Contains(strings.Split(body, "\n"), line) {
		p.t.Errorf("/metrics has no line %q", line)
	}
}

// refuses tells whether nobody listens any more.
func refuses(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}
