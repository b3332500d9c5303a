//go:build e2e

package e2e

import (
	"maps"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// refused is an entry of testdata/refused.yaml.
type refused struct {
	Field string
	Says  string // what the field may be
	Spec  map[string]any
}

// baseSpecs are accepted, and are in the cluster when the others are applied over them.
var baseSpecs = map[string]string{
	"PopService": `
replicas: 0
tls: {certificates: [{name: default, secretRef: {name: pop-tls}}]}
storage: {volume: {size: 1Gi}}`,
	"Mailbox": `{serviceRef: {name: pop}, address: alice@example.com}`,
}

// TestBadValuesAreRefused applies what no PopService and no Mailbox may become.
func TestBadValuesAreRefused(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, "refusals")
	text, err := os.ReadFile("testdata/refused.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table map[string][]refused
	if err := yaml.UnmarshalStrict(text, &table); err != nil {
		t.Fatal(err)
	}
	for kind, entries := range table {
		if err := applyText(t, namespace, manifest(t, kind, nil)); err != nil {
			t.Fatalf("the %s that the others are made of is refused: %v", kind, err)
		}
		for _, entry := range entries {
			checkRefused(t, namespace, kind, entry)
		}
	}
}

func checkRefused(t *testing.T, namespace, kind string, entry refused) {
	t.Helper()
	err := applyText(t, namespace, manifest(t, kind, entry.Spec), "--dry-run=server")
	switch {
	case err == nil:
		t.Errorf("%s: %v was not refused", kind, entry.Spec)
	case !strings.Contains(err.Error(), entry.Field+":") && !strings.Contains(err.Error(), `"`+entry.Field+`"`):
		t.Errorf("%s: the refusal of %v does not name %s: %v", kind, entry.Spec, entry.Field, err)
	case !strings.Contains(err.Error(), entry.Says):
		t.Errorf("%s: the refusal of %v does not say %q: %v", kind, entry.Spec, entry.Says, err)
	}
}

// manifest gives an object with some fields of its spec replaced.
func manifest(t *testing.T, kind string, replace map[string]any) string {
	t.Helper()
	spec := map[string]any{}
	if err := yaml.Unmarshal([]byte(baseSpecs[kind]), &spec); err != nil {
		t.Fatal(err)
	}
	maps.Copy(spec, replace)
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "popservice.io/v1alpha1", "kind": kind, "spec": spec,
		"metadata": map[string]any{"name": "pop"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
