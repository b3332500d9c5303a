//go:build envtest

package envtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/popservice/resources"
)

// numbers are the least and the most that each number of a spec may be. Those that Exchange has too have its ranges, as far as
// these make sense here: docs/standards-support.md.
var numbers = map[string]map[string][2]int64{
	"PopService": {
		"spec.replicas":                               {0, 64},
		"spec.listeners[].port":                       {1, 65535},
		"spec.timeouts.preAuthenticatedSeconds":       {1, 3600},
		"spec.timeouts.authenticatedSeconds":          {1, 86400},
		"spec.timeouts.tlsHandshakeSeconds":           {1, 300},
		"spec.timeouts.writeSeconds":                  {1, 3600},
		"spec.timeouts.drainSeconds":                  {1, 86400},
		"spec.limits.maxCommandOctets":                {40, 1024},
		"spec.limits.maxConnections":                  {1, 1000000},
		"spec.limits.maxConnectionsPerAddress":        {1, 1000000},
		"spec.limits.maxConnectionsPerMailbox":        {1, 1000000},
		"spec.limits.maxFailedLogins":                 {1, 100},
		"spec.limits.maxFailedLoginsPerAddress":       {1, 1000000},
		"spec.limits.maxFailedLoginsPerMailbox":       {1, 1000000},
		"spec.limits.lockoutSeconds":                  {1, 86400},
		"spec.limits.maxBadCommands":                  {1, 10000},
		"spec.limits.loginDelaySeconds":               {0, 86400},
		"spec.delivery.lmtp.port":                     {1, 65535},
		"spec.delivery.lmtp.maxConnections":           {1, 100000},
		"spec.delivery.lmtp.maxConnectionsPerAddress": {1, 100000},
		"spec.delivery.lmtp.maxRecipients":            {100, 10000},
	},
	"Mailbox": {},
}

// unbounded numbers are Kubernetes' own, which checks them.
var unbounded = []string{"spec.pod.tolerations[].tolerationSeconds"}

// measure is what is too little for a quantity or a duration and what is too much, or nothing where there is no limit, and what
// is said of both.
type measure struct{ below, above, says string }

// measures are all quantities and durations of a spec.
var measures = map[string]map[string]measure{
	"PopService": {
		"spec.delivery.maxMessageSize":               {"1023", "2147483649", "must be from 1Ki to 2Gi"},
		"spec.storage.volume.size":                   {"0", "", "must be more than 0"},
		"spec.retention.unreadMaxAge":                {"0s", "876001h", "from 1s to 876000h"},
		"spec.retention.readMaxAge":                  {"0s", "876001h", "from 1s to 876000h"},
		"spec.retention.deletedItemRetention":        {"0s", "876001h", "from 1s to 876000h"},
		"spec.mailboxDefaults.quota.issueWarning":    {"0", "", "must be a whole quantity of octets above 0"},
		"spec.mailboxDefaults.quota.prohibitReceive": {"0", "", "must be a whole quantity of octets above 0"},
		"spec.pod.resources.requests{}":              {"", "1e99999999999999999999", "must be quantities"},
		"spec.pod.resources.limits{}":                {"", "1e99999999999999999999", "must be quantities"},
	},
	"Mailbox": {
		"spec.quota.issueWarning":    {"0", "", "must be a whole quantity of octets above 0"},
		"spec.quota.prohibitReceive": {"0", "", "must be a whole quantity of octets above 0"},
	},
}

