package resources

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/pop3server/config"
)

// input is a PopService with the defaults that the API server fills in.
func input(change ...func(*v1alpha1.PopServiceSpec)) Input {
	service := &v1alpha1.PopService{ObjectMeta: metav1.ObjectMeta{Name: "pop", Namespace: "mail", UID: "u"}}
	service.Spec = v1alpha1.PopServiceSpec{
		Replicas: new(int32(1)),
		Listeners: []v1alpha1.Listener{
			{Name: "pop3", Port: 110, Security: v1alpha1.ListenerStartTLS}, {Name: "pop3s", Port: 995,
				Security: v1alpha1.ListenerImplicitTLS}},
		TLS: &v1alpha1.TLS{MinVersion: v1alpha1.TLS12, Certificates: []v1alpha1.Certificate{
			{Name: "default", SecretRef: v1alpha1.LocalSecretReference{Name: "pop-tls"}}}},
		Authentication: v1alpha1.Authentication{LoginType: v1alpha1.SecureLogin, Mechanisms: []v1alpha1.Mechanism{"USER", "PLAIN"}},
		Timeouts: v1alpha1.Timeouts{PreAuthenticatedSeconds: 60, AuthenticatedSeconds: 1800, TLSHandshakeSeconds: 10,
			DrainSeconds: 300},
		Limits: v1alpha1.Limits{MaxCommandOctets: 512, MaxConnections: 10000, MaxConnectionsPerAddress: 2000,
			MaxConnectionsPerMailbox: 16, MaxFailedLogins: 3},
		Banner: "The PopService POP3 service is ready.",
		Delivery: v1alpha1.Delivery{LMTP: v1alpha1.LMTP{Port: 2424}, MaxMessageSize: resource.MustParse("50Mi"),
			OverQuotaReply: "Reject"},
		Storage: v1alpha1.Storage{Layout: v1alpha1.LayoutSingle, Volume: v1alpha1.Volume{Size: resource.MustParse("10Gi")},
			OnDelete: v1alpha1.Retain},
		Service: v1alpha1.ServiceTemplate{Type: corev1.ServiceTypeClusterIP},
	}
	for _, c := range change {
		c(&service.Spec)
	}
	return Input{Service: service, Image: "popservice/pop3d:1", ManagerNamespace: "popservice-system"}
}

