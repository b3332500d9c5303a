package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/popservice/popservice/pop3server/directory"
)

// drops is a folder of maildrops.
type drops struct {
	t     *testing.T
	store string
}

func newDrops(t *testing.T) *drops {
	t.Helper()
	d := &drops{t, filepath.Join(t.TempDir(), "maildrops")}
	must(t, os.Mkdir(d.store, 0o700))
	return d
}

// do runs pop3d maildrop and wants an exit code. It gives what was printed.
func (d *drops) do(code int, arguments ...string) (output, errors string) {
	d.t.Helper()
	arguments = append([]string{"maildrop", arguments[0], "--store", d.store}, arguments[1:]...)
	got, output, errors := run(d.t, "", arguments...)
	if got != code {
		d.t.Fatalf("pop3d %s: exit code %d, want %d\n%s%s", strings.Join(arguments, " "), got, code, output, errors)
	}
	return output, errors
}

// says runs pop3d maildrop and wants texts in what was printed.
func (d *drops) says(code int, arguments string, texts ...string) {
	d.t.Helper()
	output, errors := d.do(code, strings.Fields(arguments)...)
	for _, text := range texts {
		if !strings.Contains(output+errors, text) {
			d.t.Errorf("pop3d maildrop %s does not say %q:\n%s%s", arguments, text, output, errors)
		}
	}
}

// listed is what pop3d maildrop list --json tells of a maildrop.
type listed struct {
	ID           string
	Owner        string
	Messages     int
	NextUniqueID uint64
	Entries      []entry
}

type entry struct {
	Number        uint64
	UniqueID      string
	Octets        int64
	StorageOctets int64
	Received      time.Time
	Seen          bool
	Removed       *time.Time
	Reason        string
}

func (d *drops) list(mailbox string, arguments ...string) (l listed) {
	d.t.Helper()
	output, _ := d.do(0, append([]string{"list", mailbox, "--json"}, arguments...)...)
	must(d.t, json.Unmarshal([]byte(output), &l))
	return l
}

func (l listed) uids() (uids []string) {
	for _, e := range l.Entries {
		uids = append(uids, e.UniqueID)
	}
	return uids
}

// folder gives the folder of a maildrop.
func (d *drops) folder(address string) string {
	id := directory.MailboxID(address)
	return filepath.Join(d.store, id[:2], id)
}

// maildir makes a Maildir with a dovecot-uidlist: so many messages, one of which is too large for a journal.
func maildir(t *testing.T, count int) (folder string, uids []string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "Maildir")
	must(t, os.MkdirAll(filepath.Join(folder, "cur"), 0o700))
	list := fmt.Sprintf("3 V1700000000 N%d G00\n", count+1)
	for i := 1; i <= count; i++ {
		base := fmt.Sprintf("%d.M%dP1.host", 1700000000-i*3600, i)
		text := fmt.Sprintf("Subject: %d\n\n.dot\nFrom x\n>From y\nmessage %d\n\n", i, i)
		if i == 3 {
			text += strings.Repeat("a large one\n", 20000)
		}
		flags := []string{":2,", ":2,S"}[i%2]
		must(t, os.WriteFile(filepath.Join(folder, "cur", base+flags), []byte(text), 0o600))
		field := ""
		uid := fmt.Sprintf("%08x6553f100", i)
		if i%4 == 0 {
			uid = fmt.Sprintf("former-%d", i)
			field = " P" + uid
		}
		list += fmt.Sprintf("%d%s :%s\n", i, field, base)
		uids = append(uids, uid)
	}
	must(t, os.WriteFile(filepath.Join(folder, "dovecot-uidlist"), []byte(list), 0o600))
	return folder, uids
}

// filled gives maildrops with so many messages for alice.
func filled(t *testing.T, count int) (d *drops, uids []string) {
	t.Helper()
	d = newDrops(t)
	folder, uids := maildir(t, count)
	d.says(0, "import alice@example.com --owner mail/alice --from maildir:"+folder, fmt.Sprintf("imported of %d", count))
	return d, uids
}

