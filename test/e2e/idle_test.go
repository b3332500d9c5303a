//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

var writeVerbs = []string{"create", "update", "patch", "delete", "deletecollection"}

const (
	idleMailboxes = 50
	idleTime      = 5 * time.Minute
	operatorUser  = "system:serviceaccount:" + systemNamespace + ":" + managerName
)

// TestIdleOperatorWritesNothing: where nothing changes, the operator changes nothing. The API server's audit log tells. Other
// tests run meanwhile, in namespaces of their own.
func TestIdleOperatorWritesNothing(t *testing.T) {
	t.Parallel()
	s := newService(t, "idle")
	var mailboxes []*mailbox
	for i := range idleMailboxes {
		mailboxes = append(mailboxes, s.createMailbox(t, fmt.Sprintf("user%02d", i)))
	}
	for _, m := range mailboxes {
		awaitReady(t, m.Mailbox)
	}
	await(t, settling, "the PopService to count its mailboxes", func() (bool, string) {
		counts := get(t, s.Namespace, s.Name, s.PopService).Status.Mailboxes
		return counts.Total == idleMailboxes && counts.Ready == idleMailboxes, fmt.Sprintf("%+v", counts)
	})
	awaitReady(t, s.PopService)
	log := openAuditLog(t)
	before := log.awaitQuiet(t, s.Namespace)
	if here := inNamespace(before, s.Namespace); len(here) < idleMailboxes {
		t.Fatalf("the audit log has %d writes of the operator in %s, and it has made at least %d objects there: is it the right log?",
			len(here), s.Namespace, idleMailboxes)
	}
	requests := operatorRequests(t)
	time.Sleep(idleTime)
	during := log.operatorWrites(t)
	for _, w := range inNamespace(during, s.Namespace) {
		t.Errorf("the operator wrote while nothing changed: %s", w)
	}
	t.Logf("in %s the operator wrote %d times for this test, and %d times for others", idleTime,
		len(inNamespace(during, s.Namespace)), len(during)-len(inNamespace(during, s.Namespace)))
	t.Logf("its requests before:\n%s\nand after:\n%s", requests, operatorRequests(t))
	if err := s.login(mailboxes[0].address(), mailboxes[0].password); err != nil {
		t.Errorf("after the idle time: %v", err)
	}
	awaitReady(t, s.PopService)
}

// auditLog is read from where it was left.
type auditLog struct {
	*bufio.Reader
	partial []byte // of a line that is still being written
}

func openAuditLog(t *testing.T) *auditLog {
	t.Helper()
	path := os.Getenv("POPSERVICE_AUDIT_LOG")
	if path == "" {
		t.Fatal("POPSERVICE_AUDIT_LOG is not set: run the tests by `make e2e`")
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &auditLog{Reader: bufio.NewReader(file)}
}

// write is a request in the audit log that changes something.
type write struct {
	Verb       string
	User       struct{ Username string }
	ObjectRef  struct{ Resource, Subresource, Namespace, Name string }
	UserAgent  string
	RequestURI string
	At         time.Time `json:"requestReceivedTimestamp"`
}

func (w write) String() string {
	return fmt.Sprintf("%s %s %s", w.At.Format(time.TimeOnly), w.Verb, w.RequestURI)
}

// operatorWrites gives the operator's writes since the last call.
func (l *auditLog) operatorWrites(t *testing.T) []write {
	t.Helper()
	var writes []write
	for {
		line, err := l.ReadBytes('\n')
		l.partial = append(l.partial, line...)
		if errors.Is(err, io.EOF) {
			return writes
		}
		if err != nil {
			t.Fatal(err)
		}
		var w write
		if err := json.Unmarshal(l.partial, &w); err != nil {
			t.Fatalf("audit log: %v in %.200s", err, l.partial)
		}
		l.partial = nil
		if w.User.Username == operatorUser && slices.Contains(writeVerbs, w.Verb) {
			writes = append(writes, w)
		}
	}
}

// quiet is for how long nothing is written when all is that belongs to a change: its event is written behind it.
const quiet = 3 * time.Second

// awaitQuiet waits until the operator has nothing more to write in a namespace, and gives all that it has written.
func (l *auditLog) awaitQuiet(t *testing.T, namespace string) (writes []write) {
	t.Helper()
	last := time.Now()
	await(t, settling, "the operator to have written all", func() (bool, string) {
		fresh := l.operatorWrites(t)
		writes = append(writes, fresh...)
		if here := inNamespace(fresh, namespace); len(here) > 0 {
			last = time.Now()
		}
		return time.Since(last) > quiet, fmt.Sprintf("the last write was %v ago", time.Since(last))
	})
	return writes
}

func inNamespace(writes []write, namespace string) []write {
	return slices.DeleteFunc(slices.Clone(writes), func(w write) bool { return w.ObjectRef.Namespace != namespace })
}

// operatorRequests are the operator's own counts of its requests.
func operatorRequests(t *testing.T) string {
	t.Helper()
	pods := podsOf(t, get(t, systemNamespace, managerName, &appsv1.Deployment{}))
	if len(pods) != 1 {
		t.Fatalf("%d operator pods, want 1", len(pods))
	}
	var counts []string
	for line := range strings.Lines(metricsOf(t, pods[0])) {
		if strings.HasPrefix(line, "rest_client_requests_total{") {
			counts = append(counts, strings.TrimSpace(line))
		}
	}
	return strings.Join(counts, "\n")
}
