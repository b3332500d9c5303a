package portable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes files below a folder.
func put(t testing.TB, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

// read gives the text of a message.
func read(t testing.TB, s Source, i int) string {
	t.Helper()
	body, err := s.Open(i)
	must(t, err)
	text, err := io.ReadAll(body)
	must(t, errors.Join(err, body.Close()))
	return string(text)
}

// canonical gives a text the form in which the store has it.
func canonical(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r", ""), "\n", "\r\n")
	if !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	return text
}

func uidsOf(s Source) (uids []string) {
	for _, m := range s.Messages() {
		uids = append(uids, m.UID)
	}
	return uids
}

// texts are bodies in canonical form that a format might change.
func texts() map[string]string {
	const buffer = bufferOctets
	return map[string]string{
		"plain":          "Subject: x\r\n\r\ntext\r\n",
		"no header":      "\r\n",
		"empty lines":    "A: b\r\n\r\n\r\n\r\ntext\r\n\r\n\r\n",
		"From":           "From a\r\n\r\nFrom b\r\n>From c\r\n>>>From d Tue Nov 24 12:00:00 2026\r\n From\r\n>Fromage\r\n> From\r\n",
		"separator":      "A: b\r\n\r\n\r\nFrom alice Tue Nov 24 12:00:00 2026\r\nB: c\r\n",
		"own fields":     "X-UIDL: forged\r\nStatus: RO\r\nA: b\r\n\r\n",
		"status":         "Status: RO\r\n\r\ntext\r\n",
		"octets":         "A: b\r\n\r\n\x80\xff\x01\t\f\r\n",
		"long line":      "A: b\r\n\r\n" + strings.Repeat("x", 3*buffer) + "\r\n",
		"long quotes":    "A: b\r\n\r\n" + strings.Repeat(">", 3*buffer) + "From x\r\n",
		"CR at the edge": "A: b\r\n\r\n" + strings.Repeat("x", buffer-1) + "\r\n\r\nmore\r\n",
	}
}

// sample is a mailbox of these texts.
func sample() (messages []Message, bodies []string) {
	for name, body := range texts() {
		n := len(messages)
		messages = append(messages, Message{UID: fmt.Sprintf("uid-of-%s!~", strings.ReplaceAll(name, " ", "_")), Seen: n%2 == 0,
			Received: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC).Add(-time.Duration(n) * 12345 * time.Second)})
		bodies = append(bodies, body)
	}
	return messages, bodies
}

// expectSample wants the mailbox back as it was.
func expectSample(t *testing.T, s Source, messages []Message, bodies []string) {
	t.Helper()
	var got []Message
	for i, m := range s.Messages() {
		m.Name = ""
		got = append(got, m)
		if text := read(t, s, i); canonical(text) != bodies[i] {
			t.Errorf("message %s is %.200q, want %.200q", m.UID, text, bodies[i])
		}
	}
	if diff := cmp.Diff(messages, got); diff != "" {
		t.Error(diff)
	}
}

func TestMboxRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mbox")
	w, err := CreateMbox(path)
	must(t, err)
	messages, bodies := sample()
	for i, m := range messages {
		must(t, w.Add(m, strings.NewReader(bodies[i])))
	}
	must(t, w.Close())
	expectSample(t, openMbox(t, path, MboxRD), messages, bodies)
	if _, err := CreateMbox(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("an mbox that is there: %v", err)
	}
}

func TestMaildirRoundTrip(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	w, err := CreateMaildir(folder, time.Unix(1700000000, 0), "host")
	must(t, err)
	messages, bodies := sample()
	for i, m := range messages {
		must(t, w.Add(m, strings.NewReader(bodies[i])))
	}
	must(t, w.Close())
	m, err := OpenMaildir(folder, nil)
	must(t, err)
	expectSample(t, m, messages, bodies)
	for i, f := range m.files {
		text := read(t, m, i)
		sizes := fmt.Sprintf(",S=%d,W=%d", len(text), len(bodies[i]))
		if !strings.HasSuffix(f.base, sizes) || strings.Contains(text, "\r") {
			t.Errorf("%s has not %s, or CRs", f.path, sizes)
		}
		if info, err := os.Stat(filepath.Join(folder, f.path)); err != nil || !info.ModTime().Equal(messages[i].Received) {
			t.Errorf("%s: %v, %v", f.path, info, err)
		}
	}
	if _, err := CreateMaildir(folder, time.Now(), "host"); err == nil || !strings.Contains(err.Error(), "has messages already") {
		t.Errorf("a Maildir that is there: %v", err)
	}
}

// brokenReader fails in the midst.
func brokenReader() io.Reader {
	broken := readerFunc(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })
	return io.MultiReader(strings.NewReader("A: b\r\n\r\n"+strings.Repeat("text\r\n", 1<<16)), broken)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A message that cannot be read to its end leaves nothing behind.
func TestWritersTakeBack(t *testing.T) {
	dir := t.TempDir()
	mbox, err := CreateMbox(filepath.Join(dir, "mbox"))
	must(t, err)
	maildir, err := CreateMaildir(filepath.Join(dir, "maildir"), time.Now(), "host")
	must(t, err)
	good := Message{UID: "good", Received: time.Unix(1e9, 0).UTC()}
	for _, w := range []interface {
		Add(m Message, body io.Reader) error
		Close() error
	}{mbox, maildir} {
		must(t, w.Add(good, strings.NewReader("A: b\r\n\r\n")))
		if err := w.Add(Message{UID: "bad", Received: time.Now()}, brokenReader()); !errors.Is(err, ErrBody) ||
			!errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%T: %v", w, err)
		}
		must(t, w.Add(Message{UID: "good2", Received: time.Unix(1e9, 0).UTC()}, strings.NewReader("C: d\r\n\r\n")))
		must(t, w.Close())
	}
	source, err := OpenMaildir(filepath.Join(dir, "maildir"), nil)
	must(t, err)
	for _, s := range []Source{openMbox(t, filepath.Join(dir, "mbox"), MboxRD), source} {
		if got := fmt.Sprintf("%v %s %s", uidsOf(s), read(t, s, 0), read(t, s, 1)); got != "[good good2] A: b\n\n C: d\n\n" {
			t.Errorf("%T has %q", s, got)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "maildir", "tmp", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
