//go:build manifests

// Package manifests checks that the two ways to install, the Helm chart and config/default, give the same objects, and that the
// chart refuses bad values. It needs the programs helm and kustomize: `make manifests` builds both.
package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	root        = "../.."
	chart       = root + "/charts/popservice"
	keepForever = "helm.sh/resource-policy"
)

func TestChartAndKustomizeGiveTheSameObjects(t *testing.T) {
	fromChart := decode(t, helm(t, "template", "popservice", chart, "--namespace", "popservice-system"))
	fromKustomize := decode(t, run(t, tool(t, "KUSTOMIZE"), "build", root+"/config/default"))
	// `helm install --create-namespace` makes the namespace.
	delete(fromKustomize, "Namespace//popservice-system")
	if diff := cmp.Diff(fromKustomize, fromChart); diff != "" {
		t.Errorf("config/default (-) and the chart with its default values (+) differ:\n%s", diff)
	}
}

func TestChartHoldsTheGeneratedFiles(t *testing.T) {
	generated, err := filepath.Glob(root + "/config/crd/popservice.io_*.yaml")
	if err != nil || len(generated) != 2 {
		t.Fatalf("config/crd has %d CRDs, want 2 (%v)", len(generated), err)
	}
	for _, path := range generated {
		if !bytes.Equal(read(t, path), read(t, chart+"/files/crds/"+filepath.Base(path))) {
			t.Errorf("%s differs from the chart's copy: run 'make generate'", path)
		}
	}
}

func TestChartKeepsOrLeavesCRDs(t *testing.T) {
	for _, test := range []struct {
		name string
		set  string
		crds int
		keep bool
	}{
		{"kept by default", "crds.enabled=true", 2, true},
		{"not kept", "crds.keep=false", 2, false},
		{"not installed", "crds.enabled=false", 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := helm(t, "template", "popservice", chart, "--set", test.set)
			crds := bytes.Count(out, []byte("kind: CustomResourceDefinition\n"))
			kept := bytes.Count(out, []byte(keepForever+": keep"))
			if crds != test.crds || (kept == test.crds && crds > 0) != test.keep {
				t.Errorf("%d CRDs of which %d are kept", crds, kept)
			}
		})
	}
}

func TestChartInNamespacesOnly(t *testing.T) {
	objects := decode(t, helm(t, "template", "popservice", chart, "--namespace", "popservice-system",
		"--set", "watchNamespaces={mail,post}", "--set", "rbac.aggregate=false"))
	for key := range objects {
		if strings.HasPrefix(key, "ClusterRole") {
			t.Errorf("%s: an operator of two namespaces needs nothing cluster-wide", key)
		}
	}
	for _, namespace := range []string{"mail", "post"} {
		if objects["Role/"+namespace+"/popservice-manager"] == nil {
			t.Errorf("no Role in namespace %s", namespace)
		}
	}
}

func TestChartRefusesBadValues(t *testing.T) {
	for _, test := range []struct{ set, names string }{
		{"replicas=-1", "replicas"},
		{"image.pullPolicy=Sometimes", "pullPolicy"},
		{"logging.level=loud", "level"},
		{"unknown=1", "unknown"},
		{"watchNamespaces={Mail}", "watchNamespaces"},
	} {
		out, err := exec.CommandContext(t.Context(), tool(t, "HELM"), "template", "popservice", chart, "--set",
			test.set).CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.names) {
			t.Errorf("--set %s: error %v, want one that names %s; output:\n%s", test.set, err, test.names, out)
		}
	}
}

// decode gives the objects of a YAML stream by kind/namespace/name, without the annotation that only Helm understands.
func decode(t *testing.T, stream []byte) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(stream), 4096)
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("decode: %v", err)
		}
		if len(object.Object) == 0 {
			continue
		}
		unstructured.RemoveNestedField(object.Object, "metadata", "annotations", keepForever)
		objects[fmt.Sprintf("%s/%s/%s", object.GetKind(), object.GetNamespace(), object.GetName())] = object.Object
	}
}

func helm(t *testing.T, args ...string) []byte {
	t.Helper()
	return run(t, tool(t, "HELM"), args...)
}

func run(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), program, args...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}

func tool(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s names no program: run 'make manifests', which builds it", variable)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
