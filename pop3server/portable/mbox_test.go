package portable

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openMbox(t testing.TB, path string, quoting Quoting) *Mbox {
	t.Helper()
	m, err := OpenMbox(path, quoting, func(int64, int64) {})
	must(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestMboxOfOthers(t *testing.T) {
	const first, second = "From a@b Tue Nov 24 12:00:00 2026\n", "From - Wed Nov 25 01:02:03 2026\n"
	const unquoted = "A: b\n\nFrom here on all is well\n\nFrom 12 to 13\n"
	for name, test := range map[string]struct {
		text    string
		quoting Quoting
		want    []string
	}{
		"empty":              {"", MboxRD, nil},
		"empty lines":        {"\n\r\n" + first + "A: b\n", MboxRD, []string{"A: b\n"}},
		"two":                {first + "A: b\n\ntext\n\n" + second + "C: d\n\n\n", MboxRD, []string{"A: b\n\ntext\n", "C: d\n\n"}},
		"no empty line":      {first + "A: b\n" + second + "C: d", MboxRD, []string{"A: b\n", "C: d"}},
		"CRLF":               {"From a Tue Nov 24 12:00:00 2026\r\nA: b\r\n\r\n" + second, MboxRD, []string{"A: b\r\n", ""}},
		"mboxrd":             {first + "\n>From x\n>>From y\n>Fromage\n", MboxRD, []string{"\nFrom x\n>From y\n>Fromage\n"}},
		"mboxo":              {first + "A: b\n\n>From x\n>>From y\n", MboxO, []string{"A: b\n\nFrom x\n>>From y\n"}},
		"unquoted":           {first + unquoted, MboxRD, []string{unquoted}},
		"first line undated": {"From nobody\nA: b\n", MboxRD, []string{"A: b\n"}},
	} {
		path := filepath.Join(t.TempDir(), "mbox")
		put(t, filepath.Dir(path), map[string]string{"mbox": test.text})
		m := openMbox(t, path, test.quoting)
		var got []string
		for i := range m.Messages() {
			got = append(got, read(t, m, i))
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestMboxDates(t *testing.T) {
	const want = "2026-11-24T12:00:00Z"
	for line, want := range map[string]string{
		"From a Tue Nov 24 12:00:00 2026":               want,
		"From a@b  Tue Nov 24 12:00:00 2026  ":          want,
		"From a Tue Nov 24 12:00 2026":                  want,
		"From a Tue Nov 24 12:00:00 CET 2026":           want, // a name says nothing
		"From a Tue Nov 24 14:00:00 +0200 2026":         want,
		"From a Tue Nov 24 14:00:00 2026 +0200":         want,
		"From 1668@xxx Tue Nov 24 12:00:00 +0000 2026":  want,
		"From \"a b\"@c Mon Nov  2 01:00:00 2026\r":     "2026-11-02T01:00:00Z",
		"From a Tue Foo 24 12:00:00 2026":               "",
		"From a Tue Nov 44 12:00:00 2026":               "",
		"From a":                                        "",
		"From a Tue Nov 24 12:00:00 2026 and then some": "",
		"Fromage Tue Nov 24 12:00:00 2026":              "",
	} {
		got := ""
		if received, ok := parseFrom(line); ok {
			got = received.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// A message of another program is known again by what it is; its Status tells whether it was seen.
func TestMboxUniqueIDs(t *testing.T) {
	const from = "From a Tue Nov 24 12:00:00 2026\n"
	dir := t.TempDir()
	one, two := from+"A: b\nstatus: RO\n\nStatus: x\n\n", from+"A: b\n\nStatus: RO\n\n"
	put(t, dir, map[string]string{"m": one + two, "n": two + strings.TrimSuffix(one, "\n")})
	m, n := openMbox(t, filepath.Join(dir, "m"), MboxRD), openMbox(t, filepath.Join(dir, "n"), MboxRD)
	a, b := m.Messages(), n.Messages()
	if a[0].UID != b[1].UID || a[1].UID != b[0].UID || a[0].UID == a[1].UID || len(a[0].UID) != 32 {
		t.Errorf("%v %v", uidsOf(m), uidsOf(n))
	}
	if !a[0].Seen || a[1].Seen || a[0].Name != "message 1 at octet 0" {
		t.Errorf("%+v", a)
	}
	l, err := ReadUIDLs(strings.NewReader("x\ny\n"))
	must(t, err)
	if err := l.Apply(m); err != nil || fmt.Sprint(uidsOf(m)) != "[x y]" {
		t.Errorf("%v %v", uidsOf(m), err)
	}
	if l, err = ReadUIDLs(strings.NewReader("x f\ny g\n")); err == nil {
		err = l.Apply(m)
	}
	if err == nil || !strings.Contains(err.Error(), "only a Maildir has files") {
		t.Error(err)
	}
}

func TestMboxRefused(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"m": "\nSubject: x\n\n"})
	for path, want := range map[string]string{"m": "not an mbox", ".": "not a file", "none": "no such file"} {
		_, err := OpenMbox(filepath.Join(dir, path), MboxRD, func(int64, int64) {})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Whatever an mbox has can be read, and whatever is written is read again.
func FuzzMbox(f *testing.F) {
	f.Add([]byte("From a Tue Nov 24 12:00:00 2026\nX-UIDL: a\nStatus: RO\nA: b\n\n>From x\n\nFrom b Tue Nov 24 12:00:00 2026\n\n"))
	f.Add([]byte("From x\r\n\r\n\r\n>>From y\r\r\n"))
	for _, text := range texts() {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "mbox")
	f.Fuzz(func(t *testing.T, data []byte) {
		must(t, os.WriteFile(path, data, 0o600))
		for _, quoting := range []Quoting{MboxRD, MboxO} {
			if m, err := OpenMbox(path, quoting, func(int64, int64) {}); err == nil {
				readAll(t, m, len(data))
			}
		}
		must(t, os.Remove(path))
		w, err := CreateMbox(path)
		must(t, err)
		body := canonical(string(data))
		at := time.Unix(1e9, 0).UTC()
		must(t, w.Add(Message{UID: "a", Received: at, Seen: true}, strings.NewReader(body)))
		must(t, w.Add(Message{UID: "b", Received: at}, strings.NewReader("A: b\r\n\r\n")))
		must(t, w.Close())
		m := openMbox(t, path, MboxRD)
		if len(m.Messages()) != 2 || m.Messages()[0].UID != "a" || !m.Messages()[0].Seen || !m.Messages()[0].Received.Equal(at) {
			t.Fatalf("%+v", m.Messages())
		}
		if text := canonical(read(t, m, 0)); text != body {
			t.Fatalf("%q, want %q", text, body)
		}
	})
}

func readAll(t *testing.T, m *Mbox, size int) {
	octets := 0
	for i, message := range m.Messages() {
		octets += len(read(t, m, i))
		if !validUID(message.UID) || message.Received.IsZero() {
			t.Fatalf("%+v", message)
		}
	}
	must(t, m.Close())
	if octets > size {
		t.Fatalf("%d octets of %d", octets, size)
	}
}