func TestMaildropUsage(t *testing.T) {
	d, _ := filled(t, 1)
	other := t.TempDir()
	must(t, os.WriteFile(filepath.Join(other, "file"), nil, 0o600))
	for _, test := range [][2]string{
		{"2 list", "pop3d: either --store FOLDER or --config FILE must be given\n"},
		{"2 list --store a --config b", "pop3d: either --store FOLDER or --config FILE must be given\n"},
		{
			"2 list --store STORE nobody",
			`pop3d: mailbox "nobody": neither an id, of 26 characters of a-z and 2-7, nor an address`,
		},
		{"1 list --store STORE bob@example.com", "nothing was ever delivered to bob@example.com, or that is an alias"},
		{"1 verify --store STORE bob@example.com", "no such maildrop"},
		{"1 list --store " + other, " has no maildrops: name the folder that a server has as maildrop.path"},
		{"1 list --store /nonexistent", "no such file"},
		{"1 list --config /nonexistent", "read configuration"},
		{"2 export --store STORE alice@example.com", `required flag(s) "to" not set`},
		{"2 export --store STORE a@b --to tar:x", `--to "tar:x": must be maildir:FOLDER or mbox:FILE`},
		{"2 import --store STORE a@b --from x", `--from "x": must be maildir:FOLDER or mbox:FILE`},
		{"1 import --store STORE a@b --from mbox:x", "name the Mailbox that is to have it, with --owner NAMESPACE/NAME"},
		{"1 import --store STORE a@b --owner o --from mbox:/nonexistent", "no such file"},
		{
			"1 import --store STORE alice@example.com --owner o --from maildir:" + maildirOf(t),
			"belongs to another owner: mail/alice",
		},
		{"2 import --store STORE a@b --owner o --from mbox:x --mbox-format x", `--mbox-format "x": must be mboxrd or mboxo`},
		{"2 import --store STORE a@b --owner o --from maildir:x --pop3-uidl-format %m", `"%m" is no variable`},
		{"1 import --store STORE a@b --owner o --from maildir:" + maildirOf(t) + " --uidl-list nonexistent", "no such file"},
		{"2 repair --store STORE", "either a mailbox or --all must be given"},
		{"2 repair --store STORE --all alice@example.com", "either a mailbox or --all must be given"},
		{"2 repair --store STORE --all --raise-uid x", `--raise-uid "x": must be a number`},
		{"2 undelete --store STORE alice@example.com", "either numbers, or --since TIME, or --all must be given"},
		{"2 undelete --store STORE alice@example.com --all 1", "either numbers, or --since TIME, or --all must be given"},
		{"2 undelete --store STORE alice@example.com x", `"x" is no number of a message`},
		{"2 undelete --store STORE alice@example.com --since yesterday", `--since "yesterday": must be a time`},
		{"1 undelete --store STORE alice@example.com 1", "1 message could not be restored"},
		{"0 undelete --store STORE alice@example.com --all", ""},
		{"0 list --store " + t.TempDir(), ""},
	} {
		arguments, want := strings.ReplaceAll(test[0], "STORE", d.store), test[1]
		fields := strings.Fields(arguments)
		code, _, errors := run(t, "", append([]string{"maildrop"}, fields[1:]...)...)
		if fmt.Sprint(code) != fields[0] || !strings.Contains(errors, want) || want == "" && errors != "" {
			t.Errorf("pop3d maildrop %s: exit code %d, %q", arguments, code, errors)
		}
	}
	if left, err := os.ReadDir(other); err != nil || len(left) != 1 {
		t.Errorf("a folder that is none of maildrops was changed: %v", left)
	}
}

func maildirOf(t *testing.T) string {
	folder, _ := maildir(t, 1)
	return folder
}

