//go:build e2e

package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
)

// advice is in a message that says what to do.
var advice = regexp.MustCompile(`(?i)\b(create|make|add|apply|give|change|remove|delete|use|set|put)\b`)

// checkHelpful fails where a message does not name what is wrong, or does not say what to do.
func checkHelpful(t *testing.T, c metav1.Condition, names ...string) {
	t.Helper()
	for _, name := range names {
		if !strings.Contains(c.Message, name) {
			t.Errorf("%s: the message does not name %q: %s", c.Type, name, c.Message)
		}
	}
	if !advice.MatchString(c.Message) {
		t.Errorf("%s: the message does not say what to do: %s", c.Type, c.Message)
	}
}

// awaitWarning waits for an event of an object.
func awaitWarning(t *testing.T, object client.Object, reason string) {
	t.Helper()
	await(t, settling, "an event "+reason+" of "+object.GetName(), func() (bool, string) {
		var events corev1.EventList
		if err := kube.List(t.Context(), &events, client.InNamespace(object.GetNamespace())); err != nil {
			return false, err.Error()
		}
		var seen []string
		found := slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			seen = append(seen, e.InvolvedObject.Name+" "+e.Type+" "+e.Reason)
			return e.InvolvedObject.UID == object.GetUID() && e.Type == corev1.EventTypeWarning && e.Reason == reason
		})
		return found, strings.Join(seen, "; ")
	})
}

// TestMissingCertificateHeals begins without the TLS Secret.
func TestMissingCertificateHeals(t *testing.T) {
	t.Parallel()
	pop := newPopService(newNamespace(t, "no-certificate"))
	create(t, pop)
	c := awaitCondition(t, pop, v1alpha1.ConditionCertificatesReady, metav1.ConditionFalse, "SecretNotFound")
	checkHelpful(t, c, tlsSecret)
	awaitCondition(t, pop, v1alpha1.ConditionReady, metav1.ConditionFalse, "SecretNotFound")
	awaitWarning(t, pop, "SecretNotFound")
	s := findService(t, pop)
	create(t, s.authority.secret(t, s.host(), s.ip, s.Namespace))
	awaitReady(t, pop)
	s.awaitReachable(t)
}

// TestMailboxesHeal shows what is wrong with Mailboxes, and that it heals, beside one that is served all the time.
func TestMailboxesHeal(t *testing.T) {
	t.Parallel()
	s := newService(t, "mailboxes")
	bystander := s.newMailbox(t, "bystander")
	s.checkMissingPassword(t)
	s.checkConflict(t)
	s.checkAliasConflict(t, bystander)
	s.checkUnknownService(t)
	if err := s.login(bystander.address(), bystander.password); err != nil {
		t.Errorf("the mailbox beside them is not served: %v", err)
	}
	awaitReady(t, s.PopService)
}

// checkMissingPassword: mail is taken meanwhile.
func (s *service) checkMissingPassword(t *testing.T) {
	t.Helper()
	m := &mailbox{Mailbox: mailboxOf(s.PopService, "no-password"), password: newPassword()}
	create(t, m.Mailbox)
	c := awaitCondition(t, m.Mailbox, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, "SecretNotFound")
	checkHelpful(t, c, m.Name)
	awaitWarning(t, m.Mailbox, "SecretNotFound")
	await(t, settling, "mail to be taken for a mailbox without a password", func() (bool, string) {
		reply := s.deliver(t, letter("early"), m.address())[0]
		return strings.HasPrefix(reply, "250 2.0.0"), reply
	})
	create(t, passwordSecret(s.Namespace, m.Name, m.password))
	awaitCondition(t, m.Mailbox, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, "")
	awaitReady(t, m.Mailbox)
	s.checkMessages(t, m, "early")
}

// checkConflict: the older Mailbox keeps the address, the other one gets it when the older one is gone.
func (s *service) checkConflict(t *testing.T) {
	t.Helper()
	older := s.newMailbox(t, "older")
	awaitNextSecond(t, older)
	younger := mailboxOf(s.PopService, "younger")
	younger.Spec.Address = older.Spec.Address
	create(t, passwordSecret(s.Namespace, younger.Name, newPassword()))
	create(t, younger)
	c := awaitCondition(t, younger, v1alpha1.ConditionStalled, metav1.ConditionTrue, "AddressConflict")
	checkHelpful(t, c, older.address(), older.Name)
	awaitCondition(t, younger, v1alpha1.ConditionReady, metav1.ConditionFalse, "AddressConflict")
	awaitWarning(t, younger, "AddressConflict")
	awaitReady(t, older.Mailbox)
	if err := s.login(older.address(), older.password); err != nil {
		t.Errorf("the older mailbox is not served: %v", err)
	}
	remove(t, older.Mailbox)
	awaitReady(t, younger)
}

// checkAliasConflict: a Mailbox whose alias is another one's address is served without it, until it gives it up.
func (s *service) checkAliasConflict(t *testing.T, owner *mailbox) {
	t.Helper()
	m := &mailbox{Mailbox: mailboxOf(s.PopService, "greedy"), password: newPassword()}
	m.Spec.Aliases = []v1alpha1.Address{owner.Spec.Address}
	create(t, passwordSecret(s.Namespace, m.Name, m.password))
	create(t, m.Mailbox)
	c := awaitCondition(t, m.Mailbox, v1alpha1.ConditionStalled, metav1.ConditionTrue, "AliasConflict")
	checkHelpful(t, c, owner.address(), owner.Name)
	awaitWarning(t, m.Mailbox, "AliasConflict")
	s.send(t, owner, "to its owner")
	s.checkMessages(t, owner, "to its owner")
	change(t, m.Mailbox, func(m *v1alpha1.Mailbox) { m.Spec.Aliases = nil })
	awaitReady(t, m.Mailbox)
	s.checkMessages(t, m)
}

// awaitNextSecond lets the next object be younger: times of creation are whole seconds.
func awaitNextSecond(t *testing.T, m *mailbox) {
	t.Helper()
	time.Sleep(time.Until(m.CreationTimestamp.Add(time.Second))) // the clock is what is waited for
}

func (s *service) checkUnknownService(t *testing.T) {
	t.Helper()
	m := mailboxOf(s.PopService, "elsewhere")
	m.Spec.ServiceRef.Name = "mail"
	create(t, passwordSecret(s.Namespace, m.Name, newPassword()))
	create(t, m)
	c := awaitCondition(t, m, v1alpha1.ConditionReady, metav1.ConditionFalse, "ServiceNotFound")
	checkHelpful(t, c, "mail")
	awaitWarning(t, m, "ServiceNotFound")
}
