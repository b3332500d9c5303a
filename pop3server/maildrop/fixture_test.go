package maildrop

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fixture has maildrops that version 1 of the format has written, one a folder. Later versions must read them as they are. With
// POPSERVICE_FIXTURE=write, TestWriteFixture makes them anew, which is for a new format alone, in a folder of its own.
const fixture = "testdata/v1"

// recorded is what contents.json says of the maildrops.
type recorded struct {
	Owner         string
	Made          time.Time
	Generation    uint64
	NextUID       uint64
	Messages      int64
	StorageOctets int64
	Rows          []recordedRow
}

type recordedRow struct {
	UID      string
	Number   uint64
	Octets   int64
	Storage  int64
	Received time.Time
	Dotless  bool
	Seen     bool
	Removed  time.Time
	Reason   string
	Text     string // in Go's quotes, or the SHA-256 of a large one
}

// recordContents gives all that there is to be known of a maildrop.
func recordContents(t *testing.T, s *JournalStore, id string) recorded {
	t.Helper()
	c, err := s.Inspect(context.Background(), id)
	if err != nil || len(c.Damage) != 0 {
		t.Fatal(err, c.Damage)
	}
	r := recorded{Owner: c.Owner, Made: c.Made, Generation: c.Generation, NextUID: c.NextUID, Messages: c.Usage.Messages,
		StorageOctets: c.Usage.StorageOctets}
	for _, e := range c.Messages {
		r.Rows = append(r.Rows, recordedRow{e.UID(), e.Number(), e.Octets, e.StorageOctets, e.Received(), e.Dotless(), e.Seen,
			e.Removed, e.Reason, recordText(t, s, id, e)})
	}
	return r
}

func recordText(t *testing.T, s *JournalStore, id string, e Entry) string {
	t.Helper()
	r, err := s.OpenEntry(context.Background(), id, e)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if len(text) > 1000 {
		return fmt.Sprintf("SHA-256 %x", sha256.Sum256(text))
	}
	return strconv.QuoteToASCII(string(text))
}

// Maildrops that an earlier version has written are what they were, and can be worked on.
func TestFixture(t *testing.T) {
	for _, indexed := range []bool{true, false} {
		root := t.TempDir()
		if err := os.CopyFS(root, os.DirFS(fixture)); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, root)
		for id, want := range readRecorded(t) {
			checkIndexed(t, s, id, indexed)
			if diff := cmp.Diff(want, recordContents(t, s, id)); diff != "" {
				t.Errorf("%s, indexed %t (-want +got):\n%s", id, indexed, diff)
			}
			checkWorks(t, s, id, want)
		}
	}
}

func readRecorded(t *testing.T) (all map[string]recorded) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, filepath.Join(fixture, "contents.json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Fatalf("the fixture has %d maildrops, want 3", len(all))
	}
	return all
}

