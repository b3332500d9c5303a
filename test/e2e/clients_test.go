//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestClients delivers and fetches with the programs that users have. All share one PopService, each has its mailboxes.
func TestClients(t *testing.T) {
	t.Parallel()
	s := newService(t, "clients")
	for name, test := range map[string]func(*testing.T, *service){
		"LMTP":       testLMTP,
		"quota":      testQuota,
		"curl PLAIN": testCurl,
		"mpop USER":  testMpopUser,
		"delete":     testDelete,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
	for _, c := range mailClients {
		for i, w := range c.ways {
			t.Run(c.name+" "+w.name, func(t *testing.T) { s.checkClient(t, c, i) })
		}
	}
	t.Run("nmap", func(t *testing.T) { testNmap(t, s) })
	for _, w := range both {
		t.Run("testssl "+w.name, func(t *testing.T) { testTestssl(t, s, w) })
	}
}

// way is how a client gets TLS.
type way struct {
	name   string
	scheme string
	port   int
}

var (
	pop3s = way{"POP3S", "pop3s", 995}
	stls  = way{"STLS", "pop3", 110}
	both  = []way{pop3s, stls}
)

// mailClient is a program that fetches mail.
type mailClient struct {
	name string
	ways []way
	// heading and file say where docs/clients.md has the settings, and where the program looks for them.
	heading, file string
	// fetch runs the program once, and gives what it printed. It fetches to ~/Maildir what is new, and leaves it on the server;
	// or it removes what there is.
	fetch func(t *testing.T, u *mailUser, remove bool) (string, error)
	// listing is what the program tells of two messages, with OCTETS where it tells their size exactly; complaint is what it
	// tells of a certificate of a stranger's authority.
	listing, complaint string
}

var mailClients = []mailClient{
	curlClient, mpopClient, fetchmailClient, getmailClient, neomuttClient, poplibClient, perlClient,
}

// checkClient has a client do what users rely on: it lists and fetches, fetches nothing again, and deletes. The server lets
// nobody log in without TLS, so that mail which came has come through it.
func (s *service) checkClient(t *testing.T, c mailClient, number int) {
	t.Parallel()
	w := c.ways[number]
	m := s.newMailbox(t, c.name+"-"+strings.ToLower(w.name))
	u := newUser(t, s, m, w)
	s.send(t, m, "first")
	s.send(t, m, "second")
	if c.file != "" {
		u.write(t, c.file, u.settings(t, c.heading, number))
	}
	u.trust(t, newAuthority(t))
	u.checkRefuses(t, c)
	u.trust(t, s.authority)
	said := u.checkFetches(t, c, false, "first", "second")
	if want := strings.ReplaceAll(c.listing, "OCTETS", s.octets(t, m)); !strings.Contains(said, want) {
		t.Errorf("%s does not list %q:\n%s", c.name, want, said)
	}
	u.checkFetches(t, c, false)
	s.send(t, m, "third")
	u.checkFetches(t, c, false, "third")
	u.checkFetches(t, c, true)
	s.checkMessages(t, m)
}

// octets is what STAT tells of a mailbox's size.
func (s *service) octets(t *testing.T, m *mailbox) string {
	t.Helper()
	p := s.open(t, m)
	defer p.quit(t)
	_, octets, _ := strings.Cut(p.must(t, "STAT"), " ")
	return octets
}

// checkFetches runs the client: these messages must come, whole, and no others. It gives what the client said.
func (u *mailUser) checkFetches(t *testing.T, c mailClient, remove bool, subjects ...string) string {
	t.Helper()
	said, err := c.fetch(t, u, remove)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	var got []string
	for _, text := range u.takeMail(t) {
		if !strings.HasSuffix(text, "\n\n"+body) {
			t.Errorf("%s has spoilt a message:\n%q", c.name, text)
		}
		_, rest, _ := strings.Cut(text, "\nSubject: ")
		subject, _, _ := strings.Cut(rest, "\n")
		got = append(got, subject)
	}
	slices.Sort(got)
	if !slices.Equal(got, subjects) {
		t.Fatalf("%s has fetched %q, want %q; it said\n%s", c.name, got, subjects, said)
	}
	return said
}

// checkRefuses runs the client against a server that it must not trust.
func (u *mailUser) checkRefuses(t *testing.T, c mailClient) {
	t.Helper()
	if said, err := c.fetch(t, u, false); !strings.Contains(said, c.complaint) {
		t.Errorf("%s did not complain of the certificate: %v; it said\n%s", c.name, err, said)
	}
	if mail := u.takeMail(t); len(mail) != 0 {
		t.Errorf("%s has fetched %d messages from a server of a stranger's authority", c.name, len(mail))
	}
}
