package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/popservice/popservice/pop3server/directory"
)

// counts is what import --json tells.
type counts struct {
	Messages, Imported, Known, Renamed, Vanished int
}

func (d *drops) imports(arguments string) (c counts) {
	d.t.Helper()
	output, _ := d.do(0, strings.Fields("import --json "+arguments)...)
	must(d.t, json.Unmarshal([]byte(output), &c))
	return c
}

// An import that failed goes on where it was.
func TestImportContinued(t *testing.T) {
	d := newDrops(t)
	folder, uids := maildir(t, 20)
	list := filepath.Join(folder, "dovecot-uidlist")
	good, err := os.ReadFile(list)
	must(t, err)
	bad := strings.Replace(string(good), "Pformer-12 ", "P"+strings.Repeat("x", 71)+" ", 1)
	must(t, os.WriteFile(list, []byte(bad), 0o600))
	arguments := "alice@example.com --owner mail/alice --from maildir:" + folder
	d.says(1, "import "+arguments, "M12P1.host:2,: unique-id", "start the same import again to go on")
	if got := d.list("alice@example.com").Messages; got != 11 {
		t.Errorf("%d messages", got)
	}
	must(t, os.WriteFile(list, good, 0o600))
	if diff := cmp.Diff(counts{Messages: 20, Imported: 9, Known: 11}, d.imports(arguments)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(uids, d.list("alice@example.com").uids()); diff != "" {
		t.Error(diff)
	}
}

// One that was killed does too, wherever that was, and takes each message once.
func TestImportKilled(t *testing.T) {
	d := newDrops(t)
	folder, uids := maildir(t, 1500)
	command := exec.Command(binary, "maildrop", "import", "--store", d.store, "alice@example.com", "--owner", "mail/alice",
		"--from", "maildir:"+folder)
	must(t, command.Start())
	journal := filepath.Join(d.folder("alice@example.com"), "journal")
	// A journal grows before what it has grown by counts: the first part counts when the second one is being written. The file's
	// size is all that another process's progress can be told by.
	sizes := map[int64]bool{}
	for start := time.Now(); time.Since(start) < deadline && len(sizes) < 3; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(journal); err == nil && info.Size() > 1000 {
			sizes[info.Size()] = true
		}
	}
	must(t, command.Process.Kill())
	if command.Wait() == nil {
		t.Fatal("the import was done before it was killed")
	}
	there := d.list("alice@example.com").Messages
	got := d.imports("alice@example.com --from maildir:" + folder)
	if diff := cmp.Diff(counts{Messages: 1500, Imported: 1500 - there, Known: there}, got); diff != "" || there == 0 {
		t.Errorf("%d were there: %s", there, diff)
	}
	if diff := cmp.Diff(uids, d.list("alice@example.com").uids()); diff != "" {
		t.Error(diff)
	}
	d.says(0, "verify", "1500 messages", ": 0 damaged")
}

// Another message may have a unique-id of the source's: one that was delivered here, or one of the source itself. None is lost.
func TestImportRenames(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	d := &drops{t, filepath.Join(p.dir, "var/maildrops")}
	for range 2 {
		p.deliver("alice@example.com", hello)
	}
	folder, _ := maildir(t, 4)
	must(t, os.WriteFile(filepath.Join(folder, "cur", "5.x:2,"), []byte("A: b\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "cur", "6.x:2,"), []byte("A: b\n"), 0o600))
	list := filepath.Join(t.TempDir(), "list")
	must(t, os.WriteFile(list, []byte("1\n2\n3\n90\n90\n90\n"), 0o600))
	arguments := "alice@example.com --uidl-list " + list + " --from maildir:" + folder
	if diff := cmp.Diff(counts{Messages: 6, Imported: 6, Renamed: 4}, d.imports(arguments)); diff != "" {
		t.Error(diff)
	}
	if got := d.list("alice@example.com"); fmt.Sprint(got.uids()) != "[1 2 1-2 2-2 3 90 90-2 90-3]" || got.NextUniqueID < 91 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(counts{Messages: 6, Known: 6}, d.imports(arguments)); diff != "" {
		t.Error(diff)
	}
	p.deliver("alice@example.com", hello)
	if uids := d.list("alice@example.com").uids(); len(uids) != 9 || uids[8] == "90" || uids[8] == "3" {
		t.Errorf("%v", uids)
	}
}

func TestImportUniqueIDs(t *testing.T) {
	folder, _ := maildir(t, 4)
	list := filepath.Join(t.TempDir(), "list")
	must(t, os.WriteFile(list, []byte("x cur/"+fmt.Sprintf("%d.M2P1.host", 1700000000-2*3600)+":2,\n"), 0o600))
	for i, test := range []struct{ arguments, want string }{
		{"", "[000000016553f100 000000026553f100 000000036553f100 former-4]"},
		{"--pop3-uidl-format %v.%u", "[1700000000.1 1700000000.2 1700000000.3 former-4]"},
		{"--pop3-uidl-format %{uid|hex(4)}", "[0001 0002 0003 former-4]"},
		{"--uidl-list " + list, "[x 000000016553f100 000000036553f100 former-4]"},
	} {
		d := newDrops(t)
		d.imports(fmt.Sprintf("a%d@example.com --owner o --from maildir:%s %s", i, folder, test.arguments))
		if got := d.list(fmt.Sprintf("a%d@example.com", i)).uids(); fmt.Sprint(got) != test.want {
			t.Errorf("%s: %v", test.arguments, got)
		}
	}
	must(t, os.WriteFile(list, []byte("x\n"), 0o600))
	newDrops(t).says(1, "import a@b --owner o --uidl-list "+list+" --from maildir:"+folder,
		"the list has 1 unique-ids and there are 4 messages")
}

// An mbox of another program; again it is known by what it has.
func TestImportMbox(t *testing.T) {
	d := newDrops(t)
	mbox := filepath.Join(t.TempDir(), "mbox")
	const text = "From a Tue Nov 24 12:00:00 2026\nSubject: a\nStatus: RO\n\n>From x\n>>From y\n\n" +
		"From b Tue Nov 24 13:00:00 2026\nSubject: b\n\n\n"
	must(t, os.WriteFile(mbox, []byte(text), 0o600))
	const arguments = "alice@example.com --owner o --mbox-format mboxo --from mbox:"
	if diff := cmp.Diff(counts{Messages: 2, Imported: 2}, d.imports(arguments+mbox)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(counts{Messages: 2, Known: 2}, d.imports(arguments+mbox)); diff != "" {
		t.Error(diff)
	}
	l := d.list("alice@example.com")
	const second = "2026-11-24T13:00:00Z"
	if e := l.Entries; !e[0].Seen || e[1].Seen || e[1].Received.Format(time.RFC3339) != second || len(e[0].UniqueID) != 32 {
		t.Errorf("%+v", l)
	}
	out := filepath.Join(t.TempDir(), "out")
	d.says(0, "export "+directory.MailboxID("alice@example.com")+" --to maildir:"+out)
	found, _ := filepath.Glob(filepath.Join(out, "cur", "*"))
	if body, err := os.ReadFile(found[0]); err != nil || string(body) != "Subject: a\nStatus: RO\n\nFrom x\n>>From y\n" {
		t.Errorf("%q, %v", body, err)
	}
}
