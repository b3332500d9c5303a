package tail

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		n       int
		want    string
	}{
		"more than asked": {"a\nb\nc\n", 2, "b\nc"},
		"fewer":           {"a\nb\n", 5, "a\nb"},
		"exactly":         {"a\nb", 2, "a\nb"},
		"empty":           {"", 3, ""},
		"one":             {"a\n", 1, "a"},
		"beyond window":   {strings.Repeat("x\n", window) + "end\n", 1, "end"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := Lines(path, c.n); got != c.want {
				t.Errorf("Lines = %q, want %q", got, c.want)
			}
		})
	}
}

func TestLinesTellsWhyThereAreNone(t *testing.T) {
	if got := Lines(filepath.Join(t.TempDir(), "missing"), 3); !strings.Contains(got, "no such file") {
		t.Errorf("Lines = %q", got)
	}
}
