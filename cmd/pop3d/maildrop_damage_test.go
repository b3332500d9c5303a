package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// records gives where the records of a journal begin (see maildrop/format.go).
func records(t *testing.T, journal string) (data []byte, at []int) {
	t.Helper()
	data, err := os.ReadFile(journal)
	must(t, err)
	for i := 0; i+24 <= len(data); i += 8 {
		if bytes.HasPrefix(data[i:], []byte("PMD1")) {
			at = append(at, i)
		}
	}
	return data, slices.Delete(at, 1, 2) // the header stands there twice
}

// spoil changes one octet of a file.
func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	octet := make([]byte, 1)
	_, err = file.ReadAt(octet, at)
	must(t, err)
	octet[0] ^= 0x55
	_, err = file.WriteAt(octet, at)
	must(t, err)
	must(t, file.Close())
}

// spoilText changes a text in a journal.
func spoilText(t *testing.T, journal, text string) {
	t.Helper()
	data, _ := records(t, journal)
	at := bytes.Index(data, []byte(text))
	if at < 0 {
		t.Fatalf("no %q in %s", text, journal)
	}
	spoil(t, journal, int64(at))
}

// found is what verify --json tells of a maildrop.
type found struct {
	Messages, PutAside int
	Damage             []struct {
		Kind     string
		From, To int64
		UniqueID string
		Error    string
	}
}

func (d *drops) verifies(code int) found {
	d.t.Helper()
	var v struct{ Maildrops []found }
	output, _ := d.do(code, "verify", "--json")
	must(d.t, json.Unmarshal([]byte(output), &v))
	return v.Maildrops[0]
}

func (f found) kinds() string {
	var kinds []string
	for _, d := range f.Damage {
		kinds = append(kinds, strings.TrimSpace(d.Kind+" "+d.UniqueID))
	}
	return strings.Join(kinds, ", ")
}

// Damage of every kind is shown, and healed: what is good stays, with its unique-ids, and what is not is kept aside.
func TestVerifyAndRepair(t *testing.T) {
	d, uids := filled(t, 8)
	folder := d.folder("alice@example.com")
	journal := filepath.Join(folder, "journal")
	d.says(0, "verify", "1 maildrop, 8 messages, ", ": 0 damaged")
	spoilText(t, journal, "message 2\r\n")
	bodies, err := filepath.Glob(filepath.Join(folder, "b", "*"))
	must(t, err)
	spoil(t, bodies[0], 100000)
	_, at := records(t, journal)
	spoil(t, journal, int64(at[5]+30)) // the head of message 5
	spoilText(t, journal, "message 8\r\n")
	v := d.verifies(1)
	if v.kinds() != "journal, end, message "+uids[1]+", message "+uids[2] || v.Messages != 4 ||
		v.Damage[0].From != int64(at[5]) || v.Damage[0].To != int64(at[6]) || v.Damage[1].From != int64(at[8]) {
		t.Errorf("%+v", v)
	}
	d.says(1, "verify", fmt.Sprintf("journal, octets %d to %d: no record can be read", at[5], at[6]), "its checksum is wrong",
		"the checksum of its file is wrong", "to do: restore it from a backup, or keep what is good: pop3d maildrop repair --store",
		"pop3d: of 1 maildrop, 1 is damaged")
	output := filepath.Join(t.TempDir(), "mbox")
	d.says(1, "export alice@example.com --to mbox:"+output, "4 messages, ", "2 messages damaged and left out")
	d.says(0, "repair alice@example.com", "what is good is in a new journal", "journal.damaged-1\n", "journal.damaged-1-end-",
		"journal.damaged-1-message-3")
	if v := d.verifies(0); v.Messages != 4 || v.PutAside != 2 {
		t.Errorf("%+v", v)
	}
	l := d.list("alice@example.com")
	if want := fmt.Sprint([]string{uids[0], uids[3], uids[5], uids[6]}); fmt.Sprint(l.uids()) != want || l.NextUniqueID < 9 {
		t.Errorf("%v, want %s; %d", l.uids(), want, l.NextUniqueID)
	}
	d.says(0, "repair alice@example.com", "nothing is damaged")
	d.says(1, "undelete alice@example.com --all", "cannot be restored", "0 messages restored", "2 messages could not be restored")
	for _, kept := range []string{"journal.damaged-1", "journal.damaged-1-message-3"} {
		if info, err := os.Stat(filepath.Join(folder, kept)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v %v", kept, info, err)
		}
	}
}

