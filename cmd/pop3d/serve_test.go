package main_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/tlstest"
)

const hello = "Subject: hello\r\n\r\n.Hello.\r\n"

func TestDeliverAndFetch(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	for recipient, want := range map[string]string{
		"alice@example.com": "250", "Small@Example.com": "250", "nobody@example.com": "550 5.1.1",
	} {
		if got := p.deliver(recipient, hello); got != want {
			t.Errorf("delivery to %s: %s, want %s", recipient, got, want)
		}
	}
	if got := p.deliver("small@example.com", hello); got != "552 5.2.2" {
		t.Errorf("delivery over quota: %s", got)
	}
	clear, _ := p.pop()
	clear.do("USER alice@example.com", "-ERR") // SecureLogin
	for _, c := range []*popClient{p.pops(), clear.stls(p)} {
		c.login("alice@example.com", "wrong-password", "-ERR Logon failure")
		c.login("ALICE@example.com", "secret-of-alice", "+OK")
		c.do("STAT", "+OK 1 ")
		text := strings.Join(c.list("RETR 1"), "\n")
		if !strings.HasPrefix(text, "Return-Path: <sender@example.org>\n") ||
			!strings.HasSuffix(text, "\nSubject: hello\n\n..Hello.") {
			t.Errorf("RETR gives\n%s", text)
		}
		c.quit()
	}
	c := p.pops().login("small@example.com", "secret-of-small", "+OK")
	c.do("DELE 1", "+OK")
	c.quit()
	if got := p.deliver("small@example.com", hello); got != "250" {
		t.Errorf("delivery after room was made: %s", got)
	}
	p.checkTold()
	p.expectNoSecrets("secret-of", "wrong-password", "Hello.", "hello")
}

// checkTold checks what the admin and the control port tell of one healthy server.
func (p *program) checkTold() {
	p.t.Helper()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/v1/status": 404} {
		if status, body := p.ask(path); status != want {
			p.t.Errorf("%s gives %d %s", path, status, body)
		}
	}
	status := p.status()
	if status.Version != "1.2.3" || status.Config.Revision != "1" || status.Config.Error != "" || status.Draining {
		p.t.Errorf("status %+v", status)
	}
	if status.Directory.Mailboxes != 2 || len(status.Directory.Revisions) != 2 || len(status.Directory.Errors) != 0 {
		p.t.Errorf("directory %+v", status.Directory)
	}
	for _, line := range []string{
		`pop3d_directory_mailboxes 2`, `pop3d_directory_problems 0`, `pop3d_config_last_reload_successful 1`,
		`pop3d_certificate_last_reload_successful{certificate="default"} 1`, `pop3d_draining 0`,
		`pop3d_logins_total{mechanism="USER",result="ok"} 3`, `pop3d_logins_total{mechanism="USER",result="rejected"} 2`,
		`pop3d_lmtp_recipients_total{status="2.0.0"} 3`, `pop3d_lmtp_recipients_total{status="5.1.1"} 1`,
	} {
		p.expectMetric(line)
	}
	if _, body := p.ask("/metrics"); strings.Contains(body, "example.com") || !strings.Contains(body, `version="1.2.3"`) {
		p.t.Error("/metrics names a mailbox, or not the version")
	}
}

// expectNoSecrets wants none of these in the log, which has every level.
func (p *program) expectNoSecrets(secrets ...string) {
	p.t.Helper()
	log := p.log.String()
	if !strings.Contains(log, `"msg":"session ended"`) || !strings.Contains(log, `"level":"DEBUG"`) {
		p.t.Errorf("the log has no sessions, or not all levels:\n%s", log)
	}
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			p.t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
}