func TestMaildropListAndStats(t *testing.T) {
	d, uids := filled(t, 4)
	l := d.list("alice@example.com")
	if diff := cmp.Diff(uids, l.uids()); diff != "" || l.Owner != "mail/alice" || l.Messages != 4 || l.NextUniqueID != 5 {
		t.Errorf("%+v %s", l, diff)
	}
	for i, e := range l.Entries {
		if e.Number != uint64(i+1) || e.Seen != (i%2 == 0) || e.Received.Unix() != int64(1700000000-(i+1)*3600) || e.Octets < 50 {
			t.Errorf("%+v", e)
		}
	}
	d.says(0, "list", "mail/alice  4 ", l.ID)
	d.says(0, "list "+l.ID, "4       former-4          ", "2023-11-14T18:13:20Z  no")
	var stats struct {
		Maildrops []map[string]any
		Total     map[string]any
	}
	output, _ := d.do(0, "stats", "--json")
	must(t, json.Unmarshal([]byte(output), &stats))
	journal, err := os.Stat(filepath.Join(d.folder("alice@example.com"), "journal"))
	must(t, err)
	row := stats.Maildrops[0]
	if row["messages"] != 4.0 || row["bodyFileOctets"] != float64(l.Entries[2].Octets) ||
		row["journalOctets"] != float64(journal.Size()) || row["id"] != l.ID || row["damagedParts"] != 0.0 {
		t.Errorf("%v", row)
	}
	delete(row, "id")
	delete(row, "owner")
	if diff := cmp.Diff(row, stats.Total); diff != "" {
		t.Error(diff)
	}
	sum := row["storageOctets"].(float64) + row["garbageOctets"].(float64)
	if sum != row["journalOctets"].(float64)+row["bodyFileOctets"].(float64) || row["garbageOctets"].(float64) > 200 {
		t.Errorf("%v", row)
	}
}