// object makes an object of an apply configuration.
func object[T any](t *testing.T, configuration any) T {
	t.Helper()
	text, err := json.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	var value T
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func deployment(t *testing.T, in Input) appsv1.Deployment {
	t.Helper()
	c, err := NewConfig(in)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Deployment(in, c)
	if err != nil {
		t.Fatal(err)
	}
	return object[appsv1.Deployment](t, d)
}

// checkRestricted wants a pod to meet the Pod Security Standard "restricted".
func checkRestricted(t *testing.T, pod *corev1.PodTemplateSpec) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

func TestPodsAreRestricted(t *testing.T) {
	pod := deployment(t, input()).Spec.Template
	checkRestricted(t, &pod)
	server := pod.Spec.Containers[0]
	switch {
	case *pod.Spec.AutomountServiceAccountToken:
		t.Error("the pod gets a token")
	case !*server.SecurityContext.ReadOnlyRootFilesystem:
		t.Error("the root file system can be written")
	case len(pod.Spec.Containers) != 1 || pod.Spec.HostNetwork:
		t.Error("more than one container, or the host's network")
	}
}

// A live setting, a certificate or a mailbox more leaves the pods as they are; what a server takes over at its start does not.
func TestWhatChangesThePods(t *testing.T) {
	template := func(change ...func(*v1alpha1.PopServiceSpec)) string {
		text, err := json.Marshal(deployment(t, input(change...)).Spec.Template)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, test := range []struct {
		name    string
		changes bool
		change  func(*v1alpha1.PopServiceSpec)
	}{
		{"banner", false, func(s *v1alpha1.PopServiceSpec) { s.Banner = "Hello" }},
		{"limits", false, func(s *v1alpha1.PopServiceSpec) { s.Limits.MaxCommandOctets = 40 }},
		{"timers", false, func(s *v1alpha1.PopServiceSpec) { s.Timeouts.AuthenticatedSeconds = 1 }},
		{"login type", false, func(s *v1alpha1.PopServiceSpec) { s.Authentication.LoginType = v1alpha1.PlainTextLogin }},
		{"one certificate more", false, func(s *v1alpha1.PopServiceSpec) {
			s.TLS.Certificates = append(s.TLS.Certificates, v1alpha1.Certificate{Name: "second"})
		}},
		{"message size", false, func(s *v1alpha1.PopServiceSpec) { s.Delivery.MaxMessageSize = resource.MustParse("1Gi") }},
		{"default quota", false, func(s *v1alpha1.PopServiceSpec) { s.MailboxDefaults.Quota.ProhibitReceive = nil }},
		{"service type", false, func(s *v1alpha1.PopServiceSpec) { s.Service.Type = corev1.ServiceTypeLoadBalancer }},
		{"security of a listener", true, func(s *v1alpha1.PopServiceSpec) { s.Listeners[0].Security = v1alpha1.ListenerPlaintext }},
		{"port", true, func(s *v1alpha1.PopServiceSpec) { s.Listeners[0].Port = 111 }},
		{"LMTP port", true, func(s *v1alpha1.PopServiceSpec) { s.Delivery.LMTP.Port = 24 }},
		{"time to drain", true, func(s *v1alpha1.PopServiceSpec) { s.Timeouts.DrainSeconds = 10 }},
		{"image", true, func(s *v1alpha1.PopServiceSpec) { s.Image.Reference = "other" }},
	} {
		if changed := template() != template(test.change); changed != test.changes {
			t.Errorf("%s: pods change: %t, want %t", test.name, changed, test.changes)
		}
	}
}

func TestPortsAreUnprivilegedAndDistinct(t *testing.T) {
	in := input(func(s *v1alpha1.PopServiceSpec) {
		s.Listeners = []v1alpha1.Listener{{Name: "a", Port: 110}, {Name: "b", Port: 1110}, {Name: "c", Port: 8080},
			{Name: "d", Port: 8443}}
		s.Delivery.LMTP.Port = 24
	})
	want := []port{{"a", 1110}, {"b", 1111}, {"c", 8080}, {"d", 8443}, {"lmtp", 1024}, {"admin", 8081}, {"control", 8444}}
	if got := in.ports(); !slices.Equal(got, want) {
		t.Errorf("ports are %v, want %v", got, want)
	}
}

func TestConfigurationIsWhatTheSpecSays(t *testing.T) {
	in := input(func(s *v1alpha1.PopServiceSpec) { s.Banner = "Hello" })
	c, err := NewConfig(in)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := config.Parse([]byte(c.Text))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case parsed.Revision != c.Revision || c.Revision == "":
		t.Errorf("revision is %q in the text, %q beside it", parsed.Revision, c.Revision)
	case parsed.Banner != "Hello" || parsed.Listeners[1].Address != ":1995" || parsed.LMTP.MaxMessageOctets != 50<<20:
		t.Errorf("the configuration is %+v", parsed)
	case parsed.TLS.Certificates[0].CertFile != "/etc/pop3d/tls/default.crt":
		t.Errorf("the certificate is %+v", parsed.TLS.Certificates[0])
	}
	again, _ := NewConfig(in)
	other, _ := NewConfig(input())
	if again.Text != c.Text || other.Revision == c.Revision || other.static != c.static {
		t.Error("equal specs must give equal text, others another revision, and a banner is not static")
	}
}

func TestBadConfigurationIsAnError(t *testing.T) {
	_, err := NewConfig(input(func(s *v1alpha1.PopServiceSpec) { s.Banner = "<a@b>" }))
	if err == nil || !strings.Contains(err.Error(), "banner") {
		t.Errorf("error is %v, it should name the banner", err)
	}
}

func TestClaim(t *testing.T) {
	claim := object[corev1.PersistentVolumeClaim](t, Claim(input(), nil))
	if len(claim.OwnerReferences) > 0 || claim.Spec.Resources.Requests.Storage().String() != "10Gi" {
		t.Errorf("a claim that is to stay: %+v", claim)
	}
	larger := &corev1.PersistentVolumeClaim{}
	larger.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("20Gi")}
	claim = object[corev1.PersistentVolumeClaim](t, Claim(input(), larger))
	if claim.Spec.Resources.Requests.Storage().String() != "20Gi" {
		t.Errorf("a claim was shrunk to %s", claim.Spec.Resources.Requests.Storage())
	}
}