// A password that changed counts at once, without a restart; who is logged in stays.
func TestDirectoryChanges(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	p.deliver("alice@example.com", hello)
	session := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	p.pops().login("bob@example.com", "secret-of-bob", "-ERR")
	p.writeMailboxes(map[string]string{"alice@example.com": "new-secret", "bob@example.com": "secret-of-bob"})
	p.eventually("new directory", func() bool {
		return p.deliver("bob@example.com", hello) == "250" && p.deliver("small@example.com", hello) == "550 5.1.1"
	})
	p.pops().login("alice@example.com", "secret-of-alice", "-ERR")
	p.pops().login("alice@example.com", "new-secret", "+OK")
	p.pops().login("bob@example.com", "secret-of-bob", "+OK")
	session.do("DELE 1", "+OK")
	session.quit()
	p.pops().login("alice@example.com", "new-secret", "+OK").do("STAT", "+OK 0 0")
}

// A bucket that cannot be read stays as it was, and the control port tells of it.
func TestDirectoryBucketRefused(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	files := make(map[string]string)
	for name := range p.status().Directory.Revisions {
		files[name+".jsonl"] = "nonsense\n"
	}
	p.mailboxes.write(files)
	p.eventually("refused buckets", func() bool { return len(p.status().Directory.Errors) == 2 })
	p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	p.expectMetric("pop3d_directory_problems 2")
}

func TestConfigurationChanges(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	session := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	p.config.Revision, p.config.Banner = "2", "hello there"
	p.config.Limits.MaxConnectionsPerMailbox, p.config.Limits.MaxFailedLogins = 1, 1
	p.config.Timeouts.PreAuthenticatedSeconds = 1
	p.config.Authentication.LoginType = config.PlainTextLogin
	p.config.LMTP.MaxMessageOctets = 10
	p.writeConfig()
	p.expectRevision("2", "")
	c, greeting := p.pop()
	if greeting != "+OK hello there" {
		t.Errorf("greeting %q", greeting)
	}
	c.login("alice@example.com", "secret-of-alice", "-ERR Too many connections to this mailbox")
	c, _ = p.pop()
	c.login("alice@example.com", "wrong", "-ERR Logon failure: unknown user name or bad password. Connection is closed.")
	c, _ = p.pop()
	c.expect("-ERR Connection is closed. Idle timeout.")
	if got := p.deliver("alice@example.com", hello); got != "552 5.3.4" {
		t.Errorf("a message that is too large: %s", got)
	}
	session.do("STAT", "+OK 0 0")
}

// RFC 2449 §5: what CAPA tells follows the configuration, and a client that is logged in learns the version.
func TestCapabilitiesChange(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	const exchange = "[TOP UIDL SASL PLAIN USER"
	session := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	if got := fmt.Sprint(session.list("CAPA")); got != exchange+"]" {
		t.Errorf("CAPA gives %s", got)
	}
	p.config.Revision, p.config.ExtendedCapabilities = "2", config.Capabilities()
	p.config.Maildrop.Retention.ReadMaxAgeSeconds = 7 * 24 * 60 * 60
	p.writeConfig()
	p.expectRevision("2", "")
	const extended = exchange + " RESP-CODES AUTH-RESP-CODE PIPELINING EXPIRE 7 LOGIN-DELAY 0"
	session = p.pops()
	if got := fmt.Sprint(session.list("CAPA")); got != extended+" UTF8 USER LANG]" {
		t.Errorf("CAPA before login gives %s", got)
	}
	session.login("alice@example.com", "wrong", "-ERR [AUTH] Logon failure: ")
	session.login("alice@example.com", "secret-of-alice", "+OK")
	if got := fmt.Sprint(session.list("CAPA")); got != extended+" IMPLEMENTATION PopService-pop3d-1.2.3 UTF8 USER LANG]" {
		t.Errorf("CAPA after login gives %s", got)
	}
}

// expectRevision waits until a revision runs and a newer one is refused for this reason.
func (p *program) expectRevision(revision, refused string) {
	p.t.Helper()
	p.eventually("revision "+revision+" "+refused, func() bool {
		told := p.status().Config
		return told.Revision == revision && strings.Contains(told.Error, refused) && (refused != "") == (told.Error != "")
	})
}

