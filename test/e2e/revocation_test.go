//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

const (
	// refusedWithin is how soon every server must refuse what was taken away, from when the change was written.
	refusedWithin = 2 * time.Second
	// revocationTries is how often that is measured, on a machine that may be busy with other things, until it is so.
	revocationTries = 3
	// attemptPeriod parts one attempt to log in from the next. An attempt does not wait for the other: refusals come late on
	// purpose, and the later the more there are, so that there are only as many attempts as it takes.
	attemptPeriod = 250 * time.Millisecond
	attempts      = int(refusedWithin/attemptPeriod) + 2
)

// attempt is a login at one server.
type attempt func(address string) error

// revocation is something that is taken away.
type revocation struct {
	name   string
	revoke func(*v1alpha1.MailboxSpec)
	// user and password are those that are refused then, kept those that are taken on; none if that is empty.
	user, password, kept string
}

// TestRevocation takes away credentials, mailboxes and delegates that two servers of one volume know well: each server has seen
// the login a moment ago, and remembers the password. It runs alone, for it measures.
func TestRevocation(t *testing.T) {
	s := newServiceOf(t, "revocation", func(spec *v1alpha1.PopServiceSpec) {
		spec.Storage.Layout, spec.Replicas = v1alpha1.LayoutShared, new(int32(2))
		spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismUser, v1alpha1.MechanismSCRAM}
	})
	alice, delegate := s.createMailbox(t, "alice"), s.createMailbox(t, "delegate")
	phone := newPassword()
	create(t, passwordSecret(s.Namespace, "phone", phone))
	change(t, alice.Mailbox, func(m *v1alpha1.Mailbox) {
		m.Spec.Delegates = []v1alpha1.Address{delegate.Spec.Address}
		m.Spec.Credentials = append(m.Spec.Credentials, v1alpha1.Credential{
			Name: "phone", PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: "phone"},
		})
	})
	awaitReady(t, alice.Mailbox)
	awaitReady(t, delegate.Mailbox)
	for _, r := range []revocation{
		{"credential", func(spec *v1alpha1.MailboxSpec) { spec.Credentials = spec.Credentials[:1] },
			alice.address(), phone, alice.password},
		{"mailbox", func(spec *v1alpha1.MailboxSpec) { spec.State = v1alpha1.MailboxDisabled },
			alice.address(), alice.password, ""},
		{"delegate", func(spec *v1alpha1.MailboxSpec) { spec.Delegates = nil },
			delegate.address() + "/alice", delegate.password, alice.password},
	} {
		t.Run(r.name, func(t *testing.T) { s.checkRevoked(t, alice, r) })
	}
}

func (s *service) userAt(user, password string) attempt {
	return func(address string) error {
		p, err := s.connectTo(address, time.Minute)
		if err != nil {
			return err
		}
		defer p.Close()
		if err := p.logIn(user, password); err != nil {
			return err
		}
		_, err = p.ask("QUIT")
		return err
	}
}

func (s *service) scramAt(user, password string) attempt {
	return func(address string) error {
		return s.tryMechanism(address, "SCRAM-SHA-256", scramClient("", user, password))
	}
}

// servers are where the servers listen, past the Service.
func (s *service) servers(t *testing.T) (addresses []string) {
	t.Helper()
	pods := slices.DeleteFunc(podsOf(t, s.deployment(t)), func(pod corev1.Pod) bool { return !isReady(pod) })
	for _, pod := range pods {
		addresses = append(addresses, podAddress(t, pod, "pop3s"))
	}
	if len(addresses) != int(*s.Spec.Replicas) {
		t.Fatalf("%d servers are ready, want %d", len(addresses), *s.Spec.Replicas)
	}
	return addresses
}

// checkRevoked measures until one measurement is good.
func (s *service) checkRevoked(t *testing.T, m *mailbox, r revocation) {
	t.Helper()
	for range revocationTries {
		took := s.measureRevocation(t, m, r)
		t.Logf("refused, after the change was written: %v", took)
		if slices.Max(slices.Collect(maps.Values(took))) <= refusedWithin {
			return
		}
	}
	t.Errorf("it was refused later than %s by some server, %d times", refusedWithin, revocationTries)
}

// measureRevocation gives, for each server and mechanism, the time after which nobody was let in. Then it gives back what it
// took away.
func (s *service) measureRevocation(t *testing.T, m *mailbox, r revocation) map[string]time.Duration {
	t.Helper()
	servers := s.servers(t)
	revoked := ways(servers, s.userAt(r.user, r.password), s.scramAt(r.user, r.password))
	for name, try := range revoked {
		for range 2 { // the second login is that of a password that is remembered
			if err := try(); err != nil {
				t.Fatalf("%s, before: %v", name, err)
			}
		}
	}
	whole := get(t, m.Namespace, m.Name, m.Mailbox).Spec.DeepCopy()
	change(t, m.Mailbox, func(m *v1alpha1.Mailbox) { r.revoke(&m.Spec) })
	took := timeAll(t, revoked)
	if r.kept != "" {
		for name, try := range ways(servers, s.userAt(m.address(), r.kept), s.scramAt(m.address(), r.kept)) {
			if err := try(); err != nil {
				t.Errorf("%s: what was not taken away is refused: %v", name, err)
			}
		}
	}
	change(t, m.Mailbox, func(m *v1alpha1.Mailbox) { whole.DeepCopyInto(&m.Spec) })
	awaitReady(t, m.Mailbox)
	return took
}

// ways are logins at all servers.
func ways(servers []string, user, scram attempt) map[string]func() error {
	all := make(map[string]func() error)
	for i, address := range servers {
		all[fmt.Sprintf("USER at %d", i)] = func() error { return user(address) }
		all[fmt.Sprintf("SCRAM at %d", i)] = func() error { return scram(address) }
	}
	return all
}

// timeAll measures all of them at once, from now on.
func timeAll(t *testing.T, tries map[string]func() error) map[string]time.Duration {
	t.Helper()
	start, took := time.Now(), make(map[string]time.Duration)
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, try := range tries {
		all.Go(func() {
			first := untilRefused(t, start, try)
			mu.Lock()
			defer mu.Unlock()
			took[name] = first
		})
	}
	all.Wait()
	return took
}

// tried is an attempt that began so long after the start.
type tried struct {
	began time.Duration
	err   error
}

// untilRefused tries again and again, and tells when the first attempt began after which all were refused.
func untilRefused(t *testing.T, start time.Time, try func() error) time.Duration {
	t.Helper()
	results := make(chan tried, attempts)
	for range attempts {
		time.Sleep(attemptPeriod) // the attempts are a clock
		go func() {
			began := time.Since(start)
			results <- tried{began, try()}
		}()
	}
	var known []tried
	for range attempts {
		result := <-results
		if result.err != nil && !strings.Contains(result.err.Error(), logonFailure) {
			t.Errorf("an attempt failed otherwise: %v", result.err)
		}
		known = append(known, result)
	}
	slices.SortFunc(known, func(a, b tried) int { return cmp.Compare(a.began, b.began) })
	return firstRefusal(known)
}

// firstRefusal gives when the first refusal began after the last success; after the last attempt where that succeeded.
func firstRefusal(known []tried) time.Duration {
	first := known[len(known)-1].began + attemptPeriod
	for _, result := range slices.Backward(known) {
		if result.err == nil {
			break
		}
		first = result.began
	}
	return first.Round(time.Millisecond)
}