// checkIndexed checks that the index is believed where there is one, or removes it.
func checkIndexed(t *testing.T, s *JournalStore, id string, indexed bool) {
	t.Helper()
	folder := filepath.Join(s.root, id[:2], id)
	index := filepath.Join(folder, "index")
	if !indexed {
		if err := os.Remove(index); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return
	}
	if id != fixtureIDs[0] {
		return
	}
	j, err := openJournal(filepath.Join(folder, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.release()
	if st := readIndex(index, j); st == nil || len(st.live)+len(st.removed) != 4 {
		t.Errorf("the index is not believed: %+v", st)
	}
}

// checkWorks checks that mail comes in and goes out, and that the maildrop can be written anew.
func checkWorks(t *testing.T, s *JournalStore, id string, was recorded) {
	t.Helper()
	box := Mailbox{ID: id, Owner: was.Owner}
	deliver(t, s, box, hello)
	session := openDrop(t, s, box)
	newest := session.Messages()[len(session.Messages())-1]
	if newest.Number() != was.NextUID || body(t, session, newest) != hello {
		t.Errorf("%s: a new message has the number %d, want %d", id, newest.Number(), was.NextUID)
	}
	remove(t, session, newest)
	if err := errors.Join(session.Close(), s.Compact(context.Background(), id)); err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(slices.Clone(was.Rows), func(r recordedRow) bool { return r.Reason != "" })
	if diff := cmp.Diff(want, recordContents(t, s, id).Rows); diff != "" {
		t.Errorf("%s, written anew (-want +got):\n%s", id, diff)
	}
}

var fixtureIDs = [3]string{strings.Repeat("a", 26), strings.Repeat("b", 26), strings.Repeat("c", 26)}

// TestWriteFixture writes the fixture, where POPSERVICE_FIXTURE is "write"; otherwise it checks that it could.
func TestWriteFixture(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	writeFirst(t, s)
	writeImported(t, s)
	writeLater(t, s)
	all := map[string]recorded{}
	for _, id := range fixtureIDs {
		all[id] = recordContents(t, s, id)
	}
	contents, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(all[fixtureIDs[0]].Rows) + len(all[fixtureIDs[1]].Rows) + len(all[fixtureIDs[2]].Rows); n != 15 {
		t.Errorf("%d messages, want 15", n)
	}
	if os.Getenv("POPSERVICE_FIXTURE") != "write" {
		return
	}
	if err := os.RemoveAll(fixture); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.RemoveAll(filepath.Join(root, "tmp")), os.Remove(filepath.Join(root, "reserve")), os.CopyFS(fixture, os.DirFS(root)),
		os.WriteFile(filepath.Join(fixture, "contents.json"), append(contents, '\n'), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

// writeFirst makes a maildrop with an index that is older than the journal: messages in the journal and in a file, removed and
// read ones.
func writeFirst(t *testing.T, s *JournalStore) {
	t.Helper()
	box := Mailbox{ID: fixtureIDs[0], Owner: "mail/first"}
	deliver(t, s, box, "Subject: dots\r\n\r\n.\r\n..\r\nNUL \x00 and \xff\r\n")
	deliver(t, s, box, repeated("large", inlineOctets))
	deliver(t, s, box, hello)
	deliver(t, s, box, "")
	session := openDrop(t, s, box)
	session.MarkRead(session.Messages()[0])
	remove(t, session, session.Messages()[2])
	b := s.boxes[box.ID]
	if err := b.writeIndex(); err != nil {
		t.Fatal(err)
	}
	session.MarkRead(session.Messages()[3])
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, box, sampleText("5", 100))
	if err := s.Change(context.Background(), box.ID, Change{Restore: []uint64{3}, Remove: []uint64{4}, NextUID: 100}); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, box, sampleText("100", 100))
}

// repeated gives a text that is stored small, where it is compressed.
func repeated(name string, size int) string {
	return "Subject: " + name + "\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72+1)
}

// writeImported makes a maildrop with unique-ids of another server.
func writeImported(t *testing.T, s *JournalStore) {
	t.Helper()
	box := Mailbox{ID: fixtureIDs[1], Owner: "mail/imported"}
	im, err := s.NewImport(context.Background(), box)
	if err != nil {
		t.Fatal(err)
	}
	for i, uid := range []string{"GmailId16a", "4711", "", strings.Repeat("~", maxFormer)} {
		m := Imported{UID: uid, Received: time.Unix(1_000_000_000+int64(i), 0), Seen: i%2 == 0,
			Body: strings.NewReader(sampleText(fmt.Sprint(i), 50))}
		if err := im.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	session := openDrop(t, s, box)
	remove(t, session, session.Messages()[0])
	deliver(t, s, box, hello)
}

// writeLater makes a maildrop of another generation and owner, with messages from new/ and a warning.
func writeLater(t *testing.T, s *JournalStore) {
	t.Helper()
	box := Mailbox{ID: fixtureIDs[2], Owner: "mail/before"}
	deliver(t, s, box, hello)
	folder := filepath.Join(s.root, "cc", box.ID, "new")
	if err := os.Mkdir(folder, folderMode); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "1.foreign"), []byte("Subject: foreign\n\nHello.\n"), fileMode); err != nil {
		t.Fatal(err)
	}
	session := openDrop(t, s, box)
	session.MarkRead(session.Messages()[1])
	remove(t, session, session.Messages()[0])
	_ = session.Close()
	if err := s.Compact(context.Background(), box.ID); err != nil {
		t.Fatal(err)
	}
	box = Mailbox{ID: box.ID, Owner: "mail/later", Adopt: true, Address: "later@example.com", IssueWarning: 100}
	deliver(t, s, box, hello)
	session = openDrop(t, s, box)
	remove(t, session, session.Messages()[1])
	deliver(t, s, box, hello)
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
}