// What cannot be taken over is refused as a whole, told, and forgotten once the file is right again.
func TestConfigurationRefused(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	good := p.config
	expectOld := func(refused string) {
		t.Helper()
		p.expectRevision("1", refused)
		if _, greeting := p.pop(); greeting != "+OK "+config.DefaultBanner {
			t.Errorf("greeting %q", greeting)
		}
		p.expectMetric("pop3d_config_last_reload_successful 0")
		if status, _ := p.ask("/readyz"); status != 200 {
			t.Errorf("not ready, though the old configuration runs")
		}
	}
	p.config.Revision, p.config.Banner, p.config.Limits.MaxCommandOctets = "2", "new", 7
	p.writeConfig()
	expectOld("limits.maxCommandOctets: 7 is out of range 40 to 1024")
	p.configFile.write(map[string]string{"config.yaml": "kind: [\n"})
	expectOld("yaml")
	p.config = good
	p.config.Revision, p.config.Banner, p.config.Maildrop.Path = "3", "new", "/elsewhere"
	p.config.Admin.Address = "127.0.0.1:1"
	p.writeConfig()
	expectOld(`configuration of revision "3" changes admin, maildrop.path, for which the server has to be started again`)
	p.config = good
	p.writeConfig()
	p.expectRevision("1", "")
	p.expectMetric("pop3d_config_last_reload_successful 1")
}

// A new certificate serves new connections, a session that is open goes on, and a pair that does not match changes nothing.
func TestCertificatesChange(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	session := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	second, third := p.ca.Issue(t, "", "pop.example.com"), p.ca.Issue(t, "", "pop.example.com")
	p.tlsFiles.write(pairs(map[string]tlstest.Pair{"default": second}))
	p.eventually("second certificate", func() bool { return p.fingerprint("pop.example.com") == second.Fingerprint })
	p.tlsFiles.write(map[string]string{"default.crt": string(third.Cert), "default.key": string(second.Key)})
	p.eventually("refused certificate", func() bool { return p.status().Certificates[0].Error != "" })
	told := p.status().Certificates[0]
	if told.Name != "default" || told.Fingerprint != second.Fingerprint || told.NotAfter.IsZero() ||
		!strings.Contains(told.Error, "default.key") {
		t.Errorf("told %+v", told)
	}
	if p.fingerprint("pop.example.com") != second.Fingerprint {
		t.Error("another certificate is served")
	}
	p.expectMetric(`pop3d_certificate_last_reload_successful{certificate="default"} 0`)
	p.tlsFiles.write(pairs(map[string]tlstest.Pair{"default": third}))
	p.eventually("third certificate", func() bool { return p.fingerprint("pop.example.com") == third.Fingerprint })
	if told := p.status().Certificates[0]; told.Error != "" {
		t.Errorf("told %+v", told)
	}
	session.do("NOOP", "+OK")
	session.quit()
}

// A configuration may name another certificate; its files are followed from then on.
func TestCertificatesByServerName(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	first, other := p.ca.Issue(t, "", "pop.example.com"), p.ca.Issue(t, "", "mail.example.net")
	p.config.Revision = "2"
	folder := &volume{t: t, path: p.dir + "/other"} // nobody follows this one yet
	must(t, os.Mkdir(folder.path, 0o700))
	p.config.TLS.Certificates = append(p.config.TLS.Certificates, config.Certificate{
		Name: "other", CertFile: folder.path + "/other.crt", KeyFile: folder.path + "/other.key",
	})
	p.writeConfig()
	p.expectRevision("2", "")
	if told := p.status().Certificates; len(told) != 2 || told[1].Fingerprint != "" || told[1].Error == "" {
		t.Errorf("told %+v", told)
	}
	folder.write(pairs(map[string]tlstest.Pair{"other": other}))
	p.eventually("other certificate", func() bool { return p.fingerprint("mail.example.net") == other.Fingerprint })
	p.tlsFiles.write(pairs(map[string]tlstest.Pair{"default": first}))
	p.eventually("first certificate", func() bool { return p.fingerprint("pop.example.com") == first.Fingerprint })
	for name, want := range map[string]tlstest.Pair{
		"pop.example.com": first, "MAIL.example.NET": other, "unknown.example.org": first, "": first,
	} {
		if p.fingerprint(name) != want.Fingerprint {
			t.Errorf("%q is served another certificate", name)
		}
	}
}

