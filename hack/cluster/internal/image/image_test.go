package image

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestDigestDependsOnContentAlone(t *testing.T) {
	first := newImage(t, "program", "content")
	later := writeProgram(t, "program", "content")
	if err := os.Chtimes(later, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	second, err := FromBinary("popservice/test:dev", later)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := digestOf(t, first), digestOf(t, second); a != b {
		t.Errorf("one program gives %s, then %s", a, b)
	}
	if a, b := digestOf(t, first), digestOf(t, newImage(t, "program", "changed")); a == b {
		t.Errorf("two programs give %s", a)
	}
}

func TestImageRunsTheProgramAsNonroot(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "image.tar")
	img := newImage(t, "pop3d", "content")
	if err := img.WriteFile(archive); err != nil {
		t.Fatal(err)
	}
	saved, err := tarball.ImageFromPath(archive, &img.tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := saved.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/pop3d"}, config.Config.Entrypoint); diff != "" {
		t.Errorf("entrypoint (-want +got):\n%s", diff)
	}
	if config.Config.User != "65532:65532" || config.OS != "linux" || len(config.RootFS.DiffIDs) != 1 {
		t.Errorf("user %q, OS %q, %d layers", config.Config.User, config.OS, len(config.RootFS.DiffIDs))
	}
}

func TestReferenceIsWhatContainerdLists(t *testing.T) {
	program := writeProgram(t, "p", "content")
	for name, want := range map[string]string{
		"popservice/manager:dev":       "docker.io/popservice/manager:dev",
		"manager:dev":                  "docker.io/library/manager:dev",
		"manager":                      "docker.io/library/manager:latest",
		"docker.io/library/pause:1":    "docker.io/library/pause:1",
		"registry.example.org/a/b:1.2": "registry.example.org/a/b:1.2",
	} {
		img, err := FromBinary(name, program)
		if err != nil {
			t.Fatal(err)
		}
		if got := img.Reference(); got != want {
			t.Errorf("Reference of %s = %s, want %s", name, got, want)
		}
	}
	if _, err := FromBinary("Not A Name", program); err == nil {
		t.Error("a wrong name was accepted")
	}
}

func newImage(t *testing.T, name, content string) *Image {
	t.Helper()
	img, err := FromBinary("popservice/test:dev", writeProgram(t, name, content))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func writeProgram(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func digestOf(t *testing.T, img *Image) string {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}
