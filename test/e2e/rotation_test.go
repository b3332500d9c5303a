//go:build e2e

package e2e

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// liveWithin is how soon a changed Secret must be in force. Without the operator's help the kubelet takes a minute. The tests
// that measure it run alone: beside them, others keep both the node and the operator busy.
const liveWithin = 5 * time.Second

// TestPasswordChanges: the new one is taken and the old one refused, by the same server.
func TestPasswordChanges(t *testing.T) {
	s := newService(t, "password")
	m := s.newMailbox(t, "alice")
	if err := s.login(m.address(), m.password); err != nil {
		t.Fatal(err)
	}
	before := s.pod(t)
	old, replacement := m.password, newPassword()
	secret := get(t, s.Namespace, m.Name, &corev1.Secret{})
	change(t, secret, func(secret *corev1.Secret) { secret.Data = map[string][]byte{"password": []byte(replacement)} })
	took := s.untilLoggedIn(t, m.address(), replacement)
	t.Logf("the new password was taken %s after the Secret was written", took.Round(time.Millisecond))
	if took > liveWithin {
		t.Errorf("the new password was first taken after %s, want %s", took, liveWithin)
	}
	if err := s.login(m.address(), old); err == nil {
		t.Error("the old password is still taken")
	}
	s.checkNotRestarted(t, before)
}

// untilLoggedIn tries to log in again and again, and tells when the first try began that succeeded. Refusals come late on
// purpose, so one try does not wait for the other.
func (s *service) untilLoggedIn(t *testing.T, address, password string) time.Duration {
	t.Helper()
	start := time.Now()
	succeeded := make(chan time.Duration, 1)
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for limit := time.After(settling); ; {
		select {
		case took := <-succeeded:
			return took
		case <-limit:
			t.Fatalf("waited %s for %s to be let in with the new password", settling, address)
		case <-ticker.C:
			go s.attempt(start, address, password, succeeded)
		}
	}
}

func (s *service) attempt(start time.Time, address, password string, succeeded chan<- time.Duration) {
	began := time.Since(start)
	if s.login(address, password) != nil {
		return
	}
	select {
	case succeeded <- began:
	default: // another try was earlier
	}
}

// TestCertificateIsReplaced: new connections get the new certificate, a session that was open goes on.
func TestCertificateIsReplaced(t *testing.T) {
	s := newService(t, "certificate")
	m := s.newMailbox(t, "alice")
	s.send(t, m, "before")
	before := s.pod(t)
	open := s.open(t, m)
	old := open.tls.PeerCertificates[0].SerialNumber

	fresh := s.authority.secret(t, s.host(), s.ip, s.Namespace)
	start := time.Now()
	change(t, get(t, s.Namespace, tlsSecret, &corev1.Secret{}), func(secret *corev1.Secret) { secret.Data = fresh.Data })
	await(t, settling, "the new certificate", func() (bool, string) {
		p, err := s.connect(10 * time.Second)
		if err != nil {
			t.Errorf("a connection failed while the certificate was replaced: %v", err)
			return false, err.Error()
		}
		defer p.Close()
		serial := p.tls.PeerCertificates[0].SerialNumber
		return serial.Cmp(old) != 0, "serial number " + serial.String()
	})
	took := time.Since(start)
	t.Logf("the new certificate was served %s after the Secret was written", took.Round(time.Millisecond))
	if took > liveWithin {
		t.Errorf("the new certificate was served after %s, want %s", took, liveWithin)
	}
	if text := open.message(t, 1); text == "" {
		t.Error("the open session gives no mail")
	}
	open.quit(t)
	s.checkNotRestarted(t, before)
	awaitReady(t, s.PopService)
}
