//go:build e2e

package e2e

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

// TestSettingsOfListeners changes the listeners, which takes new pods: the old one lets sessions finish. The new one believes
// the PROXY protocol, of load balancers in networks that it trusts.
func TestSettingsOfListeners(t *testing.T) {
	t.Parallel()
	s := newServiceOf(t, "settings-listeners", func(spec *v1alpha1.PopServiceSpec) {
		spec.Timeouts.DrainSeconds = 600 // does not pass during the test
	})
	m := s.newMailbox(t, "alice")
	s.send(t, m, "marked")
	s.send(t, m, "kept")
	old := s.pod(t)
	own := ownAddress(t, old)
	stranger, loggedIn := s.dial(t, settling), s.openFor(t, m, 2*settling)
	loggedIn.must(t, "DELE 1")
	change(t, s.PopService, func(pop *v1alpha1.PopService) {
		pop.Spec.Listeners = []v1alpha1.Listener{
			listener("pop3", 110, v1alpha1.ListenerStartTLS, own.String()+"/32"),
			listener("pop3s", 995, v1alpha1.ListenerImplicitTLS, own.String()+"/32"),
			listener("elsewhere", 1110, v1alpha1.ListenerStartTLS, "192.0.2.0/24"),
		}
	})
	s.checkDrains(t, old, stranger, loggedIn)
	awaitReady(t, s.PopService)
	s.checkProxies(t, m, own)
}

func listener(name string, port int32, security v1alpha1.ListenerSecurity, trusted string) v1alpha1.Listener {
	return v1alpha1.Listener{Name: name, Port: port, Security: security,
		ProxyProtocol: &v1alpha1.ProxyProtocol{TrustedNetworks: []string{trusted}}}
}

// ownAddress is this program's, as a server sees it.
func ownAddress(t *testing.T, server corev1.Pod) netip.Addr {
	t.Helper()
	address, err := netip.ParseAddrPort(dialTo(t, server, "pop3").LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return address.Addr()
}

// dialTo opens a connection to a port of a server, past the Service.
func dialTo(t *testing.T, server corev1.Pod, port string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", podAddress(t, server, port), quickly)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// checkDrains: the server tells a client that is not logged in to go, and lets the other one finish.
func (s *service) checkDrains(t *testing.T, server corev1.Pod, stranger, loggedIn *session) {
	t.Helper()
	stranger.checkLine(t, "-ERR Server is shutting down. Connection is closed.")
	stranger.checkClosed(t)
	loggedIn.must(t, "NOOP")
	if get(t, s.Namespace, server.Name, &corev1.Pod{}).DeletionTimestamp == nil {
		t.Error("the server sends clients away, and is to stay")
	}
	loggedIn.quit(t)
}

func (s *service) checkProxies(t *testing.T, m *mailbox, own netip.Addr) {
	t.Helper()
	server := s.pod(t)
	for client, header := range map[string]string{
		"203.0.113.1": "PROXY TCP4 203.0.113.1 198.51.100.1 40000 995\r\n",
		"203.0.113.2": "\r\n\r\n\x00\r\nQUIT\n" + "\x21\x11\x00\x0c" + // version 2, PROXY, TCP over IPv4, 12 octets of addresses
			"\xcb\x00\x71\x02" + "\xc6\x33\x64\x01" + "\x9c\x40" + "\x03\xe3",
	} {
		p := s.dialBehind(t, server, header)
		if err := p.logIn(m.address(), m.password); err != nil {
			t.Fatalf("behind a proxy, for %s: %v", client, err)
		}
		p.quit(t)
		s.awaitLogged(t, server, "a session of "+client, func(l logLine) bool {
			return l.Msg == "session ended" && l.Remote == client && l.Reason == "quit" && l.Mailbox == m.id(t)
		})
	}
	s.checkHeaderIsMissed(t, server)
	s.checkHeaderIsNotBelieved(t, server, own)
	s.checkMarkedIsGone(t, server, m)
}

// checkMarkedIsGone: what the session marked that was open during the change is gone, and nothing else.
func (s *service) checkMarkedIsGone(t *testing.T, server corev1.Pod, m *mailbox) {
	t.Helper()
	p := s.dialBehind(t, server, "PROXY UNKNOWN\r\n")
	if err := p.logIn(m.address(), m.password); err != nil {
		t.Fatal(err)
	}
	if got := p.uids(t); len(got) != 1 {
		t.Errorf("there are %d messages, want 1", len(got))
	}
	if text := p.message(t, 1); !strings.Contains(text, "Subject: kept\n") {
		t.Errorf("message 1 is another one: %q", text)
	}
	p.quit(t)
}

// dialBehind opens a session as a load balancer does: the header comes before TLS.
func (s *service) dialBehind(t *testing.T, server corev1.Pod, header string) *session {
	t.Helper()
	conn := dialTo(t, server, "pop3s")
	if _, err := conn.Write([]byte(header)); err != nil {
		t.Fatal(err)
	}
	p := sessionOn(t, tls.Client(conn, s.authority.clientConfig(s.host())))
	if _, err := p.reply(); err != nil {
		t.Fatalf("greeting behind %q: %v", header, err)
	}
	return p
}

// checkHeaderIsMissed: from a network of load balancers, nobody is served without a header.
func (s *service) checkHeaderIsMissed(t *testing.T, server corev1.Pod) {
	t.Helper()
	p := sessionOn(t, dialTo(t, server, "pop3"))
	if err := p.PrintfLine("CAPA"); err != nil {
		t.Fatal(err)
	}
	if line, err := p.ReadLine(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without a header from a trusted network: %q, %v", line, err)
	}
}

// checkHeaderIsNotBelieved: from any other network a header is a bad command, and the address is the connection's own.
func (s *service) checkHeaderIsNotBelieved(t *testing.T, server corev1.Pod, own netip.Addr) {
	t.Helper()
	p := sessionOn(t, dialTo(t, server, "elsewhere"))
	p.checkLine(t, "+OK "+s.Spec.Banner)
	p.refused(t, "Command is not recognized.", "PROXY TCP4 203.0.113.3 198.51.100.1 40000 1110")
	p.quit(t)
	s.awaitLogged(t, server, "a session of "+own.String(), func(l logLine) bool {
		if l.Remote == "203.0.113.3" {
			t.Fatalf("a header from a network that is not trusted was believed: %+v", l)
		}
		return l.Msg == "session ended" && l.Remote == own.String() && l.Reason == "quit" && l.Commands == 2
	})
}
