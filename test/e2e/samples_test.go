//go:build e2e

package e2e

import (
	"regexp"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

const samples = root + "/config/samples"

// TestSamples does what the README says, with the samples as they are.
func TestSamples(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, "samples")
	t.Log(kubectl(t, "apply", "--namespace", namespace, "-f", samples))
	pop := get(t, namespace, "pop", &v1alpha1.PopService{})
	s := findService(t, pop)
	create(t, s.authority.secret(t, s.host(), s.ip, namespace))
	awaitReady(t, pop)
	s.awaitReachable(t)
	for name, password := range samplePasswords {
		m := sampleMailbox(t, namespace, name, password)
		s.send(t, m, "hello "+name)
		s.checkMessages(t, m, "hello "+name)
	}
	checkColumns(t, namespace)
	checkReapplyChangesNothing(t, namespace)
}

// samplePasswords are told in the samples, for everyone to see.
var samplePasswords = map[string]string{
	"alice": "alice's example password",
	"bob":   "bob's example password",
}

func sampleMailbox(t *testing.T, namespace, name, password string) *mailbox {
	t.Helper()
	m := &mailbox{Mailbox: get(t, namespace, name, &v1alpha1.Mailbox{}), password: password}
	c := awaitCondition(t, m.Mailbox, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	if c.Reason != "Serving" {
		t.Errorf("Mailbox %s is Ready with reason %s, want Serving", name, c.Reason)
	}
	return m
}

// checkColumns reads what a person sees.
func checkColumns(t *testing.T, namespace string) {
	t.Helper()
	table := kubectl(t, "--namespace", namespace, "get", "pop,mbx")
	t.Log(table)
	for _, row := range []string{
		`(?m)^NAME +READY +REASON +SERVERS +MAILBOXES +AGE$`,
		`(?m)^popservice.popservice.io/pop +True +\w+ +1 +\d`,
		`(?m)^NAME +ADDRESS +SERVICE +STATE +READY +REASON +AGE$`,
		`(?m)^mailbox.popservice.io/alice +alice@example.com +pop +Enabled +True +Serving `,
		`(?m)^mailbox.popservice.io/bob +bob@example.com +pop +Enabled +True +Serving `,
	} {
		if !regexp.MustCompile(row).MatchString(table) {
			t.Errorf("kubectl get pop,mbx has no line %s", row)
		}
	}
}

// checkReapplyChangesNothing: whoever applies the same again, as GitOps tools do all day, changes nothing and finds no drift.
func checkReapplyChangesNothing(t *testing.T, namespace string) {
	t.Helper()
	generations := func() string {
		return kubectl(t, "get", "--namespace", namespace, "-f", samples, "-o",
			`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.generation}{"\n"}{end}`)
	}
	before := generations()
	kubectl(t, "apply", "--namespace", namespace, "-f", samples)
	if after := generations(); after != before {
		t.Errorf("applying the samples again has changed them:\n%s\nare now\n%s", before, after)
	}
	if diff, err := try(t, "", "kubectl", "diff", "--namespace", namespace, "-f", samples); err != nil {
		t.Errorf("the samples differ from what is in the cluster: %v\n%s", err, diff)
	}
}
