//go:build envtest

package envtest

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/popservice/popservice/api/v1alpha1"
)

// refused are specs that the API server refuses at apply; the error names the field and says what it may be.
var refused = []struct{ name, kind, spec, says string }{
	{"no certificate", "PopService", `{}`, "tls.certificates is required"},
	{"nobody could log in", "PopService", `{listeners: [{name: a, port: 110, security: Plaintext}]}`, "authentication.loginType"},
	{"two servers", "PopService", `{replicas: 2, tls: TLS}`, "replicas must be 0 or 1"},
	{"one port twice", "PopService",
		`{tls: TLS, listeners: [{name: a, port: 110, security: StartTLS}, {name: b, port: 110, security: StartTLS}]}`,
		"each listener needs a port of its own"},
	{"port out of range", "PopService", `{tls: TLS, listeners: [{name: a, port: 0, security: StartTLS}]}`,
		"spec.listeners[0].port"},
	{"no such security", "PopService", `{tls: TLS, listeners: [{name: a, port: 110, security: SSL}]}`,
		"spec.listeners[0].security"},
	{"a name that is taken", "PopService", `{tls: TLS, listeners: [{name: admin, port: 110, security: StartTLS}]}`, "are taken"},
	{"port of LMTP", "PopService", `{tls: TLS, delivery: {lmtp: {port: 995}}}`, "delivery.lmtp.port must differ"},
	{"LMTP on 25", "PopService", `{tls: TLS, delivery: {lmtp: {port: 25}}}`, "RFC 2033"},
	{"short commands", "PopService", `{tls: TLS, limits: {maxCommandOctets: 39}}`, "spec.limits.maxCommandOctets"},
	{"long commands", "PopService", `{tls: TLS, limits: {maxCommandOctets: 1025}}`, "spec.limits.maxCommandOctets"},
	{"no time", "PopService", `{tls: TLS, timeouts: {preAuthenticatedSeconds: -1}}`, "spec.timeouts.preAuthenticatedSeconds"},
	{"banner like APOP", "PopService", `{tls: TLS, banner: "hello <1.2@host>"}`, "APOP"},
	{"banner like a response code", "PopService", `{tls: TLS, banner: "[SYS/TEMP] hello", extendedCapabilities: [RESP-CODES]}`,
		"spec.banner"},
	{"separator that no server takes", "PopService", `{tls: TLS, delivery: {lmtp: {subaddressSeparator: "."}}}`,
		"spec.delivery.lmtp.subaddressSeparator"},
	{"banner of two lines", "PopService", `{tls: TLS, banner: "a\nb"}`, "one line"},
	{"no such mechanism", "PopService", `{tls: TLS, authentication: {mechanisms: [APOP]}}`, "spec.authentication.mechanisms"},
	{"message size", "PopService", `{tls: TLS, delivery: {maxMessageSize: 3Gi}}`, "from 1Ki to 2Gi"},
	{"no such layout", "PopService", `{tls: TLS, storage: {layout: Spread}}`, "spec.storage.layout"},
	{"no volume", "PopService", `{tls: TLS, storage: {volume: {size: "0"}}}`, "size must be more than 0"},
	{"half an octet", "PopService", `{tls: TLS, storage: {volume: {size: 1500m}}}`, "whole number of octets"},
	{"no quantity of memory", "PopService", `{tls: TLS, pod: {resources: {limits: {memory: "1e99999999999999999999"}}}}`,
		"limits must be quantities"},
	{"no quantity of a core", "PopService", `{tls: TLS, pod: {resources: {requests: {cpu: "1e1.5"}}}}`,
		"requests must be quantities"},
	{"no network", "PopService", `{tls: TLS, service: {type: LoadBalancer, loadBalancerSourceRanges: ["10.0.0.0/33"]}}`,
		"each must be a network"},
	{"no network of a peer", "PopService", `{tls: TLS, delivery: {lmtp: {from: [{ipBlock: {cidr: "10.0.0.0"}}]}}}`,
		"ipBlock.cidr must be a network"},
	{"no peer", "PopService", `{tls: TLS, networkPolicy: {metricsFrom: [{}]}}`, "each peer needs"},
	{"no image", "PopService", `{tls: TLS, image: {reference: "a b"}}`, "spec.image.reference"},
	{"a name that no port can bear", "PopService", `{tls: TLS, listeners: [{name: a--b, port: 110, security: StartTLS}]}`,
		"spec.listeners[0].name"},
	{"more connections than there are", "PopService", `{tls: TLS, limits: {maxConnections: 3000000000}}`,
		"spec.limits.maxConnections"},
	{"quotas crossed", "PopService", `{tls: TLS, mailboxDefaults: {quota: {issueWarning: 2Gi, prohibitReceive: 1Gi}}}`,
		"issueWarning"},
	{"a number that no client of Go reads", "PopService", `{tls: TLS, mailboxDefaults: {quota: {prohibitReceive: 5368709120}}}`,
		"such as 5Gi"},
	{"the same in a Mailbox", "Mailbox", `{serviceRef: {name: pop}, address: a@example.com, quota: {issueWarning: 2147483648}}`,
		"such as 5Gi"},
	{"no quantity", "PopService", `{tls: TLS, mailboxDefaults: {quota: {prohibitReceive: lots}}}`, "unlimited"},
	{"no name of a Secret", "PopService", `{tls: {certificates: [{name: a, secretRef: {name: a/b}}]}}`, "secretRef.name"},
	{"field that is unknown", "PopService", `{tls: TLS, port: 110}`, "spec.port"},

	{"no service", "Mailbox", `{address: a@example.com}`, "spec.serviceRef"},
	{"no domain", "Mailbox", `{serviceRef: {name: pop}, address: alice}`, "local-part@domain"},
	{"a space", "Mailbox", `{serviceRef: {name: pop}, address: "al ice@example.com"}`, "local-part@domain"},
	{"a slash", "Mailbox", `{serviceRef: {name: pop}, address: "al/ice@example.com"}`, "local-part@domain"},
	{"upper case", "Mailbox", `{serviceRef: {name: pop}, address: Alice@example.com}`, "lower case"},
	{"alias of itself", "Mailbox", `{serviceRef: {name: pop}, address: a@example.com, aliases: [a@example.com]}`,
		"among the aliases"},
	{"no such state", "Mailbox", `{serviceRef: {name: pop}, address: a@example.com, state: Gone}`, "spec.state"},
	{"no Secret", "Mailbox", `{serviceRef: {name: pop}, address: a@example.com, credentials: [{name: a}]}`, "credentials[0]"},
	{"two Secrets", "Mailbox",
		`{serviceRef: {name: pop}, address: a@example.com,
		  credentials: [{name: a, passwordSecretRef: {name: a}, verifierSecretRef: {name: a}}]}`,
		"credentials[0]"},
	{"no whole quota", "Mailbox", `{serviceRef: {name: pop}, address: a@example.com, quota: {prohibitReceive: 100m}}`,
		"whole quantity"},
}

func TestWrongValuesAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			err := kube.Create(t.Context(), w.object(test.kind, "pop", test.spec), client.FieldValidation("Strict"), client.DryRunAll)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, it should say %q", err, test.says)
			}
		})
	}
}

// object makes an object of a spec in YAML, in which TLS stands for a certificate.
func (w *world) object(kind, name, spec string) *unstructured.Unstructured {
	w.Helper()
	spec = strings.ReplaceAll(spec, "tls: TLS", "tls: {certificates: [{name: default, secretRef: {name: pop-tls}}]}")
	var fields map[string]any
	w.must(yaml.Unmarshal([]byte(spec), &fields))
	object := &unstructured.Unstructured{Object: map[string]any{"spec": fields}}
	object.SetAPIVersion("popservice.io/v1alpha1")
	object.SetKind(kind)
	object.SetNamespace(w.namespace)
	object.SetName(name)
	return object
}

// odd are values at the edge of what a field takes. Whether the API server takes them or not, one that it takes must not
// stop the operator's watch of all PopServices, as one would that Go cannot decode.
var odd = []string{ // the first ones are usual
	`{tls: TLS, replicas: 1.0}`,
	`{tls: TLS, storage: {volume: {size: 1.5Gi}}}`,
	`{tls: TLS, storage: {volume: {size: 100Ti}}, delivery: {maxMessageSize: 1.5Gi}}`,
	`{tls: TLS, mailboxDefaults: {quota: {prohibitReceive: 2.5Gi}}}`,
	`{tls: TLS, storage: {volume: {size: 9223372036854775807}}}`,
	`{tls: TLS, storage: {volume: {size: "1e30"}}}`,
	`{tls: TLS, storage: {volume: {size: "1E3"}}}`,
	`{tls: TLS, storage: {volume: {size: 18446744073709551615}}}`,
	`{tls: TLS, delivery: {maxMessageSize: "1e99999999999"}}`,
	`{tls: TLS, pod: {resources: {limits: {memory: 9223372036854775807}}}}`,
	`{tls: TLS, pod: {resources: {limits: {memory: 1.5}}}}`,
	`{tls: TLS, pod: {resources: {limits: {memory: "1e3000000000"}}}}`,
	`{tls: TLS, pod: {resources: {limits: {memory: ".5"}}}}`,
	`{tls: TLS, pod: {resources: {limits: {memory: "+1"}}}}`,
	`{tls: TLS, pod: {resources: {claims: [{name: a}]}}}`,
	`{tls: TLS, pod: {tolerations: [{tolerationSeconds: 9223372036854775807}]}}`,
	`{tls: TLS, pod: {tolerations: [{operator: Never}]}}`,
	`{tls: TLS, mailboxDefaults: {quota: {prohibitReceive: "9223372036854775807"}}}`,
	`{tls: TLS, mailboxDefaults: {quota: {prohibitReceive: "1e99999999999"}}}`,
	`{tls: TLS, timeouts: {drainSeconds: 4294967296}}`,
	`{tls: TLS, limits: {maxConnections: 4294967296}}`,
	`{tls: TLS, listeners: [{name: a, port: 4294967406, security: StartTLS}]}`,
	`{tls: TLS, service: {annotations: {a: ""}}}`,
	`{tls: TLS, networkPolicy: {metricsFrom: [{podSelector: {matchExpressions: [{key: a, operator: Odd}]}}]}}`,
	`{tls: TLS, delivery: {lmtp: {from: [{podSelector: {}, ipBlock: {cidr: "::/0", except: ["x"]}}]}}}`,
}

