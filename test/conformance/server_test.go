package conformance

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/popservice/popservice/internal/testkit"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
	"github.com/popservice/popservice/pop3server/tlstest"
)

const (
	alice    = "alice@example.com"
	password = "correct horse"
	nobody   = "nobody@example.com" // is no mailbox
	hello    = "Subject: hello\r\n\r\nHello, Alice.\r\n"
)

// passwordVerifier is what the servers check the password against; to make it takes time.
var passwordVerifier = sync.OnceValue(func() string { return verifier.Derive([]byte(password)) })

// foreignMailbox is held by the test that uses the mailbox of a foreign server.
var foreignMailbox sync.Mutex

// server is a POP3 server with one mailbox that is empty and belongs to this test.
type server struct {
	t         *testing.T
	pop3      string
	pop3s     string // where it begins with TLS; empty if nowhere is known
	lmtp      string
	user      string
	password  string
	recipient string
	own       *process // nil of a foreign server
}

// served gives a server with the settings that it has by default.
func served(t *testing.T) *server {
	t.Helper()
	if *foreignServer == "" {
		return serverWith(t, "", usual)
	}
	s := &server{
		t: t, pop3: *foreignServer, pop3s: *foreignTLS, lmtp: *foreignLMTP,
		user: *foreignUser, password: *foreignPassword, recipient: *foreignRecipient,
	}
	foreignMailbox.Lock()
	t.Cleanup(foreignMailbox.Unlock)
	s.empty()
	return s
}

// serverWith gives a server with settings of its own, and further mailboxes, which only pop3d can be given: needs says why.
func serverWith(t *testing.T, needs string, set func(*config.Config), others ...directory.Record) *server {
	t.Helper()
	if *foreignServer != "" { // tests of pop3d itself are never skipped
		t.Skipf("cannot be known of a foreign server: %s", needs)
	}
	p := newProcess(t)
	set(&p.config)
	p.declare(append(others, directory.Record{Address: alice})...)
	p.start()
	return p.server()
}

// usual leaves all settings as they are by default.
func usual(*config.Config) {}

// empty removes all mail.
func (s *server) empty() {
	s.t.Helper()
	c := s.login()
	count, _ := c.numbers("STAT")
	for n := range count {
		c.ok(fmt.Sprintf("DELE %d", n+1))
	}
	c.quit()
}

// connect connects in the clear and reads the greeting.
func (s *server) connect() *client {
	s.t.Helper()
	c := dial(s.t, s.pop3)
	c.status()
	return c
}

// secure gives a connection on which a login is possible: with TLS, if the server has it.
func (s *server) secure() *client {
	s.t.Helper()
	if s.pop3s != "" {
		c := dialTLS(s.t, s.pop3s)
		c.status()
		return c
	}
	c := s.connect()
	if strings.Contains(strings.Join(c.capa(), "\n"), "STLS") {
		return c.stls()
	}
	return c
}

// login opens a session in the mailbox.
func (s *server) login() *client {
	s.t.Helper()
	c := s.secure()
	c.sendLogin(s.user, s.password)
	if line := c.loginReply(s.user, s.password); !strings.HasPrefix(line, "+OK") {
		c.fatalf("the login gives %q", line)
	}
	return c
}

// deliver puts messages into the mailbox.
func (s *server) deliver(messages ...string) {
	s.t.Helper()
	c := lmtp(s.t, s.lmtp)
	for _, message := range messages {
		c.want("250", c.deliver(s.recipient, message))
	}
	c.send("QUIT\r\n")
	c.want("221", c.code())
}

// eventually waits for what must come.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	testkit.Eventually(t, patience, what, done, nil)
}

// process is a pop3d of our own with all that it reads.
type process struct {
	t       *testing.T
	dir     string
	config  config.Config
	command *exec.Cmd
	log     *testkit.Log
	exited  chan struct{}
	ports   map[string]string
}

// newProcess lays out the files. Nothing is started and there is no mailbox.
func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir()}
	p.config = config.Config{
		APIVersion: config.APIVersion, Kind: config.Kind, Hostname: "mx.example.com",
		Listeners: []config.Listener{
			{Name: "pop3", Address: "127.0.0.1:0", Security: config.StartTLS},
			{Name: "pop3s", Address: "127.0.0.1:0", Security: config.ImplicitTLS},
		},
		LMTP:      &config.LMTP{Address: "127.0.0.1:0"},
		Directory: config.Directory{Path: p.path("directory")},
		Maildrop:  config.Maildrop{Path: p.path("maildrops")},
		TLS: config.TLS{Certificates: []config.Certificate{
			{Name: "default", CertFile: p.path("tls.crt"), KeyFile: p.path("tls.key")},
		}},
	}
	must(t, os.Mkdir(p.path("directory"), 0o700))
	tlstest.NewCA(t).Issue(t, "", "pop.example.com").Write(t, p.path("tls.crt"), p.path("tls.key"))
	return p
}