// complete are specs in which every list has an entry, and with which nothing is wrong.
var complete = map[string]string{
	"PopService": `
tls: {certificates: [{name: default, secretRef: {name: pop-tls}, serverNames: [pop.example.com]}]}
listeners:
- {name: a, port: 110, security: StartTLS, proxyProtocol: {trustedNetworks: [10.0.0.0/8]}}
- {name: b, port: 995, security: ImplicitTLS}
authentication:
  mechanisms: [USER]
  domains: [{name: example.com, netBIOSName: EXAMPLE, realm: EXAMPLE.COM}]
  kerberos: {keytabSecretRef: {name: keytab}}
  oauth:
    issuers:
    - url: https://issuer.example.com
      audiences: [pop]
      domains: [example.com]
      requiredScopes: [mail]
      caSecretRef: {name: issuer-ca}
  clientCASecretRef: {name: clients-ca}
extendedCapabilities: [UTF8]
delivery: {lmtp: {tls: {secretRef: {name: lmtp-tls}}, from: [{podSelector: {}}]}}
storage: {layout: Shared}
service: {loadBalancerSourceRanges: [10.0.0.0/8]}
networkPolicy: {metricsFrom: [{podSelector: {}}]}
image: {pullSecrets: [{name: registry}]}
pod: {tolerations: [{operator: Exists}], resources: {requests: {cpu: 1}, limits: {memory: 1Gi}}}`,
	"Mailbox": `
serviceRef: {name: pop}
address: a@example.com
aliases: [b@example.com]
delegates: [c@example.com]
credentials: [{name: default, passwordSecretRef: {name: a}}]`,
}

// ofPrincipals is the complete Mailbox where principals are of interest: a credential has one or a password.
var ofPrincipals = strings.Replace(complete["Mailbox"], "passwordSecretRef: {name: a}",
	"principal: {kind: Kerberos, name: a@EXAMPLE.COM}", 1)

// needed is what a value needs beside it: the field with that path must have that value.
var needed = map[string]struct {
	field
	value string
}{
	"OAuth": {field{path: "spec.credentials[].principal.issuer"}, "https://issuer.example.com"},
}

// field is one of a spec's, as the CRD has it. In its path, [] stands for each entry of a list and {} for each value of a map.
type field struct {
	kind, path string
	schema     apiextensionsv1.JSONSchemaProps
}

// fieldsOf gives all fields of a kind's spec.
func fieldsOf(t *testing.T, kind, file string) []field {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", file))
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	return fieldsIn(field{kind, "spec", spec})
}

// fieldsIn gives a field and all that are in it.
func fieldsIn(f field) []field {
	all := []field{f}
	for _, name := range slices.Sorted(maps.Keys(f.schema.Properties)) {
		all = append(all, fieldsIn(field{f.kind, f.path + "." + name, f.schema.Properties[name]})...)
	}
	if f.schema.Items != nil {
		all = append(all, fieldsIn(field{f.kind, f.path + "[]", *f.schema.Items.Schema})...)
	}
	if f.schema.AdditionalProperties != nil {
		all = append(all, fieldsIn(field{f.kind, f.path + "{}", *f.schema.AdditionalProperties.Schema})...)
	}
	return all
}

func allFields(t *testing.T) []field {
	t.Helper()
	return append(fieldsOf(t, "PopService", "popservice.io_popservices.yaml"),
		fieldsOf(t, "Mailbox", "popservice.io_mailboxes.yaml")...)
}

// named is the field as messages name it: each list has one entry that is of interest, the first one.
func (f field) named() string {
	return strings.ReplaceAll(strings.TrimSuffix(f.path, "{}"), "[]", "[0]")
}

// with gives a complete object in which the field has a value.
func (w *world) with(f field, value any) *unstructured.Unstructured {
	w.Helper()
	object := w.object(f.kind, "pop", f.complete())
	object.Object["spec"] = replaced(object.Object["spec"], f.steps(), value)
	if text, ok := value.(string); ok && needed[text].path != "" {
		object.Object["spec"] = replaced(object.Object["spec"], needed[text].steps(), needed[text].value)
	}
	return object
}

// complete is the spec in which the field is changed.
func (f field) complete() string {
	if strings.Contains(f.path, ".principal") {
		return ofPrincipals
	}
	return complete[f.kind]
}

// steps lead from the spec to the field.
func (f field) steps() []string {
	return strings.Split(strings.ReplaceAll(strings.ReplaceAll(f.path, "[]", ".0"), "{}", ".cpu"), ".")[1:]
}

