package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popservice/popservice/internal/testkit"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// behindProxies is a configuration for clients that come through a load balancer on this machine.
const behindProxies = `
apiVersion: pop3d.popservice.io/v1
kind: Config
revision: "1"
listeners:
- {name: pop3, address: "127.0.0.1:0", security: Plaintext, proxyProtocol: {trustedNetworks: ["127.0.0.0/8"]}}
admin: {}
directory: {path: DIR/directory}
maildrop: {path: DIR/maildrops}
authentication: {loginType: PlainTextLogin}
limits: {maxConnectionsPerAddress: 1}
log: {level: Error}
`

// frontend is a server that runs until the test ends.
type frontend struct {
	*server
	t       *testing.T
	address string
	out     testkit.Log
}

func newFrontend(t *testing.T, text string) *frontend {
	t.Helper()
	f := &frontend{t: t}
	var err error
	f.server, err = newServer(Options{ConfigPath: writeConfig(t, text), Log: &f.out})
	must(t, err)
	ports := f.ports()
	must(t, f.listen(t.Context(), ports))
	f.address = ports[0].listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx, ports) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	return f
}

// change rewrites the configuration file and waits until the server has done with it what it does.
func (f *frontend) change(revision, from, to string) {
	f.t.Helper()
	text, err := os.ReadFile(f.configuration.path)
	must(f.t, err)
	changed := strings.Replace(string(text), from, to, 1)
	changed = strings.Replace(changed, fmt.Sprintf("revision: %q", f.configuration.now().Revision),
		fmt.Sprintf("revision: %q", revision), 1)
	next := filepath.Join(filepath.Dir(f.configuration.path), "next.yaml")
	must(f.t, os.WriteFile(next, []byte(changed), 0o600))
	must(f.t, os.Rename(next, f.configuration.path))
	f.eventually("reload", func() bool {
		status := f.configuration.status()
		return status.Revision == revision || status.Error != ""
	})
}

func (f *frontend) eventually(what string, done func() bool) {
	f.t.Helper()
	testkit.Eventually(f.t, 20*time.Second, what, done, f.out.String)
}

// talk connects, says a text, and gives the replies' lines up to the end of the connection.
func (f *frontend) talk(text string) []string {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	must(f.t, err)
	defer func() { _ = c.Close() }()
	must(f.t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = c.Write([]byte(text))
	must(f.t, err)
	var replies []string
	for scanner := bufio.NewScanner(c); scanner.Scan(); {
		replies = append(replies, scanner.Text())
	}
	return replies
}

// logged gives the commands of the protocol log with their clients' addresses.
func (f *frontend) logged() string {
	f.t.Helper()
	var commands []string
	for line := range strings.Lines(f.out.String()) {
		var entry struct{ Log, Remote, Command string }
		must(f.t, json.Unmarshal([]byte(line), &entry))
		if entry.Log == "protocol" && entry.Command != "" {
			commands = append(commands, entry.Remote+" "+entry.Command)
		}
	}
	return strings.Join(commands, ", ")
}

func header(client string) string { return "PROXY TCP4 " + client + " 203.0.113.110 40000 110\r\n" }

const loginAndQuit = "USER alice@example.com\r\nPASS hunter2-xyzzy\r\nQUIT\r\n"

// The file switches the protocol log while the server runs, for the connections that are made afterwards; who the proxies are
// is fixed with the listener.
func TestFileSetsProxiesAndProtocolLog(t *testing.T) {
	f := newFrontend(t, behindProxies)
	f.declare(t, 1, func(r *directory.Record) {
		r.Credentials = []directory.Credential{{Name: "default", Verifier: verifier.Derive([]byte("hunter2-xyzzy"))}}
	})
	replies := f.talk(header("198.51.100.7") + loginAndQuit)
	if len(replies) != 4 || replies[2] != "+OK User successfully logged on." {
		t.Errorf("without the protocol log: %q", replies)
	}
	if log := f.out.String(); log != "" {
		t.Errorf("at level Error the log has\n%s", log)
	}
	f.change("2", "level: Error", "level: Error, protocol: true")
	f.talk(header("198.51.100.8") + loginAndQuit)
	const want = "198.51.100.8 USER alice@example.com, 198.51.100.8 PASS ***, 198.51.100.8 QUIT"
	if got := f.logged(); got != want || strings.Contains(f.out.String(), "hunter2") {
		t.Errorf("the protocol log has %s in\n%s", got, f.out.String())
	}
	f.change("3", ", protocol: true", "")
	f.talk(header("198.51.100.9") + loginAndQuit)
	if got := f.logged(); got != want {
		t.Errorf("after it was switched off, the protocol log has %s", got)
	}
	f.change("4", "127.0.0.0/8", "192.0.2.0/24")
	if status := f.configuration.status(); status.Revision != "3" || !strings.Contains(status.Error, "changes listeners") {
		t.Errorf("other proxies: %+v", status)
	}
	if replies := f.talk("USER alice@example.com\r\n"); len(replies) > 0 {
		t.Errorf("without a header: %q", replies)
	}
}

// Each client behind the load balancer has the limit of an address for itself.
func TestLimitsOfClientsBehindProxies(t *testing.T) {
	f := newFrontend(t, behindProxies)
	first, err := net.Dial("tcp", f.address)
	must(t, err)
	defer func() { _ = first.Close() }()
	_, err = first.Write([]byte(header("198.51.100.7")))
	must(t, err)
	_, err = bufio.NewReader(first).ReadString('\n')
	must(t, err)
	replies := f.talk(header("198.51.100.7") + "QUIT\r\n")
	if len(replies) != 1 || !strings.HasPrefix(replies[0], "-ERR Too many") {
		t.Errorf("the same client: %q", replies)
	}
	replies = f.talk(header("198.51.100.8") + "QUIT\r\n")
	if len(replies) != 2 || !strings.HasPrefix(replies[1], "+OK") {
		t.Errorf("another client: %q", replies)
	}
}
