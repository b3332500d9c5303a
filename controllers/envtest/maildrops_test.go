//go:build envtest

package envtest

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
)

// deliver gives a message to a server over LMTP, and gives the last reply.
func (w *world) deliver(pod *corev1.Pod, to, body string) string {
	w.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.ctx, "tcp", pod.Status.PodIP+":2424")
	w.must(err)
	defer func() { _ = conn.Close() }()
	w.must(conn.SetDeadline(time.Now().Add(patience)))
	in := bufio.NewReader(conn)
	reply := func() string {
		for {
			line, err := in.ReadString('\n')
			w.must(err)
			if len(line) > 3 && line[3] == ' ' {
				return strings.TrimSpace(line)
			}
		}
	}
	last := reply()
	for _, command := range []string{
		"LHLO test", "MAIL FROM:<sender@example.org>", "RCPT TO:<" + to + ">", "DATA", body + "\r\n.",
	} {
		_, err := fmt.Fprintf(conn, "%s\r\n", command)
		w.must(err)
		if last = reply(); last[0] > '3' {
			return last
		}
	}
	return last
}

// mail gives the unique-ids in a mailbox.
func (w *world) mail(user, password string) []string {
	w.Helper()
	p := w.login(user, password)
	defer p.do("QUIT")
	if reply := p.do("UIDL"); !strings.HasPrefix(reply, "+OK") {
		w.Fatalf("UIDL: %s", reply)
	}
	var uids []string
	for line := p.line(); line != "."; line = p.line() {
		uids = append(uids, strings.Fields(line)[1])
	}
	return uids
}

func (w *world) login(user, password string) *pop3 {
	w.Helper()
	p, _ := w.dial()
	p.do("USER " + user)
	if reply := p.do("PASS " + password); !strings.HasPrefix(reply, "+OK") {
		w.Fatalf("PASS: %s", reply)
	}
	return p
}

func (w *world) expectMail(user, password string, uids ...string) {
	w.Helper()
	if got := w.mail(user, password); fmt.Sprint(got) != fmt.Sprint(uids) {
		w.Errorf("%s has %v, want %v", user, got, uids)
	}
}

// Servers that share a volume see each other's mail, and take turns in a rollout.
func TestSharedLayout(t *testing.T) {
	w := newWorld(t)
	w.create(certificate(t), password("alice", "one"), mailbox("alice"))
	w.create(service(func(s *v1alpha1.PopServiceSpec) {
		s.Storage.Layout, s.Replicas = v1alpha1.LayoutShared, new(int32(2))
	}))
	w.awaitReady("pop")
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	var d appsv1.Deployment
	if w.get("pop-pop3d", &d); d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType {
		t.Errorf("the strategy is %s", d.Spec.Strategy.Type)
	}
	var pods corev1.PodList
	w.must(kube.List(w.ctx, &pods, client.InNamespace(w.namespace), client.MatchingLabels(names.SelectorLabels("pop"))))
	if len(pods.Items) != 2 {
		t.Fatalf("%d pods", len(pods.Items))
	}
	for i := range pods.Items {
		if reply := w.deliver(&pods.Items[i], "alice@example.com", "Subject: x\r\n\r\nx"); !strings.HasPrefix(reply, "250") {
			t.Errorf("delivery: %s", reply)
		}
	}
	w.must(kube.Delete(w.ctx, &pods.Items[0]))
	w.awaitReady("pop")
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"replicas": 1}})
	w.awaitReady("pop")
	w.expectMail("alice@example.com", "one", "1", "2")
}