// The index has what the journal had when it was written. Verify reads the journal all the same, and repair keeps all that
// the index has saved.
func TestVerifyReadsBehindIndex(t *testing.T) {
	d, _ := filled(t, 2000)
	folder := d.folder("alice@example.com")
	d.list("alice@example.com")
	if _, err := os.Stat(filepath.Join(folder, "index")); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(folder, "journal")
	_, at := records(t, journal)
	spoil(t, journal, int64(at[7]+30))
	if got := d.list("alice@example.com").Messages; got != 2000 {
		t.Errorf("%d messages", got)
	}
	if v := d.verifies(1); v.kinds() != "journal, message 000000076553f100" || v.Messages != 1999 {
		t.Errorf("%+v", v)
	}
	d.says(0, "repair --all", "journal.damaged-1")
	if v := d.verifies(0); v.Messages != 1999 {
		t.Errorf("%+v", v)
	}
	if got := d.list("alice@example.com"); got.Messages != 1999 || got.NextUniqueID < 2001 {
		t.Errorf("%d messages, next %d", got.Messages, got.NextUniqueID)
	}
	if left, _ := filepath.Glob(filepath.Join(d.store, "verify-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A link that a repair has left which was killed before its end does not keep the next one from it, nor does a journal of the
// same generation that was kept before.
func TestRepairInterrupted(t *testing.T) {
	d, _ := filled(t, 4)
	journal := filepath.Join(d.folder("alice@example.com"), "journal")
	_, at := records(t, journal)
	spoil(t, journal, int64(at[2]+30))
	must(t, os.Link(journal, journal+".damaged-1"))
	d.says(0, "repair alice@example.com", "what is good is in a new journal", "journal.damaged-1\n")
	if v := d.verifies(0); v.Messages != 3 {
		t.Errorf("%+v", v)
	}
	must(t, os.WriteFile(journal+".damaged-2", []byte("another one"), 0o600))
	_, at = records(t, journal)
	spoil(t, journal, int64(at[2]+30))
	d.says(0, "repair alice@example.com", "journal.damaged-2-2\n")
	if info, err := os.Stat(journal + ".damaged-2-2"); err != nil || info.Size() < 500 || d.verifies(0).Messages != 2 {
		t.Errorf("%v %v", info, err)
	}
}

// A journal both of whose headers are damaged says nothing; that is told, and nothing is changed. One is enough.
func TestVerifyWithoutHeader(t *testing.T) {
	d, _ := filled(t, 2)
	other, _ := maildir(t, 1)
	d.says(0, "import bob@example.com --owner mail/bob --from maildir:"+other)
	journal := filepath.Join(d.folder("alice@example.com"), "journal")
	spoil(t, journal, 30)
	if v := d.verifies(1); v.kinds() != "journal" || v.Messages != 2 {
		t.Errorf("with one header: %+v", v)
	}
	before, at := records(t, journal)
	spoil(t, journal, int64(at[1])-30)
	before[at[1]-30] ^= 0x55
	d.says(1, "verify", "cannot be read: ", "journal has no header", "to do: restore the folder from a backup",
		"of 2 maildrops, 1 is damaged")
	d.says(1, "repair alice@example.com", "journal has no header", "restore the folder from a backup")
	d.says(1, "list", "journal has no header", "mail/bob")
	if after, _ := records(t, journal); !bytes.Equal(before, after) {
		t.Error("the journal was changed")
	}
}

func TestRaiseUID(t *testing.T) {
	d, _ := filled(t, 2)
	d.says(0, "repair alice@example.com --raise-uid 1000", "nothing is damaged", "the next unique-id was 3 and is 1000")
	d.says(0, "repair --all --raise-uid 1000", "the next unique-id is 1000 already")
	d.says(0, "repair --all --raise-uid +500", "the next unique-id was 1000 and is 1500")
	d.says(1, "repair --all --raise-uid +4611686018427387904", "would leave none for later messages")
	d.says(2, "repair --all --raise-uid 9223372036854775807", "must be a number from 1")
	if got := d.list("alice@example.com").NextUniqueID; got != 1500 {
		t.Errorf("next unique-id %d", got)
	}
}

// A volume of which the mail alone was restored is one.
func TestMaildropRestored(t *testing.T) {
	d, _ := filled(t, 2)
	must(t, os.RemoveAll(filepath.Join(d.store, "tmp")))
	must(t, os.RemoveAll(filepath.Join(d.store, "reserve")))
	d.says(0, "verify", "1 maildrop, 2 messages", ": 0 damaged")
}
