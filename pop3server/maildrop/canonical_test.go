package maildrop

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// canonicalize writes the pieces one by one.
func canonicalize(pieces ...[]byte) string {
	var out bytes.Buffer
	w := newCanonicalWriter(bufio.NewWriterSize(&out, 16))
	for _, piece := range pieces {
		_, _ = w.Write(piece)
	}
	_ = w.Close()
	return out.String()
}

func TestCanonicalForm(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"canonical already", "A: b\r\n\r\nbody\r\n", "A: b\r\n\r\nbody\r\n"},
		{"bare LF", "A: b\n\nbody\n", "A: b\r\n\r\nbody\r\n"},
		{"bare CR", "A: b\r\rbody\r", "A: b\r\n\r\nbody\r\n"},
		{"a line end converted twice", "A: b\r\r\nC: d\r\r\n\r\r\nbody\r\r\n", "A: b\r\nC: d\r\n\r\nbody\r\n"},
		{"no final line end", "A: b\r\n\r\nbody", "A: b\r\n\r\nbody\r\n"},
		{"header only", "A: b\r\n", "A: b\r\n\r\n"},
		{"header only, not ended", "A: b", "A: b\r\n\r\n"},
		{"nothing", "", "\r\n"},
		{"no header", "\nbody\n", "\r\nbody\r\n"},
		{"NUL", "A: \x00\r\n\r\n\x00\x00x", "A: \x80\r\n\r\n\x80\x80x\r\n"},
		{"8-bit and dots", "A: b\r\n\r\n.\r\n..\xff\r\n", "A: b\r\n\r\n.\r\n..\xff\r\n"},
		{"a hidden end of data", "A: b\r\n\r\nx\n.\nQUIT\n", "A: b\r\n\r\nx\r\n.\r\nQUIT\r\n"},
	} {
		if got := canonicalize([]byte(test.in)); got != test.want {
			t.Errorf("%s: %q gives %q, want %q", test.name, test.in, got, test.want)
		}
	}
}

func TestCanonicalProperties(t *testing.T) {
	octet := rapid.SampledFrom([]byte("\r\n\x00.ab \xff"))
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOf(octet).Draw(t, "message")
		cut := rapid.IntRange(0, len(in)).Draw(t, "cut")
		out := canonicalize(in)
		if pieces := canonicalize(in[:cut], in[cut:]); pieces != out {
			t.Fatalf("cut at %d it gives %q, whole %q", cut, pieces, out)
		}
		if again := canonicalize([]byte(out)); again != out {
			t.Fatalf("%q gives %q: not idempotent", out, again)
		}
		lines := strings.ReplaceAll(out, "\r\n", "")
		if !strings.HasSuffix(out, "\r\n") || strings.ContainsAny(lines, "\r\n\x00") {
			t.Fatalf("%q is not canonical", out)
		}
		if !strings.HasPrefix(out, "\r\n") && !strings.Contains(out, "\r\n\r\n") {
			t.Fatalf("%q has no empty line after the header", out)
		}
	})
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestCanonicalWriterTellsErrors(t *testing.T) {
	full := errors.New("full")
	w := newCanonicalWriter(bufio.NewWriterSize(failingWriter{full}, 16))
	if _, err := w.Write(bytes.Repeat([]byte("x"), 100)); !errors.Is(err, full) {
		t.Errorf("Write: %v", err)
	}
	if err := w.Close(); !errors.Is(err, full) {
		t.Errorf("Close: %v", err)
	}
}

func BenchmarkCanonicalWriter(b *testing.B) {
	message := bytes.Repeat([]byte(strings.Repeat("x", 76)+"\r\n"), 10000)
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		w := newCanonicalWriter(bufio.NewWriterSize(discard{}, 64*1024))
		_, _ = w.Write(message)
		_ = w.Close()
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