func (p *process) path(name string) string { return filepath.Join(p.dir, name) }

// declare writes mailboxes of which the address is given, and what differs from an ordinary one. Buckets of others stay.
func (p *process) declare(records ...directory.Record) {
	p.t.Helper()
	buckets := make(map[int][]directory.Record)
	for _, r := range records {
		r.ID, r.Owner, r.State = directory.MailboxID(r.Address), "mail/"+r.Address, directory.Enabled
		if r.Credentials == nil {
			r.Credentials = []directory.Credential{{Name: "default", Verifier: passwordVerifier()}}
		}
		buckets[directory.Bucket(r.ID)] = append(buckets[directory.Bucket(r.ID)], r)
	}
	for number, records := range buckets {
		header := directory.Header{
			Version: directory.Version, Bucket: directory.BucketName(number), Revision: time.Now().UnixMilli(),
		}
		text, err := directory.Encode(header, records)
		must(p.t, err)
		must(p.t, os.WriteFile(p.path("directory/.new"), text, 0o600))
		must(p.t, os.Rename(p.path("directory/.new"), p.path("directory/"+directory.BucketFile(number))))
	}
}

// configure changes the configuration file, of a server that runs too.
func (p *process) configure(set func(*config.Config)) {
	p.t.Helper()
	set(&p.config)
	text, err := config.Encode(&p.config)
	must(p.t, err)
	must(p.t, os.WriteFile(p.path(".new.yaml"), text, 0o600))
	must(p.t, os.Rename(p.path(".new.yaml"), p.path("config.yaml")))
}

// start starts the program and waits until it serves.
func (p *process) start() {
	p.t.Helper()
	p.configure(usual)
	p.log, p.exited = &testkit.Log{}, make(chan struct{})
	p.command = exec.Command(pop3d, "serve", "--config", p.path("config.yaml"))
	p.command.Stderr = p.log
	must(p.t, p.command.Start())
	command, exited := p.command, p.exited
	go func() {
		_ = command.Wait()
		close(exited)
	}()
	p.t.Cleanup(p.end)
	eventually(p.t, "start", func() bool { return strings.Contains(p.log.String(), `"msg":"serving"`) || p.hasExited() })
	if p.hasExited() {
		p.t.Fatalf("pop3d does not start:\n%s", p.log)
	}
	p.readPorts()
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// readPorts learns from the log where the server listens.
func (p *process) readPorts() {
	p.ports = make(map[string]string)
	for line := range strings.Lines(p.log.String()) {
		var entry struct{ Msg, Port, Address string }
		if err := json.Unmarshal([]byte(line), &entry); err == nil && entry.Msg == "listening" {
			p.ports[entry.Port] = entry.Address
		}
	}
}

// end ends the program, and prints its log if the test has failed. The server must not have panicked.
func (p *process) end() {
	p.kill()
	if strings.Contains(p.log.String(), "session panicked") {
		p.t.Error("a session has panicked")
	}
	if p.t.Failed() {
		p.t.Logf("the server's log:\n%s", p.log)
	}
}

// kill ends the program as a power cut would.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.exited
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	must(p.t, p.command.Process.Signal(s))
}

// server gives the server that the process is now, with Alice's mailbox.
func (p *process) server() *server {
	return p.mailbox(alice)
}

// mailbox gives the same server with another mailbox.
func (p *process) mailbox(address string) *server {
	return &server{
		t: p.t, pop3: p.ports["pop3/pop3"], pop3s: p.ports["pop3/pop3s"], lmtp: p.ports["lmtp"],
		user: address, password: password, recipient: address, own: p,
	}
}

// restart starts the program again on the same files, after a change of its settings.
func (p *process) restart(set func(*config.Config)) *server {
	p.t.Helper()
	p.kill()
	set(&p.config)
	p.start()
	return p.server()
}

// maildrop is the folder of a mailbox's mail.
func (p *process) maildrop(address string) string {
	p.t.Helper()
	id := directory.MailboxID(address)
	return filepath.Join(p.config.Maildrop.Path, id[:2], id)
}

// run runs another command of the program and gives its output and whether it succeeded.
func (p *process) run(args ...string) (output string, ok bool) {
	p.t.Helper()
	text, err := exec.Command(pop3d, args...).CombinedOutput()
	return string(text), err == nil
}

// check tells whether `pop3d check` takes the configuration as it would be with this setting.
func check(t *testing.T, set func(*config.Config)) bool {
	t.Helper()
	p := newProcess(t)
	p.configure(set)
	_, ok := p.run("check", "--config", p.path("config.yaml"))
	return ok
}

// peakMemory tells how much memory the process had at most, in octets.
func (p *process) peakMemory() int64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		p.t.Fatalf("the memory of the process cannot be read: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	must(p.t, err)
	return kib << 10
}

// listens tells whether anybody takes connections there.
func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}
