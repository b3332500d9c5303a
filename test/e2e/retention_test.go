//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/popservice/popservice/api/v1alpha1"
)

// TestRetentionThroughResources changes on a running server how long mail is kept: what is too old goes, and nothing else does.
func TestRetentionThroughResources(t *testing.T) {
	t.Parallel()
	s := newService(t, "retention")
	m := s.newMailbox(t, "alice")
	server := s.pod(t)
	uids := s.sendAll(t, m, "read", "unread", "looked at")
	s.read(t, m, 1)
	p := s.open(t, m)
	p.must(t, "TOP 3 0") // a look at the header is no reading
	if _, err := p.ReadDotLines(); err != nil {
		t.Fatal(err)
	}
	p.quit(t)

	s.retain(t, v1alpha1.Retention{ReadMaxAge: "1s"})
	s.awaitUIDs(t, m, uids[1:])
	s.retain(t, v1alpha1.Retention{ReadMaxAge: "1h", UnreadMaxAge: "1h"})
	s.awaitUIDs(t, m, uids[1:]) // none of them is that old
	s.retain(t, v1alpha1.Retention{UnreadMaxAge: "1s"})
	s.awaitUIDs(t, m, nil)
	s.checkUndelete(t, s.newMailbox(t, "bob"))
	s.checkNotRestarted(t, server)
}

// sendAll delivers messages, and gives the unique-ids of all that are in the mailbox then.
func (s *service) sendAll(t *testing.T, m *mailbox, subjects ...string) []string {
	t.Helper()
	for _, subject := range subjects {
		s.send(t, m, subject)
	}
	p := s.open(t, m)
	defer p.quit(t)
	return p.uids(t)
}

// read reads messages, and ends the session, which is when that is written down.
func (s *service) read(t *testing.T, m *mailbox, numbers ...int) {
	t.Helper()
	p := s.open(t, m)
	for _, number := range numbers {
		p.exactly(t, number)
	}
	p.quit(t)
}

func (s *service) retain(t *testing.T, retention v1alpha1.Retention) {
	t.Helper()
	change(t, s.PopService, func(pop *v1alpha1.PopService) { pop.Spec.Retention = retention })
	awaitReady(t, s.PopService)
}

// awaitUIDs waits for a mailbox to have these messages and no others. What must not go must never be seen gone.
func (s *service) awaitUIDs(t *testing.T, m *mailbox, want []string) {
	t.Helper()
	await(t, settling, "the messages "+strings.Join(want, " ")+" to be all that there are", func() (bool, string) {
		p := s.open(t, m)
		got := p.uids(t)
		p.quit(t)
		p.Close()
		for _, uid := range want {
			if !slices.Contains(got, uid) {
				t.Fatalf("message %s is gone, and %q are left", uid, got)
			}
		}
		return slices.Equal(got, want), strings.Join(got, " ")
	})
}

// checkUndelete: what a client removes can be restored, with its unique-id, as long as that is asked for.
func (s *service) checkUndelete(t *testing.T, m *mailbox) {
	t.Helper()
	s.retain(t, v1alpha1.Retention{DeletedItemRetention: "24h"})
	uids := s.sendAll(t, m, "kept", "restored", "restored too")
	p := s.open(t, m)
	before := p.exactly(t, 2)
	p.must(t, "DELE 2")
	p.must(t, "DELE 3")
	p.quit(t)
	s.checkMessages(t, m, "kept")
	open := s.open(t, m)
	s.checkRemovedAreListed(t, m, uids[1:])
	t.Log(s.mustMaildrop(t, s.pod(t), "undelete", m.address(), uids[1]))
	if now := open.uids(t); !slices.Equal(now, uids[:1]) {
		t.Errorf("a session that was open before sees %q now", now)
	}
	s.awaitUIDs(t, m, uids[:2])
	t.Log(s.mustMaildrop(t, s.pod(t), "undelete", m.address(), "--all"))
	s.awaitUIDs(t, m, uids)
	p = s.open(t, m)
	checkSame(t, "the restored message", p.exactly(t, 2), before)
	p.quit(t)
	if now := s.sendAll(t, m, "new"); !slices.Equal(now[:3], uids) || slices.Contains(uids, now[3]) {
		t.Errorf("the unique-ids were %q, and with a new message they are %q", uids, now)
	}
}

// checkRemovedAreListed: a person who restores messages must find out which there are.
func (s *service) checkRemovedAreListed(t *testing.T, m *mailbox, uids []string) {
	t.Helper()
	list := s.mustMaildrop(t, s.pod(t), "list", m.address(), "--removed")
	for _, uid := range uids {
		if !slices.ContainsFunc(strings.Split(list, "\n"), func(line string) bool {
			columns := strings.Fields(line)
			return len(columns) > 6 && columns[1] == uid && columns[6] != "-"
		}) {
			t.Errorf("the removed message %s is not in the list:\n%s", uid, list)
		}
	}
}
