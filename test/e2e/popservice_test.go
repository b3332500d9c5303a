//go:build e2e

package e2e

import (
	"crypto/rand"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
)

const tlsSecret = "pop-tls"

// service is a PopService with all that a test needs to use it.
type service struct {
	*v1alpha1.PopService
	authority *authority
	ip        string // of the Service for clients
	lmtpIP    string
}

// newService makes a PopService in a namespace of its own and waits until it serves.
func newService(t *testing.T, name string) *service {
	t.Helper()
	s := startService(t, newPopService(newNamespace(t, name)))
	awaitReady(t, s.PopService)
	s.awaitReachable(t)
	return s
}

func newPopService(namespace string) *v1alpha1.PopService {
	return &v1alpha1.PopService{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pop"},
		Spec: v1alpha1.PopServiceSpec{
			TLS: &v1alpha1.TLS{Certificates: []v1alpha1.Certificate{{
				Name: "default", SecretRef: v1alpha1.LocalSecretReference{Name: tlsSecret},
			}}},
			Timeouts: v1alpha1.Timeouts{DrainSeconds: 5},
			Storage:  v1alpha1.Storage{Volume: v1alpha1.Volume{Size: resource.MustParse("1Gi")}},
		},
	}
}

// startService makes a PopService and then its certificate, which names the address that the Service was given.
func startService(t *testing.T, pop *v1alpha1.PopService) *service {
	t.Helper()
	create(t, pop)
	s := findService(t, pop)
	create(t, s.authority.secret(t, s.host(), s.ip, pop.Namespace))
	return s
}

// findService waits for the Services of a PopService.
func findService(t *testing.T, pop *v1alpha1.PopService) *service {
	t.Helper()
	clients := awaitExists(t, pop.Namespace, pop.Name, &corev1.Service{})
	lmtp := awaitExists(t, pop.Namespace, pop.Name+"-lmtp", &corev1.Service{})
	return &service{PopService: pop, authority: newAuthority(t), ip: clients.Spec.ClusterIP, lmtpIP: lmtp.Spec.ClusterIP}
}

func (s *service) host() string { return s.Name + "." + s.Namespace + ".svc" }

func (s *service) address(port int) string { return net.JoinHostPort(s.ip, strconv.Itoa(port)) }

func (s *service) lmtpAddress() string { return net.JoinHostPort(s.lmtpIP, "2424") }

// deployment is that of the servers.
func (s *service) deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	return get(t, s.Namespace, s.Name+"-pop3d", &appsv1.Deployment{})
}

// pod is the one server, which must be ready.
func (s *service) pod(t *testing.T) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	await(t, settling, "one ready server of "+s.host(), func() (bool, string) {
		pods := podsOf(t, s.deployment(t))
		if len(pods) != 1 {
			return false, strconv.Itoa(len(pods)) + " pods"
		}
		pod = pods[0]
		return isReady(pod), string(pod.Status.Phase)
	})
	return pod
}

func podsOf(t *testing.T, deployment *appsv1.Deployment) []corev1.Pod {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	return podsBy(t, deployment.Namespace, selector)
}

func podsBy(t *testing.T, namespace string, selector labels.Selector) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	if err := kube.List(background(t), &pods, client.InNamespace(namespace),
		client.MatchingLabelsSelector{Selector: selector}); err != nil {
		t.Fatalf("list pods: %v", err)
	}
	return pods.Items
}

func isReady(pod corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// replacePod deletes the server and waits for the one that takes its place.
func (s *service) replacePod(t *testing.T) {
	t.Helper()
	old := s.pod(t)
	remove(t, &old)
	s.pod(t)
	s.awaitReachable(t)
}

// awaitReachable waits until the node sends what comes to the Services to the server that is ready.
func (s *service) awaitReachable(t *testing.T) {
	t.Helper()
	await(t, settling, "connections through the Services of "+s.host(), func() (bool, string) {
		p, err := s.connect(2 * time.Second)
		if err != nil {
			return false, err.Error()
		}
		p.Close()
		conn, err := net.DialTimeout("tcp", s.lmtpAddress(), 2*time.Second)
		if err != nil {
			return false, err.Error()
		}
		conn.Close()
		return true, ""
	})
}

// checkNotRestarted fails where the server is another one, or was restarted.
func (s *service) checkNotRestarted(t *testing.T, before corev1.Pod) {
	t.Helper()
	now := s.pod(t)
	if now.UID != before.UID {
		t.Errorf("pod %s was replaced by %s", before.Name, now.Name)
	}
	for _, c := range now.Status.ContainerStatuses {
		if c.RestartCount != 0 {
			t.Errorf("container %s was restarted %d times", c.Name, c.RestartCount)
		}
	}
}

// mailbox is a Mailbox with its password.
type mailbox struct {
	*v1alpha1.Mailbox
	password string
}

func (m *mailbox) address() string { return string(m.Spec.Address) }

// newMailbox makes a Mailbox with a password and waits until it is served.
func (s *service) newMailbox(t *testing.T, name string) *mailbox {
	t.Helper()
	m := s.createMailbox(t, name)
	awaitReady(t, m.Mailbox)
	return m
}

func (s *service) createMailbox(t *testing.T, name string) *mailbox {
	t.Helper()
	m := &mailbox{Mailbox: mailboxOf(s.PopService, name), password: newPassword()}
	create(t, passwordSecret(s.Namespace, name, m.password))
	create(t, m.Mailbox)
	return m
}

// mailboxOf gives a Mailbox whose password is in a Secret of the same name.
func mailboxOf(pop *v1alpha1.PopService, name string) *v1alpha1.Mailbox {
	return &v1alpha1.Mailbox{
		ObjectMeta: metav1.ObjectMeta{Namespace: pop.Namespace, Name: name},
		Spec: v1alpha1.MailboxSpec{
			ServiceRef: v1alpha1.ServiceReference{Name: pop.Name},
			Address:    v1alpha1.Address(name + "@example.com"),
			Credentials: []v1alpha1.Credential{{
				Name: "default", PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: name},
			}},
		},
	}
}

func passwordSecret(namespace, name, password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		StringData: map[string]string{"password": password},
	}
}

// newPassword makes one with blanks, which clients and server must keep, and which is recognized wherever it turns up.
func newPassword() string {
	password := "open " + rand.Text() + " sesame"
	noteSecret(password)
	return password
}
