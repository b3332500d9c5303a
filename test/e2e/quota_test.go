//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/popservice/popservice/api/v1alpha1"
)

// TestQuotaThroughResources fills a mailbox up to its limits and beyond, and then lifts them. All of it happens on one server.
func TestQuotaThroughResources(t *testing.T) {
	t.Parallel()
	s := newServiceOf(t, "quota", func(spec *v1alpha1.PopServiceSpec) {
		spec.QuotaWarning = v1alpha1.QuotaWarning{
			From: "helpdesk@example.net", Subject: "{address} is filling up",
			Text: "You have {used} of {limit} MiB.\n.\nGrüße\n",
		}
	})
	m := s.newMailbox(t, "alice")
	server := s.pod(t)
	m.setQuota(t, "1Mi", "2Mi")
	s.checkOneWarning(t, m)
	s.checkFull(t, m, "552 5.2.2")
	change(t, s.PopService, func(pop *v1alpha1.PopService) { pop.Spec.Delivery.OverQuotaReply = v1alpha1.OverQuotaDefer })
	awaitReady(t, s.PopService)
	s.checkFull(t, m, "452 4.2.2")
	m.setQuota(t, "1Mi", "4Mi")
	s.sendSized(t, m, "after the quota was raised", 600<<10)
	s.checkMessages(t, m, "first", "second", "alice@example.com is filling up", "third", "after the quota was raised")
	s.checkNotRestarted(t, server)
}

func (m *mailbox) setQuota(t *testing.T, warning, prohibit string) {
	t.Helper()
	issueWarning, prohibitReceive := intstr.FromString(warning), intstr.FromString(prohibit)
	change(t, m.Mailbox, func(m *v1alpha1.Mailbox) {
		m.Spec.Quota = v1alpha1.Quota{IssueWarning: &issueWarning, ProhibitReceive: &prohibitReceive}
	})
	awaitReady(t, m.Mailbox)
}

// sized is a letter of about so many octets.
func sized(subject string, octets int) string {
	const line = "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\n"
	return letter(subject) + strings.Repeat(line, octets/len(line))
}

func (s *service) sendSized(t *testing.T, m *mailbox, subject string, octets int) {
	t.Helper()
	if reply := s.deliver(t, sized(subject, octets), m.address())[0]; !strings.HasPrefix(reply, "250 2.0.0") {
		t.Fatalf("delivery of %q was answered %q", subject, reply)
	}
}

// checkOneWarning: the second message reaches issueWarning, and the third one does not warn again.
func (s *service) checkOneWarning(t *testing.T, m *mailbox) {
	t.Helper()
	s.sendSized(t, m, "first", 600<<10)
	s.checkMessages(t, m, "first")
	s.sendSized(t, m, "second", 600<<10)
	s.sendSized(t, m, "third", 600<<10)
	s.checkMessages(t, m, "first", "second", "alice@example.com is filling up", "third")
	p := s.open(t, m)
	header, text, _ := strings.Cut(string(p.exactly(t, 3)), "\r\n\r\n")
	p.quit(t)
	for _, field := range []string{"From: <helpdesk@example.net>", "To: <alice@example.com>", "Auto-Submitted: auto-generated"} {
		if !strings.Contains("\r\n"+header+"\r\n", "\r\n"+field+"\r\n") {
			t.Errorf("the warning's header lacks %q:\n%s", field, header)
		}
	}
	if want := "You have 1.2 of 2.0 MiB.\r\n.\r\nGrüße\r\n"; text != want {
		t.Errorf("the warning's text is %q, want %q", text, want)
	}
}

// checkFull: what does not fit any more is refused, and what fits is not.
func (s *service) checkFull(t *testing.T, m *mailbox, want string) {
	t.Helper()
	if reply := s.deliver(t, sized("beyond", 600<<10), m.address())[0]; !strings.HasPrefix(reply, want) {
		t.Errorf("beyond the quota: %q, want %s", reply, want)
	}
	s.checkMessages(t, m, "first", "second", "alice@example.com is filling up", "third")
}