const usual = 4

func TestWhatIsTakenCanBeDecoded(t *testing.T) {
	w := newWorld(t)
	taken := 0
	for i, spec := range odd {
		object := w.object("PopService", "pop", spec)
		if err := kube.Create(t.Context(), object, client.DryRunAll); err != nil {
			if i < usual {
				t.Errorf("%s is refused: %v", spec, err)
			}
			continue
		}
		taken++
		text, err := object.MarshalJSON()
		w.must(err)
		if err := json.Unmarshal(text, &v1alpha1.PopService{}); err != nil {
			t.Errorf("%s is taken by the API server and cannot be decoded: %v", spec, err)
		}
	}
	t.Logf("%d of %d are taken", taken, len(odd))
	if taken < 5 {
		t.Error("so few that something else is wrong with all of them")
	}
}

func TestNamesThatNoServiceCanBear(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"1pop", "pop.example", strings.Repeat("p", 51)} {
		err := kube.Create(t.Context(), w.object("PopService", name, "{tls: TLS}"), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "metadata.name must be") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// What cannot be changed once it is there.
func TestImmutableFields(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ kind, name, before, after, says string }{
		{"PopService", "class", "{tls: TLS, storage: {volume: {storageClassName: a}}}",
			"{tls: TLS, storage: {volume: {storageClassName: b}}}",
			"storageClassName cannot be changed"},
		{"Mailbox", "moves", "{serviceRef: {name: none}, address: a@example.com}",
			"{serviceRef: {name: other}, address: a@example.com}",
			"serviceRef cannot be changed"},
		{"Mailbox", "renamed", "{serviceRef: {name: none}, address: a@example.com}",
			"{serviceRef: {name: none}, address: b@example.com}",
			"address cannot be changed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.must(kube.Create(t.Context(), w.object(test.kind, test.name, test.before)))
			changed := w.object(test.kind, test.name, test.after)
			patch := client.MergeFrom(w.object(test.kind, test.name, "{}"))
			if err := kube.Patch(t.Context(), changed, patch); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, it should say %q", err, test.says)
			}
		})
	}
}

// Exchange's defaults, and ours where Exchange has none, stand in what the API server gives back.
func TestDefaults(t *testing.T) {
	w := newWorld(t)
	s := service()
	s.Spec.Timeouts.DrainSeconds = 0
	w.create(s)
	spec := s.Spec
	for name, ok := range map[string]bool{
		"ports 110 and 995":   len(spec.Listeners) == 2 && spec.Listeners[0].Port == 110 && spec.Listeners[1].Port == 995,
		"SecureLogin":         spec.Authentication.LoginType == "SecureLogin",
		"60 and 1800 s":       spec.Timeouts.PreAuthenticatedSeconds == 60 && spec.Timeouts.AuthenticatedSeconds == 1800,
		"512 octets":          spec.Limits.MaxCommandOctets == 512,
		"16 sessions":         spec.Limits.MaxConnectionsPerMailbox == 16,
		"one server":          *spec.Replicas == 1,
		"claims are kept":     spec.Storage.OnDelete == "Retain",
		"LMTP on 2424":        spec.Delivery.LMTP.Port == 2424,
		"mail goes back":      spec.Delivery.OverQuotaReply == "Reject",
		"status not yet seen": s.Status.ObservedGeneration == -1,
	} {
		if !ok {
			t.Errorf("%s: not so: %+v", name, spec)
		}
	}
}