// What goes out comes in again: over Maildir and over mbox, byte for byte.
func TestMaildropRoundTrip(t *testing.T) {
	d, _ := filled(t, 9)
	dir := t.TempDir()
	want := d.list("alice@example.com")
	for i, step := range []struct{ from, to, form string }{
		{"alice@example.com", "bob@example.com", "maildir:" + filepath.Join(dir, "1")},
		{"bob@example.com", "carol@example.com", "mbox:" + filepath.Join(dir, "2")},
		{"carol@example.com", "dave@example.com", "maildir:" + filepath.Join(dir, "3")},
	} {
		d.says(0, "export "+step.from+" --to "+step.form, "9 messages, ", "octets, written to "+step.form)
		d.says(0, "import "+step.to+" --owner mail/x --from "+step.form, "9 messages imported of 9")
		got := d.list(step.to)
		if diff := cmp.Diff(want.Entries, got.Entries); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
	d.says(0, "export alice@example.com --to mbox:"+filepath.Join(dir, "a"))
	d.says(0, "export dave@example.com --to mbox:"+filepath.Join(dir, "d"))
	a, err := os.ReadFile(filepath.Join(dir, "a"))
	must(t, err)
	if b, err := os.ReadFile(filepath.Join(dir, "d")); err != nil || string(a) != string(b) || len(a) < 240000 {
		t.Errorf("the mboxes of %d and %d octets differ: %v", len(a), len(b), err)
	}
	d.says(1, "export alice@example.com --to mbox:"+filepath.Join(dir, "a"), "file exists")
	d.says(1, "export alice@example.com --to maildir:"+filepath.Join(dir, "1"), "has messages already: name another folder")
}

// Servers go on meanwhile; what a command has done, the next session sees.
func TestMaildropBesideServer(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare()
	p.config.Maildrop.Retention.DeletedItemRetentionSeconds = 3600
	p.writeConfig()
	p.start()
	d := &drops{t, filepath.Join(p.dir, "var/maildrops")}
	if got := p.deliver("alice@example.com", hello); got != "250" {
		t.Fatal(got)
	}
	before := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	before.do("STAT", "+OK 1 ")
	folder, uids := maildir(t, 5)
	code, output, errors := run(t, "", "maildrop", "import", "--config", p.configPath(), "Alice@Example.com",
		"--from", "maildir:"+folder)
	if code != 0 || !strings.Contains(output, "5 messages imported of 5") {
		t.Fatalf("exit code %d, %s%s", code, output, errors)
	}
	before.do("STAT", "+OK 1 ")
	before.quit()
	if got := p.deliver("alice@example.com", hello); got != "250" {
		t.Fatal(got)
	}
	c := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	want := "1 1"
	for i, uid := range uids {
		want += fmt.Sprintf(" %d %s", i+2, uid)
	}
	if got := strings.Join(c.list("UIDL"), " "); got != want+" 7 7" {
		t.Errorf("UIDL gives %s, want %s 7 7", got, want)
	}
	if got := strings.Join(c.list("RETR 2"), "\n"); got != "Subject: 1\n\n..dot\nFrom x\n>From y\nmessage 1\n" {
		t.Errorf("RETR gives %q", got)
	}
	c.do("DELE 2", "+OK")
	c.do("DELE 4", "+OK")
	c.quit()
	d.undeletes(p)
	d.says(0, "verify", "1 maildrop, 7 messages, ", ": 0 damaged")
}

// undeletes restores the two messages that were removed, one after the other.
func (d *drops) undeletes(p *program) {
	d.t.Helper()
	var removed []uint64
	for _, e := range d.list("alice@example.com", "--removed").Entries {
		if e.Removed != nil && e.Reason == "quit" {
			removed = append(removed, e.Number)
		}
	}
	if len(removed) != 2 || d.list("alice@example.com").Messages != 5 {
		d.t.Fatalf("removed: %v", removed)
	}
	d.says(0, "undelete alice@example.com --since 2100-01-01", "0 messages restored")
	d.says(0, fmt.Sprintf("undelete alice@example.com %d", removed[0]), "1 message restored")
	d.says(0, "undelete alice@example.com --since 1h", "1 message restored")
	d.says(0, "undelete alice@example.com --all", "0 messages restored")
	c := p.pops().login("alice@example.com", "secret-of-alice", "+OK")
	c.do("STAT", "+OK 7 ")
	c.do("RETR 4", "+OK")
}

// Nobody else's volume is written to: its servers could not read what is made there.
func TestMaildropOfAnotherUser(t *testing.T) {
	d, _ := filled(t, 1)
	if os.Geteuid() == 0 {
		must(t, os.Chown(filepath.Join(d.folder("alice@example.com"), "journal"), 12345, -1))
	} else {
		d.store = "/" // it has a folder tmp, and is root's
	}
	d.says(1, "list", "could not read what user", "run this as user")
}

// terminal makes a terminal: what is written to one end is shown at the other.
func terminal(t *testing.T) (shown, written *os.File) {
	t.Helper()
	shown, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	must(t, err)
	fd := int(shown.Fd())
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	written, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	return shown, written
}

// A terminal shows how far a command is, and nothing of that is left when it is done. Anything else is told after seconds.
func TestMaildropProgress(t *testing.T) {
	d, _ := filled(t, 5)
	if _, errors := d.do(0, "verify"); errors != "" {
		t.Errorf("told: %q", errors)
	}
	shown, written := terminal(t)
	command := exec.Command(binary, "maildrop", "verify", "--store", d.store)
	var output strings.Builder
	command.Stdout, command.Stderr = &output, written
	must(t, command.Run())
	text := make([]byte, 4096)
	n, err := shown.Read(text)
	must(t, err)
	const begin, end = "\r\x1b[Kmaildrop 1 of 1, messages: 0 of 5 (0 %), 0s", "\r\x1b[K"
	if got := string(text[:n]); !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, end) {
		t.Errorf("shown: %q", got)
	}
	if !strings.HasPrefix(output.String(), "1 maildrop, 5 messages, ") {
		t.Errorf("printed: %q", output.String())
	}
	must(t, errors.Join(shown.Close(), written.Close()))
}
