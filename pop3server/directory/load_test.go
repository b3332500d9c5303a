package directory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// write puts records into their bucket files in dir.
func write(t *testing.T, dir string, revision int64, records ...Record) {
	t.Helper()
	buckets := map[string][]Record{}
	for _, r := range records {
		buckets[bucketOf(r)] = append(buckets[bucketOf(r)], r)
	}
	for name, records := range buckets {
		writeFile(t, filepath.Join(dir, name+".jsonl"), encode(t, revision, records...))
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func loadClean(t *testing.T, dir string, previous *Directory) *Directory {
	t.Helper()
	d, problems := Load(dir, previous)
	if len(problems) != 0 {
		t.Fatalf("problems: %v", problems)
	}
	return d
}

// owner tells whose a name is; "" when nobody's.
func owner(d *Directory, name string) string {
	r, _ := d.Lookup(name)
	return r.Address
}

func TestLookupByAddressAndAlias(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, 5, mailbox("alice@example.com", func(r *Record) { r.Aliases = []string{"sales@example.com"} }),
		mailbox("bob@example.com"))
	writeFile(t, filepath.Join(dir, "README"), []byte("other files are ignored"))
	d := loadClean(t, dir, nil)
	for name, want := range map[string]string{
		"alice@example.com": "alice@example.com", "ALICE@Example.COM": "alice@example.com",
		"Sales@example.com": "alice@example.com", "bob@example.com": "bob@example.com", "eve@example.com": "", "": "",
	} {
		if got := owner(d, name); got != want {
			t.Errorf("%q belongs to %q, want %q", name, got, want)
		}
	}
	if d.Len() != 2 {
		t.Errorf("%d mailboxes, want 2", d.Len())
	}
	want := map[string]int64{bucketOf(mailbox("alice@example.com")): 5, bucketOf(mailbox("bob@example.com")): 5}
	if diff := cmp.Diff(want, d.Revisions()); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
}

func TestNamesThatTwoMailboxesClaim(t *testing.T) {
	claim := func(r *Record) { r.Aliases = []string{"bob@example.com", "shared@example.com"} }
	alice, carol, bob := mailbox("alice@example.com", claim), mailbox("carol@example.com", claim), mailbox("bob@example.com")
	dir := t.TempDir()
	write(t, dir, 1, alice, bob, carol)
	d, problems := Load(dir, nil)
	lower := alice
	if carol.ID < alice.ID {
		lower = carol
	}
	if got := owner(d, "bob@example.com"); got != bob.Address {
		t.Errorf("bob's address belongs to %s", got)
	}
	if got := owner(d, "shared@example.com"); got != lower.Address {
		t.Errorf("the alias of both belongs to %s, want %s with the lower id", got, lower.Address)
	}
	if len(problems) != 3 || len(problems.Refused()) != 0 {
		t.Errorf("problems %v, want three, none of which refuses a file", problems)
	}
}

func TestBadBucketKeepsItsPreviousVersion(t *testing.T) {
	dir := t.TempDir()
	alice, bob := mailbox("alice@example.com"), mailbox("bob@example.com")
	write(t, dir, 1, alice, bob)
	first := loadClean(t, dir, nil)
	writeFile(t, filepath.Join(dir, bucketOf(alice)+".jsonl"), []byte("{"))
	write(t, dir, 2, mailbox(bob.Address, func(r *Record) { r.State = Disabled }))
	second, problems := Load(dir, first)
	if got := owner(second, alice.Address); got != alice.Address {
		t.Error("the mailbox in the bad bucket is gone")
	}
	if r, _ := second.Lookup(bob.Address); r.State != Disabled {
		t.Error("the good bucket was not taken over")
	}
	if r, _ := first.Lookup(bob.Address); r.State != Enabled {
		t.Error("the older directory changed")
	}
	if why := problems.Refused()[bucketOf(alice)]; !strings.Contains(why, ":1: ") {
		t.Errorf("problems %v do not tell the line", problems)
	}
	if got := second.Revisions(); got[bucketOf(alice)] != 1 || got[bucketOf(bob)] != 2 {
		t.Errorf("revisions %v", got)
	}
}

func TestBucketThatIsRemovedIsEmpty(t *testing.T) {
	dir := t.TempDir()
	alice := mailbox("alice@example.com")
	write(t, dir, 1, alice)
	first := loadClean(t, dir, nil)
	if err := os.Remove(filepath.Join(dir, bucketOf(alice)+".jsonl")); err != nil {
		t.Fatal(err)
	}
	if second := loadClean(t, dir, first); second.Len() != 0 || len(second.Revisions()) != 0 {
		t.Errorf("%d mailboxes, revisions %v", second.Len(), second.Revisions())
	}
}

func TestUnreadableFolderKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, 1, mailbox("alice@example.com"))
	first := loadClean(t, dir, nil)
	second, problems := Load(filepath.Join(dir, "missing"), first)
	if second.Len() != 1 || problems.Refused()[""] == "" {
		t.Errorf("%d mailboxes, problems %v", second.Len(), problems)
	}
	if empty, problems := Load(filepath.Join(dir, "missing"), nil); empty.Len() != 0 || len(problems) != 1 {
		t.Errorf("%d mailboxes, problems %v", empty.Len(), problems)
	}
}

func TestUnusableCredentialIsLeftOutAlone(t *testing.T) {
	dir := t.TempDir()
	good := Credential{Name: "good", Verifier: verifier.Derive([]byte("open sesame"))}
	write(t, dir, 1, mailbox("alice@example.com", func(r *Record) {
		r.Credentials = []Credential{{Name: "bad", Verifier: "hunter2"}, good}
	}))
	d, problems := Load(dir, nil)
	r, ok := d.Lookup("alice@example.com")
	if diff := cmp.Diff([]Credential{good}, r.Credentials); !ok || diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	if len(problems) != 1 || problems[0].Refused || strings.Contains(problems[0].Err.Error(), "hunter2") {
		t.Errorf("problems %v", problems)
	}
	if _, again := Load(dir, d); len(again) != 1 {
		t.Errorf("an unchanged file's problem is told once only: %v", again)
	}
}

func TestUnchangedBucketsAreNotParsedAgain(t *testing.T) {
	dir := t.TempDir()
	alice := mailbox("alice@example.com")
	write(t, dir, 1, alice)
	first := loadClean(t, dir, nil)
	second := loadClean(t, dir, first)
	if first.buckets[Bucket(alice.ID)] != second.buckets[Bucket(alice.ID)] {
		t.Error("the bucket was parsed again")
	}
}
