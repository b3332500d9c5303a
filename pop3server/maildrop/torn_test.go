package maildrop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// journalPath gives the path of alice's journal.
func journalPath(root string) string { return filepath.Join(root, "aa", alice.ID, "journal") }

// smallJournal makes a journal of five messages with former and new unique-ids, of which one is removed and one is read, and
// gives it and the texts of all messages by their unique-ids.
func smallJournal(t *testing.T) (journal []byte, texts map[string]string) {
	t.Helper()
	s := openStore(t, t.TempDir())
	texts = map[string]string{}
	for i := range 5 {
		text := sampleText(fmt.Sprint(i+1), 1+10*i)
		texts[fmt.Sprint(i+1)] = text
		deliver(t, s, alice, text)
	}
	session := openDrop(t, s, alice)
	session.MarkRead(session.Messages()[0])
	remove(t, session, session.Messages()[1])
	deliver(t, s, alice, sampleText("6", 1))
	texts["6"] = sampleText("6", 1)
	return readFile(t, journalPath(s.root)), texts
}

// memoryFolder gives a folder that needs no disk, where the system has one: what is synced there is synced at once.
func memoryFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "popservice-test-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func readFile(t fatal, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// plant puts a journal where alice's is, and gives a store on it that logs to a buffer.
func plant(t testing.TB, root string, journal []byte) (*JournalStore, *bytes.Buffer) {
	t.Helper()
	path, log := journalPath(root), new(bytes.Buffer)
	s, err := New(root, Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), folderMode)
	}
	if err == nil {
		err = os.WriteFile(path, journal, fileMode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

// recordsOf gives where the records of a journal are.
func recordsOf(t *testing.T, journal []byte) (all []placed) {
	t.Helper()
	st := &state{}
	s := &scanner{r: bytes.NewReader(journal), size: int64(len(journal))}
	_, damage, err := s.scan(0, func(p placed) error {
		all = append(all, p)
		err := st.apply(p)
		s.salt = st.salt
		return err
	})
	if err != nil || len(damage) != 0 {
		t.Fatal(err, damage)
	}
	return all
}

// Wherever in the last record the writing of it ended: the messages before it are there, and its unique-id is not used again.
func TestTornTailAtEachOctet(t *testing.T) {
	t.Parallel()
	journal, texts := smallJournal(t)
	records := recordsOf(t, journal)
	last := records[len(records)-1]
	for _, fill := range []string{"cut", "zeros"} { // a power loss may have left the length
		for at := int(last.offset); at < len(journal); at++ {
			torn := slices.Clone(journal[:at])
			if fill == "zeros" {
				if torn = append(torn, make([]byte, len(journal)-at)...); bytes.Equal(torn, journal) {
					continue // the end was zeros anyway
				}
			}
			t.Run(fmt.Sprintf("%s at %d", fill, at-int(last.offset)), func(t *testing.T) {
				checkTorn(t, torn, texts)
			})
		}
	}
}

// checkTorn opens a journal without its last record, which was message 6.
func checkTorn(t *testing.T, torn []byte, texts map[string]string) {
	texts = maps.Clone(texts)
	delete(texts, "6")
	root := memoryFolder(t)
	s, _ := plant(t, root, torn)
	checkTexts(t, s, texts, "1", "3", "4", "5")
	deliver(t, s, alice, hello)
	for _, s := range []*JournalStore{s, openStore(t, root)} {
		session := openDrop(t, s, alice)
		m := session.Messages()[len(session.Messages())-1]
		if m.uid <= 6 && !isCutAtRecord(torn) || body(t, session, m) != hello {
			t.Errorf("a new message has the unique-id %d", m.uid)
		}
		checkTexts(t, s, texts, "1", "3", "4", "5", m.UID())
		c, err := s.Inspect(context.Background(), alice.ID)
		if err != nil || len(c.Damage) != 0 {
			t.Errorf("after the cut: damage %v, %v", c.Damage, err)
		}
	}
}

// isCutAtRecord tells whether nothing is left of the last record, so that nobody can know that there was one.
func isCutAtRecord(journal []byte) bool {
	st := &state{}
	return st.catchUp(bytes.NewReader(journal), int64(len(journal))) == nil && st.end == int64(len(journal))
}

// checkTexts checks which messages there are, and their octets, for those that texts has.
func checkTexts(t *testing.T, s *JournalStore, texts map[string]string, want ...string) {
	t.Helper()
	session := openDrop(t, s, alice)
	if got := uids(session.Messages()); !slices.Equal(got, want) {
		t.Fatalf("messages %v, want %v", got, want)
	}
	for _, m := range session.Messages() {
		if text, ok := texts[m.UID()]; ok && body(t, session, m) != text {
			t.Errorf("message %s has other octets", m.UID())
		}
	}
}

// Whichever bit of a journal is wrong: it is refused, or at most the record that has it is lost, which is told; and no
// unique-id is used again.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	journal, texts := smallJournal(t)
	records := recordsOf(t, journal)
	for at := range journal {
		bad := slices.Clone(journal)
		bad[at] ^= 1 << (at % 8)
		i := slices.IndexFunc(records, func(p placed) bool { return int64(at) < p.end() })
		f := &flipped{texts: texts, hit: records[i], at: int64(at)}
		t.Run(fmt.Sprintf("octet %d, %c+%d", at, f.hit.kind(), int64(at)-f.hit.offset), func(t *testing.T) {
			f.check(t, bad)
		})
	}
}

// flipped is a journal with a wrong bit.
type flipped struct {
	texts map[string]string
	hit   placed // the record that has it
	at    int64
}

func (f *flipped) check(t *testing.T, journal []byte) {
	s, log := plant(t, memoryFolder(t), journal)
	session, err := s.Open(context.Background(), alice)
	if err != nil {
		if f.hit.kind() != kindHeader || !strings.Contains(err.Error(), alice.ID) {
			t.Errorf("refused: %v", err)
		}
		results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(hello))
		if err != nil || results[0] == nil || !bytes.Equal(journal, readFile(t, journalPath(s.root))) {
			t.Errorf("a journal that cannot be read was written to: %v, %v", results, err)
		}
		return
	}
	got, damaged := map[string]bool{}, false
	for _, m := range session.Messages() {
		damaged = f.checkMessage(t, session, m) || damaged
		got[m.UID()] = true
	}
	f.checkLoss(t, got)
	deliver(t, s, alice, hello)
	checkAboveAll(t, s)
	c, err := s.Inspect(context.Background(), alice.ID)
	if told := damaged || len(c.Damage) > 0 || strings.Contains(log.String(), "cut off"); err != nil || told == f.isUnread() {
		t.Errorf("told of the damage: %t, %v\n%s", told, err, log)
	}
}