// What is missing at the start may come later: the server starts, and is ready when it can serve.
func TestStartWithoutCertificatesAndDirectory(t *testing.T) {
	t.Parallel()
	p := newProgram(t).start()
	status, body := p.ask("/readyz")
	if status != 503 || !strings.Contains(body, "[-]directory failed") || !strings.Contains(body, "[-]certificates failed") ||
		!strings.Contains(body, "[+]maildrops ok") {
		t.Errorf("/readyz gives %d\n%s", status, body)
	}
	p.prepare()
	p.eventually("readiness", func() bool {
		status, _ := p.ask("/readyz")
		return status == http.StatusOK
	})
	p.eventually("directory", func() bool { return p.status().Directory.Mailboxes > 0 }) // the folder may have come without files
	p.pops().login("alice@example.com", "secret-of-alice", "+OK")
}

// SIGTERM: nobody is let in any more, a session goes on to its QUIT, which counts; then the program ends.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	p.deliver("alice@example.com", hello)
	c := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	c.do("DELE 1", "+OK")
	p.signal(syscall.SIGTERM)
	for _, port := range []string{"pop3/pop3", "pop3/pop3s", "lmtp"} {
		p.eventually("closed port", func() bool { return refuses(p.ports[port]) })
	}
	if status, body := p.ask("/readyz"); status != 503 || !strings.Contains(body, "the server is draining") {
		t.Errorf("/readyz gives %d %s", status, body)
	}
	if told := p.status(); !told.Draining || told.Sessions != 1 {
		t.Errorf("told %+v", told)
	}
	if status, _ := p.ask("/healthz"); status != 200 {
		t.Error("a server that drains is not alive")
	}
	c.do("STAT", "+OK 0 0")
	c.quit()
	p.expectExit(0)
	p.start()
	p.pops().login("alice@example.com", "secret-of-alice", "+OK").do("STAT", "+OK 0 0")
}

// The drain has an end, by time or by a second signal. What a session that is cut has marked stays.
func TestDrainIsCut(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]bool{"time": false, "second signal": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t).prepare()
			if !second {
				p.config.Timeouts.DrainSeconds = 1
				p.writeConfig()
			}
			p.start()
			p.deliver("alice@example.com", hello)
			c := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
			c.do("DELE 1", "+OK")
			p.signal(syscall.SIGTERM)
			p.eventually("closed port", func() bool { return refuses(p.ports["lmtp"]) })
			if second {
				c.do("NOOP", "+OK")
				p.signal(syscall.SIGINT)
			}
			c.expect("-ERR Server is shutting down.")
			_ = c.Close()
			p.expectExit(0)
			if !strings.Contains(p.log.String(), `"msg":"sessions were cut"`) {
				t.Errorf("the log does not tell of the cut:\n%s", p.log)
			}
			p.start()
			p.pops().login("alice@example.com", "secret-of-alice", "+OK").do("STAT", "+OK 1")
		})
	}
}

// What was acknowledged survives, and a unique-id is not used again though all messages were removed.
func TestKill(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare()
	var seen []string
	for round := range 3 {
		p.start()
		if got := p.deliver("alice@example.com", hello); got != "250" {
			t.Fatal(got)
		}
		p.kill()
		p.start()
		c := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
		uids := c.list("UIDL")
		if len(uids) != 1 || slices.Contains(seen, uids[0]) {
			t.Fatalf("round %d: unique-ids %v, seen before %v", round, uids, seen)
		}
		seen = append(seen, uids[0])
		c.do("DELE 1", "+OK")
		c.quit()
		p.kill()
	}
	if fmt.Sprint(seen) != "[1 1 1 2 1 3]" {
		t.Errorf("unique-ids %v", seen)
	}
}

// SIGHUP is what some send to have files read again; here it does no harm.
func TestHangup(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	p.signal(syscall.SIGHUP)
	p.pops().login("alice@example.com", "secret-of-alice", "+OK").quit()
	p.signal(syscall.SIGINT)
	p.expectExit(0)
}
