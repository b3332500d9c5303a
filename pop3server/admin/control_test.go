package admin

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/tlstest"
)

// controlPort is a control port with files of its own.
type controlPort struct {
	*Identity
	t     *testing.T
	files config.Control
	url   string
}

func newControlPort(t *testing.T) *controlPort {
	t.Helper()
	dir := t.TempDir()
	p := &controlPort{t: t, files: config.Control{
		CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), ClientCAFile: filepath.Join(dir, "ca.crt"),
	}}
	p.Identity = NewIdentity(p.files)
	listener := listen(t)
	p.url = "https://" + listener.Addr().String() + control.Path
	handler := ControlHandler(func() control.Status { return control.Status{Version: "1.2.3"} })
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, tls.NewListener(listener, p.TLSConfig()), handler, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return p
}

// write puts a certificate of the CA, and the CA, into the files.
func (p *controlPort) write(ca *tlstest.CA) {
	p.t.Helper()
	ca.Issue(p.t, "", control.ServerName).Write(p.t, p.files.CertFile, p.files.KeyFile)
	if err := os.WriteFile(p.files.ClientCAFile, ca.PEM, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *controlPort) load() {
	p.t.Helper()
	if err := p.Load(); err != nil {
		p.t.Fatal(err)
	}
}

// ask asks for the status with a client that trusts a CA and has certificates.
func (p *controlPort) ask(ca *tlstest.CA, certificates ...tls.Certificate) string {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: ca.Pool(), ServerName: control.ServerName, Certificates: certificates},
	}}
	return get(client, p.url)
}

const statusText = `{"version":"1.2.3","config":{},"directory":{"mailboxes":0},"sessions":0}` + "\n"

func TestControlLetsInTheOperatorAlone(t *testing.T) {
	ours, foreign := tlstest.NewCA(t), tlstest.NewCA(t)
	p := newControlPort(t)
	p.write(ours)
	p.load()
	if got := p.ask(ours, ours.Issue(t, control.ClientName).TLS(t)); got != statusText {
		t.Errorf("the operator gets %q", got)
	}
	for name, certificates := range map[string][]tls.Certificate{
		"no certificate":   nil,
		"another CA":       {foreign.Issue(t, control.ClientName).TLS(t)},
		"another name":     {ours.Issue(t, "somebody").TLS(t)},
		"no name":          {ours.Issue(t, "", control.ClientName).TLS(t)},
		"the server's own": {ours.Issue(t, control.ServerName, control.ServerName).TLS(t)},
	} {
		if got := p.ask(ours, certificates...); !strings.Contains(got, "remote error: tls:") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// What cannot be loaded leaves what was loaded before in use; a CA that was replaced counts from the next connection on.
func TestControlReload(t *testing.T) {
	first, second := tlstest.NewCA(t), tlstest.NewCA(t)
	p := newControlPort(t)
	if err := p.Load(); err == nil {
		t.Error("missing files can be loaded")
	}
	operator := first.Issue(t, control.ClientName).TLS(t)
	if got := p.ask(first, operator); !strings.Contains(got, "tls: internal error") {
		t.Errorf("before the first load: %q", got)
	}
	p.write(first)
	p.load()
	if err := os.WriteFile(p.files.ClientCAFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Load(); err == nil || !strings.Contains(err.Error(), p.files.ClientCAFile) {
		t.Errorf("a broken CA: %v", err)
	}
	if got := p.ask(first, operator); got != statusText {
		t.Errorf("after a load that failed: %q", got)
	}
	p.write(second)
	p.load()
	if got := p.ask(second, operator); !strings.Contains(got, "remote error: tls:") {
		t.Errorf("the old operator: %q", got)
	}
	if got := p.ask(second, second.Issue(t, control.ClientName).TLS(t)); got != statusText {
		t.Errorf("the new operator: %q", got)
	}
	if len(p.Paths()) != 3 {
		t.Errorf("Paths gives %v", p.Paths())
	}
}

func TestControlServesOneResource(t *testing.T) {
	handler := ControlHandler(func() control.Status { return control.Status{} })
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{"GET", control.Path, 200}, {"POST", control.Path, 405}, {"DELETE", control.Path, 405},
		{"GET", "/", 404}, {"GET", "/metrics", 404},
	} {
		if status, _ := ask(handler, test.method, test.path); status != test.want {
			t.Errorf("%s %s gives %d, want %d", test.method, test.path, status, test.want)
		}
	}
}