// replaced gives a document with another value at a path.
func replaced(document any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	if list, ok := document.([]any); ok {
		i, _ := strconv.Atoi(path[0])
		list[i] = replaced(list[i], path[1:], value)
		return list
	}
	fields, ok := document.(map[string]any)
	if !ok {
		fields = map[string]any{}
	}
	fields[path[0]] = replaced(fields[path[0]], path[1:], value)
	return fields
}

// refuses wants the API server to refuse a value with a message that names the field and has all these texts.
func (w *world) refuses(f field, value any, says ...string) {
	w.Helper()
	shown := fmt.Sprintf("%.40s", fmt.Sprint(value))
	err := kube.Create(w.ctx, w.with(f, value), client.FieldValidation("Strict"), client.DryRunAll)
	if err == nil {
		w.Errorf("%s %s: %s is taken", f.kind, f.path, shown)
		return
	}
	for _, text := range append(says, f.named()) {
		if !strings.Contains(err.Error(), text) {
			w.Errorf("%s %s: the refusal of %s does not say %q: %v", f.kind, f.path, shown, text, err)
		}
	}
}

// takes wants the API server to take a value, and so the servers, if it is one of theirs.
func (w *world) takes(f field, value any) {
	w.Helper()
	shown, object := fmt.Sprintf("%.40s", fmt.Sprint(value)), w.with(f, value)
	if err := kube.Create(w.ctx, object, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
		w.Errorf("%s %s: %s is refused: %v", f.kind, f.path, shown, err)
		return
	}
	if f.kind != "PopService" {
		return
	}
	text, err := object.MarshalJSON()
	w.must(err)
	var pop v1alpha1.PopService
	w.must(json.Unmarshal(text, &pop))
	if _, err := resources.NewConfig(resources.Input{Service: &pop}); err != nil {
		w.Errorf("%s: %s is taken by the API server, and the servers refuse it: %v", f.path, shown, err)
	}
}

// eachCase tries the cases of all fields of a sort. A field that has no case fails the test, and a case that has no field.
func eachCase[C any](w *world, cases map[string]map[string]C, is func(field) bool, try func(field, C)) {
	w.Helper()
	tried := map[string]bool{}
	for _, f := range allFields(w.T) {
		if !is(f) {
			continue
		}
		c, ok := cases[f.kind][f.path]
		if !ok {
			w.Errorf("%s %s has no case: what may it be?", f.kind, f.path)
			continue
		}
		tried[f.kind+" "+f.path] = true
		try(f, c)
	}
	for kind := range cases {
		for path := range cases[kind] {
			if !tried[kind+" "+path] {
				w.Errorf("%s has no field %s", kind, path)
			}
		}
	}
}

// TestRangesOfNumbers holds each number to its range.
func TestRangesOfNumbers(t *testing.T) {
	w := newWorld(t)
	eachCase(w, numbers, isNumber, func(f field, limits [2]int64) {
		least, most := limits[0], limits[1]
		w.refuses(f, least-1, fmt.Sprintf("greater than or equal to %d", least))
		w.refuses(f, most+1, fmt.Sprintf("less than or equal to %d", most))
		w.takes(f, least)
		w.takes(f, most)
	})
}

func isNumber(f field) bool {
	return (f.schema.Type == "integer" || f.schema.Type == "number") && !slices.Contains(unbounded, f.path)
}

// TestRangesOfMeasures does the same with quantities and durations, which the CRD has as texts with rules.
func TestRangesOfMeasures(t *testing.T) {
	w := newWorld(t)
	eachCase(w, measures, isMeasure, func(f field, c measure) {
		for _, value := range []string{c.below, c.above} {
			if value != "" {
				w.refuses(f, value, c.says)
			}
		}
	})
}

// isMeasure tells of a quantity, and of a text that a rule takes for a duration.
func isMeasure(f field) bool {
	return f.schema.XIntOrString || slices.ContainsFunc(f.schema.XValidations, func(rule apiextensionsv1.ValidationRule) bool {
		return strings.Contains(rule.Rule, "duration(")
	})
}