func TestService(t *testing.T) {
	s := object[corev1.Service](t, Service(input(func(s *v1alpha1.PopServiceSpec) {
		s.Service = v1alpha1.ServiceTemplate{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: "Local",
			LoadBalancerClass: new("example.com/lb"), LoadBalancerSourceRanges: []string{"192.0.2.0/24"},
			Annotations: map[string]string{"a": "b"}}
	})))
	if s.Spec.ExternalTrafficPolicy != "Local" || *s.Spec.LoadBalancerClass != "example.com/lb" || s.Annotations["a"] != "b" ||
		len(s.Spec.LoadBalancerSourceRanges) != 1 || s.Spec.Ports[1].TargetPort.StrVal != "pop3s" {
		t.Errorf("the Service is %+v", s)
	}
	plain := object[corev1.Service](t,
		Service(input(func(s *v1alpha1.PopServiceSpec) { s.Service.ExternalTrafficPolicy = "Local" })))
	if plain.Spec.ExternalTrafficPolicy != "" { // the API server refuses it on a ClusterIP
		t.Errorf("the Service is %+v", plain)
	}
}

func TestNetworkPolicy(t *testing.T) {
	configuration, err := NetworkPolicy(input())
	if err != nil {
		t.Fatal(err)
	}
	rules := object[networkingv1.NetworkPolicy](t, configuration).Spec
	if len(rules.Ingress) != 4 || len(rules.Egress) != 0 || len(rules.PolicyTypes) != 2 {
		t.Fatalf("the rules are %+v", rules)
	}
	clients, lmtp, control := rules.Ingress[0], rules.Ingress[1], rules.Ingress[3]
	switch {
	case len(clients.From) != 0 || len(clients.Ports) != 2:
		t.Errorf("clients: %+v", clients)
	case len(lmtp.From) != 1 || lmtp.From[0].PodSelector == nil || lmtp.From[0].NamespaceSelector != nil:
		t.Errorf("LMTP is for the pods of this namespace: %+v", lmtp)
	case len(control.From) != 1 ||
		control.From[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "popservice-system":
		t.Errorf("the control port is the operator's: %+v", control)
	}
	named, err := NetworkPolicy(input(func(s *v1alpha1.PopServiceSpec) {
		s.Delivery.LMTP.From = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "192.0.2.0/24"}}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if from := object[networkingv1.NetworkPolicy](t,
		named).Spec.Ingress[1].From; len(from) != 1 || from[0].IPBlock.CIDR != "192.0.2.0/24" {
		t.Errorf("LMTP is for those who are named: %+v", from)
	}
}

func TestEveryObjectIsLabelledAndOwned(t *testing.T) {
	in := input()
	c, err := NewConfig(in)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := NetworkPolicy(in)
	if err != nil {
		t.Fatal(err)
	}
	for name, configuration := range map[string]any{
		"ConfigMap": ConfigMap(in, c), "certificates": Certificates(in, nil), "CA": ControlCA(in, nil), "TLS": ControlTLS(in, nil),
		"bucket": Bucket(in, BucketFile{Bucket: 42, Revision: 1}), "account": ServiceAccount(in), "Service": Service(in),
		"LMTP":   LMTPService(in),
		"policy": policy,
	} {
		o := object[metav1.PartialObjectMetadata](t, configuration)
		if o.Labels["popservice.io/service"] != "pop" || o.Labels["app.kubernetes.io/managed-by"] != "popservice" ||
			len(o.OwnerReferences) != 1 || !*o.OwnerReferences[0].Controller || o.OwnerReferences[0].UID != "u" {
			t.Errorf("%s: %+v", name, o.ObjectMeta)
		}
	}
}