// The maildrop of an address belongs to the Mailbox that made it, until another one adopts it.
func TestOwnerGuard(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.deliver(w.pod(), "alice@example.com", "Subject: private\r\n\r\nx")
	w.must(kube.Delete(w.ctx, &v1alpha1.Mailbox{ObjectMeta: metav1.ObjectMeta{Name: "alice", Namespace: w.namespace}}))
	w.create(mailbox("heir", func(s *v1alpha1.MailboxSpec) {
		s.Address, s.Credentials[0].PasswordSecretRef.Name = "alice@example.com", "bob"
	}))
	w.awaitMailbox("heir", metav1.ConditionFalse, "ForeignMaildrop")
	w.awaitEvent("Mailbox", "ForeignMaildrop")
	if w.logsIn("alice@example.com", "one") {
		t.Error("another Mailbox's mail can be read")
	}
	w.patch(&v1alpha1.Mailbox{}, "heir", fields{"spec": fields{"adoptionPolicy": "Adopt"}})
	w.awaitMailbox("heir", metav1.ConditionTrue, "Serving")
	w.expectMail("alice@example.com", "one", "1")
}

// With reclaimPolicy Delete the mail goes before the Mailbox does, and unique-ids go on for whoever comes next.
func TestReclaimedMaildrop(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.patch(&v1alpha1.Mailbox{}, "alice", fields{"spec": fields{"reclaimPolicy": "Delete"}})
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.deliver(w.pod(), "alice@example.com", "Subject: private\r\n\r\nx")
	w.must(kube.Delete(w.ctx, &v1alpha1.Mailbox{ObjectMeta: metav1.ObjectMeta{Name: "alice", Namespace: w.namespace}}))
	w.awaitGone("alice", &v1alpha1.Mailbox{})
	w.create(mailbox("heir", func(s *v1alpha1.MailboxSpec) {
		s.Address, s.Credentials[0].PasswordSecretRef.Name = "alice@example.com", "bob"
	}))
	w.awaitMailbox("heir", metav1.ConditionTrue, "Serving")
	w.expectMail("alice@example.com", "one")
	w.deliver(w.pod(), "alice@example.com", "Subject: new\r\n\r\nx")
	w.expectMail("alice@example.com", "one", "2")
}

// A Mailbox whose mail is to go, and whose PopService is gone, goes too; what is on the claim stays there.
func TestReclaimWithoutServers(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.patch(&v1alpha1.Mailbox{}, "alice", fields{"spec": fields{"reclaimPolicy": "Delete"}})
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	w.must(kube.Delete(w.ctx, &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: w.namespace}}))
	w.awaitMailbox("alice", metav1.ConditionFalse, "ServiceNotFound")
	w.must(kube.Delete(w.ctx, &v1alpha1.Mailbox{ObjectMeta: metav1.ObjectMeta{Name: "alice", Namespace: w.namespace}}))
	w.awaitGone("alice", &v1alpha1.Mailbox{})
}

// issueWarning puts a message into the maildrop; retention takes what was read.
func TestWarningAndRetention(t *testing.T) {
	w := newWorld(t)
	w.running(func(s *v1alpha1.PopServiceSpec) { s.QuotaWarning.Subject = "Full: {used} MiB" })
	w.patch(&v1alpha1.Mailbox{}, "alice", fields{"spec": fields{"quota": fields{"issueWarning": "1Ki", "prohibitReceive": "8Ki"}}})
	w.awaitMailbox("alice", metav1.ConditionTrue, "Serving")
	for range 2 {
		w.deliver(w.pod(), "alice@example.com", "Subject: x\r\n\r\n"+strings.Repeat("x", 2000))
	}
	w.expectMail("alice@example.com", "one", "1", "2", "3") // the second one is the warning
	p := w.login("alice@example.com", "one")
	text := p.list("RETR 2")
	if !strings.Contains(text, "\nSubject: Full: 0.0 MiB\n") || !strings.Contains(text, "\nTo: <alice@example.com>\n") {
		t.Errorf("the warning is\n%s", text)
	}
	p.do("QUIT")
	if reply := w.deliver(w.pod(), "alice@example.com", strings.Repeat("x", 8000)); !strings.HasPrefix(reply, "552 5.2.2") {
		t.Errorf("beyond the quota: %s", reply)
	}
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"retention": fields{"readMaxAge": "1s"}}})
	w.awaitReady("pop")
	w.await("the end of what was read", func() string {
		if got := fmt.Sprint(w.mail("alice@example.com", "one")); got != "[1 3]" {
			return got
		}
		return ""
	})
}