// TestEnumerations: of each field that has one of a few values, all of them are taken, and no other one.
func TestEnumerations(t *testing.T) {
	w := newWorld(t)
	for _, f := range allFields(t) {
		if len(f.schema.Enum) == 0 {
			continue
		}
		allowed, quoted := w.valuesOf(f)
		w.refuses(f, "Nonsense", quoted...)
		if list, ok := strings.CutSuffix(f.path, "[]"); ok { // some of them need others
			w.takes(field{f.kind, list, f.schema}, allowed)
			continue
		}
		for _, value := range allowed {
			w.takes(f, value)
		}
	}
}

// valuesOf gives the values of an enumeration, and how a refusal names them.
func (w *world) valuesOf(f field) (allowed []any, quoted []string) {
	w.Helper()
	for _, value := range f.schema.Enum {
		var text string
		w.must(json.Unmarshal(value.Raw, &text))
		allowed, quoted = append(allowed, text), append(quoted, strconv.Quote(text))
	}
	return allowed, quoted
}

// TestLengths: a text, a list or a map that is too long is refused, and one that is too short.
func TestLengths(t *testing.T) {
	w := newWorld(t)
	// With "+OK " and CRLF, 506 make a reply of 512 octets: C0001.
	w.refuses(field{kind: "PopService", path: "spec.banner"}, strings.Repeat("~", 507), "more than 506 bytes")
	for _, f := range allFields(t) {
		if most := f.schema.MaxLength; most != nil {
			w.refuses(f, strings.Repeat("a", int(*most)+1), fmt.Sprintf("more than %d bytes", *most))
		}
		if least := f.schema.MinLength; least != nil {
			w.refuses(f, strings.Repeat("a", int(*least)-1), fmt.Sprintf("at least %d chars long", *least))
		}
		if most := f.schema.MaxItems; most != nil {
			w.refuses(f, slices.Repeat([]any{w.entryOf(f)}, int(*most)+1), fmt.Sprintf("at most %d items", *most))
		}
		if least := f.schema.MinItems; least != nil {
			w.refuses(f, slices.Repeat([]any{w.entryOf(f)}, int(*least)-1), fmt.Sprintf("at least %d items", *least))
		}
	}
}

// entryOf gives the entry that a list has in the complete spec.
func (w *world) entryOf(f field) any {
	w.Helper()
	var value any = w.object(f.kind, "pop", complete[f.kind]).Object
	for part := range strings.SplitSeq(strings.ReplaceAll(f.path, "[]", ".0"), ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			value = v[0]
		}
	}
	list, ok := value.([]any)
	if !ok {
		w.Fatalf("%s has no entry in the complete %s", f.path, f.kind)
	}
	return list[0]
}

// TestServersTakeWhatIsTaken: what is at the edge of other rules than ranges is right for the servers too.
func TestServersTakeWhatIsTaken(t *testing.T) {
	w := newWorld(t)
	for path, values := range map[string][]any{
		"spec.banner":                                      {strings.Repeat("~", 506), " ", "[SYS/TEMP] is no code here"},
		"spec.delivery.maxMessageSize":                     {"1Ki", "2Gi", 2147483648},
		"spec.delivery.lmtp.subaddressSeparator":           {"+", "=", "_", "#", "~", "-"},
		"spec.retention.unreadMaxAge":                      {"1s", "876000h"},
		"spec.quotaWarning.text":                           {strings.Repeat("漢", 4096), strings.Repeat("😀", 4096)},
		"spec.quotaWarning.subject":                        {strings.Repeat("~", 200)},
		"spec.quotaWarning.from":                           {strings.Repeat("a", 198) + "@b"},
		"spec.tls.certificates[].serverNames[]":            {"*.example.com", "a", strings.Repeat("a", 253)},
		"spec.listeners[].name":                            {"a", "1-a-2", strings.Repeat("a", 15)},
		"spec.listeners[].proxyProtocol.trustedNetworks[]": {"10.0.0.1/8", "::/0", "fe80::/10"},
	} {
		for _, value := range values {
			w.takes(field{kind: "PopService", path: path}, value)
		}
	}
}
