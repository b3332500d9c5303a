package binaries

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRequiredVersion(t *testing.T) {
	mod := "module x\n\nrequire k8s.io/kubernetes v1.37.2\n\nrequire (\n\tgo.etcd.io/etcd/server/v3 v3.6.8\n" +
		"\tk8s.io/api v0.0.0 // indirect\n)\n"
	for path, want := range map[string]string{
		"k8s.io/kubernetes":         "v1.37.2",
		"go.etcd.io/etcd/server/v3": "v3.6.8",
		"k8s.io/ap":                 "",
		"etcd/server/v3":            "",
	} {
		got, err := requiredVersion([]byte(mod), path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("requiredVersion(%s) = %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestKeyChangesWithEveryInput(t *testing.T) {
	base := module{name: "tool", path: "example.org/tool"}
	tagged := base
	tagged.tags = "small"
	keys := map[string]string{}
	for name, c := range map[string]struct {
		mod, sum string
		m        module
	}{
		"base":    {"require example.org/tool v1.0.0\n", "a", base},
		"version": {"require example.org/tool v1.0.1\n", "a", base},
		"sum":     {"require example.org/tool v1.0.0\n", "b", base},
		"tags":    {"require example.org/tool v1.0.0\n", "a", tagged},
	} {
		key := keyOf(t, c.mod, c.sum, c.m)
		if same, taken := keys[key]; taken {
			t.Errorf("%s and %s have the key %s", name, same, key)
		}
		keys[key] = name
		if again := keyOf(t, c.mod, c.sum, c.m); again != key {
			t.Errorf("%s: key %s, then %s", name, key, again)
		}
	}
}

func keyOf(t *testing.T, mod, sum string, m module) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "hack", "cluster", "modules", m.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{"go.mod": mod, "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := pin(root, m)
	if err != nil {
		t.Fatal(err)
	}
	return p.key
}

func TestDigestKeepsPartsApart(t *testing.T) {
	if digest("ab", "c") == digest("a", "bc") {
		t.Error("two splits of one text have the same digest")
	}
}

func TestCatalogIsPinned(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")
	for _, m := range catalog {
		p, err := pin(root, m)
		if err != nil {
			t.Error(err)
			continue
		}
		mod, err := os.ReadFile(filepath.Join(p.dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for _, program := range m.programs {
			if !strings.Contains(string(mod), program.pkg+"\n") {
				t.Errorf("%s/go.mod does not name %s as a tool", p.dir, program.pkg)
			}
		}
	}
}

func TestEnsureBuildsNothingThatIsThere(t *testing.T) {
	cache := &Cache{folder: t.TempDir(), out: failingWriter{t}, modules: []pinned{
		{module: module{name: "m", programs: []program{{name: "tool", controlPlane: true}}}, key: "m-v1-0"}}}
	missing := cache.missing(ControlPlane)
	if len(missing) != 1 {
		t.Fatalf("missing = %d programs, want 1", len(missing))
	}
	for _, folder := range []string{filepath.Dir(cache.path(missing[0])), cache.Bin()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(cache.path(missing[0]), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := cache.Ensure(t.Context(), ControlPlane); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cache.Bin(), "tool")); err != nil {
		t.Errorf("the program is not linked: %v", err)
	}
}

// failingWriter fails the test when progress of a build is reported.
type failingWriter struct{ t *testing.T }

func (w failingWriter) Write(p []byte) (int, error) {
	w.t.Errorf("unexpected report: %s", p)
	return len(p), nil
}