// checkMessage tells whether a message is damaged.
func (f *flipped) checkMessage(t *testing.T, session Session, m Message) bool {
	t.Helper()
	r, err := session.Body(context.Background(), m)
	if err == nil {
		text, err := io.ReadAll(r)
		if err != nil || string(text) != f.texts[m.UID()] || r.Close() != nil {
			t.Errorf("message %s: %v, %q", m.UID(), err, text)
		}
		return false
	}
	if hit, ok := f.hit.record.(*messageRecord); !ok || hit.uid != m.uid {
		t.Errorf("message %s: %v", m.UID(), err)
	}
	return true
}

// checkLoss checks that nothing is lost but what the record has said.
func (f *flipped) checkLoss(t *testing.T, got map[string]bool) {
	t.Helper()
	for _, uid := range []string{"1", "3", "4", "5", "6"} {
		hit, ok := f.hit.record.(*messageRecord)
		if !got[uid] && (!ok || fmt.Sprint(hit.uid) != uid) {
			t.Errorf("message %s is lost", uid)
		}
	}
	if got["2"] && f.hit.kind() != kindRemove {
		t.Error("the removed message is back")
	}
}

// isUnread tells whether nobody reads the bit: it is in the body of the removed message, or behind a record.
func (f *flipped) isUnread() bool {
	m, ok := f.hit.record.(*messageRecord)
	body := f.hit.offset + int64(f.hit.head)
	return f.at >= body && (!ok || m.uid == 2 || f.at >= body+int64(m.inline))
}