// list gives a multi-line reply.
func (p *pop3) list(command string) string {
	p.w.Helper()
	text := p.do(command) + "\n"
	for line := p.line(); line != "."; line = p.line() {
		text += line + "\n"
	}
	return text
}

// The LMTP port speaks TLS where that is asked for, and says so where it cannot.
func TestTLSOfLMTP(t *testing.T) {
	w := newWorld(t)
	w.running()
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"delivery": fields{"lmtp": fields{"tls": fields{
		"secretRef": fields{"name": "mta-tls"}}}}}})
	w.awaitService("pop", metav1.ConditionFalse, "SecretNotFound")
	secret := certificate(t)
	secret.Name = "mta-tls"
	w.create(secret)
	w.awaitReady("pop") // which tells that the server has the certificate
	if reply := w.deliver(w.pod(), "alice@example.com", "Subject: x"); !strings.HasPrefix(reply, "530") {
		t.Errorf("without TLS: %s", reply)
	}
	if got := w.startTLS(w.pod()); string(got) != string(secret.Data["tls.crt"]) {
		t.Error("another certificate is served")
	}
	pod := w.pod().UID
	w.patch(&v1alpha1.PopService{}, "pop", fields{"spec": fields{"delivery": fields{"lmtp": fields{"tls": fields{
		"clientCASecretRef": fields{"name": "mta-ca"}}}}}})
	w.awaitService("pop", metav1.ConditionFalse, "InvalidCertificate")
	mta := certificate(t)
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "mta-ca"}, Data: map[string][]byte{"ca.crt": mta.Data["tls.crt"]}})
	w.awaitReady("pop")
	if w.startTLS(w.pod()) != nil || w.startTLS(w.pod(), mta) == nil {
		t.Error("the authorities do not count, and the PopService is Ready")
	}

	other := certificate(t)
	w.patch(&corev1.Secret{}, "mta-ca", fields{"data": fields{"ca.crt": other.Data["tls.crt"]}})
	w.await("other authorities", func() string { return missing(w.startTLS(w.pod(), other) != nil, "they do not count") })
	secret = certificate(t)
	w.patch(&corev1.Secret{}, "mta-tls", fields{"data": secret.Data})
	w.await("another certificate", func() string {
		return missing(string(w.startTLS(w.pod(), other)) == string(secret.Data["tls.crt"]), "the first one is served")
	})
	w.awaitReady("pop")
	if w.pod().UID != pod {
		t.Error("the pod was replaced")
	}
}

func missing(there bool, what string) string {
	if there {
		return ""
	}
	return what
}

// startTLS gives the certificate that the LMTP port serves, as PEM; none if there is no TLS, or if the client, who may have a
// certificate too, is not let in.
func (w *world) startTLS(pod *corev1.Pod, client ...*corev1.Secret) []byte {
	w.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.ctx, "tcp", pod.Status.PodIP+":2424")
	w.must(err)
	defer func() { _ = conn.Close() }()
	w.must(conn.SetDeadline(time.Now().Add(patience)))
	in := bufio.NewReader(conn)
	for _, command := range []string{"", "LHLO test\r\n", "STARTTLS\r\n"} {
		_, err := fmt.Fprint(conn, command)
		w.must(err)
		for {
			line, err := in.ReadString('\n')
			w.must(err)
			if line[0] != '2' {
				return nil
			}
			if line[3] == ' ' {
				break
			}
		}
	}
	settings := &tls.Config{InsecureSkipVerify: true} // certificates are compared
	for _, c := range client {
		pair, err := tls.X509KeyPair(c.Data["tls.crt"], c.Data["tls.key"])
		w.must(err)
		settings.Certificates = append(settings.Certificates, pair)
	}
	secure := tls.Client(conn, settings)
	w.must(secure.HandshakeContext(w.ctx))
	_, _ = fmt.Fprint(secure, "LHLO test\r\n")
	if _, err := secure.Read(make([]byte, 1)); err != nil {
		return nil // the server's handshake has failed after ours
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.ConnectionState().PeerCertificates[0].Raw})
}