// checkAboveAll checks that the newest message's unique-id is above all that were given.
func checkAboveAll(t *testing.T, s *JournalStore) {
	t.Helper()
	messages := openDrop(t, s, alice).Messages()
	if newest := messages[len(messages)-1]; newest.uid <= 6 {
		t.Errorf("a new message has the unique-id %d", newest.uid)
	}
}

// What a journal says may be damaged after it was read. Nothing that then stands there makes the store fail worse than by an
// error, be it read or written anew.
func TestDamageAfterReading(t *testing.T) {
	t.Parallel()
	journal, texts := smallJournal(t)
	hit := recordsOf(t, journal)[1] // message 1
	for at := int(hit.offset); at < int(hit.end()); at++ {
		for bit := range 8 {
			root := memoryFolder(t)
			s, _ := plant(t, root, journal)
			session := openDrop(t, s, alice)
			bad := slices.Clone(journal)
			bad[at] ^= 1 << bit
			if err := os.WriteFile(journalPath(root), bad, fileMode); err != nil { // the same file
				t.Fatal(err)
			}
			f := &flipped{texts: texts, hit: hit}
			for _, m := range session.Messages() {
				f.checkMessage(t, session, m)
			}
			if err := s.Compact(context.Background(), alice.ID); err != nil {
				t.Fatal(err)
			}
			after := openDrop(t, s, alice)
			for _, m := range after.Messages() {
				f.checkMessage(t, after, m)
			}
			if n := len(after.Messages()); n < 4 {
				t.Fatalf("bit %d of octet %d: %d messages are left", bit, at, n)
			}
		}
	}
}

// A length that is wrong in two places, and so makes sense, is not believed either.
func TestForgedLength(t *testing.T) {
	journal, _ := smallJournal(t)
	hit := recordsOf(t, journal)[2]
	root := memoryFolder(t)
	s, _ := plant(t, root, journal)
	session := openDrop(t, s, alice)
	binary.LittleEndian.PutUint32(journal[hit.offset+8:], maxHeadOctets)
	binary.LittleEndian.PutUint32(journal[hit.offset+12:], maxHeadOctets)
	if err := os.WriteFile(journalPath(root), journal, fileMode); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Body(context.Background(), session.Messages()[0]); !errors.Is(err, ErrDamaged) {
		t.Errorf("Body: %v", err)
	}
	if err := s.Compact(context.Background(), alice.ID); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(journalPath(root) + ".damaged-1"); err != nil {
		t.Errorf("the damaged journal was not kept: %v", err)
	}
}

// A damaged journal is kept when it is written anew, also where a crash came between.
func TestDamagedJournalIsKept(t *testing.T) {
	journal, _ := smallJournal(t)
	journal[recordsOf(t, journal)[2].offset+30] ^= 1
	root := memoryFolder(t)
	plant(t, root, journal)
	kept := journalPath(root) + ".damaged-1"
	if err := os.Link(journalPath(root), kept); err != nil { // and here a server died
		t.Fatal(err)
	}
	s := openStore(t, root)
	if err := s.Compact(context.Background(), alice.ID); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, kept), journal) {
		t.Error("the damaged journal is not what is kept")
	}
	if c, err := s.Inspect(context.Background(), alice.ID); err != nil || len(c.Damage) != 0 {
		t.Errorf("damage %v, %v", c.Damage, err)
	}
}
