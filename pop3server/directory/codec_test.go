package directory

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// mailbox makes a record and tells in which bucket it stands.
func mailbox(address string, change ...func(*Record)) Record {
	r := Record{ID: MailboxID(address), Address: address, Owner: "mail/x", State: Enabled}
	for _, c := range change {
		c(&r)
	}
	return r
}

func bucketOf(r Record) string { return BucketName(Bucket(r.ID)) }

// neighbours gives n addresses in the bucket of the first one.
func neighbours(n int) []Record {
	found := []Record{mailbox("user0@example.com")}
	for i := 1; len(found) < n; i++ {
		if r := mailbox(fmt.Sprintf("user%d@example.com", i)); bucketOf(r) == bucketOf(found[0]) {
			found = append(found, r)
		}
	}
	return found
}

func encode(t *testing.T, revision int64, records ...Record) []byte {
	t.Helper()
	text, err := Encode(Header{Version, bucketOf(records[0]), revision}, records)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEncodeIsSortedAndRoundTrips(t *testing.T) {
	records := neighbours(3)
	records[0].Aliases = []string{"a@example.com", "b@example.com"}
	records[1].Credentials = []Credential{{Name: "main", Verifier: "{ARGON2ID}<x>&", Source: "s"}}
	records[2].Quota, records[2].State, records[2].Since = Quota{1, 2}, Disabled, 7
	text := encode(t, 9, records...)
	reversed := encode(t, 9, records[2], records[1], records[0])
	if !bytes.Equal(text, reversed) {
		t.Errorf("the order of the arguments shows:\n%s\n%s", text, reversed)
	}
	contents, err := Decode(BucketFile(Bucket(records[0].ID)), text)
	if err != nil {
		t.Fatal(err)
	}
	if again := encode(t, contents.Header.Revision, contents.Records...); !bytes.Equal(text, again) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(string(text), string(again)))
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	r := mailbox("alice@example.com", func(r *Record) { r.Owner = "" })
	if _, err := Encode(Header{Version, bucketOf(r), 1}, []Record{r}); err == nil {
		t.Error("a record without an owner was encoded")
	}
}

func TestDecodeErrors(t *testing.T) {
	near := neighbours(2)
	low, high := near[0], near[1]
	if low.ID > high.ID {
		low, high = high, low
	}
	header := fmt.Sprintf(`{"version":1,"bucket":%q,"revision":5}`, bucketOf(low))
	line := func(r Record, extra string) string {
		return fmt.Sprintf(`{"id":%q,"address":%q,"owner":"o","state":"Enabled"%s}`, r.ID, r.Address, extra)
	}
	other := mailbox("elsewhere@example.com")
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", ":1: the line is not ended by LF"},
		{"cut off", header + "\n" + line(low, ""), ":2: the line is not ended by LF"},
		{"version", `{"version":2}` + "\n", ":1: format version is 2, this program reads 1"},
		{"bucket", `{"version":1,"bucket":"zz","revision":5}` + "\n", `:1: bucket is "zz", the file's name says`},
		{"revision", strings.Replace(header, "5", "0", 1) + "\n", ":1: revision is 0"},
		{"no JSON", header + "\n" + line(low, "") + "\nsecret\n", ":3: not a JSON object: wrong at octet 1"},
		{"mistyped", header + "\n" + line(low, `,"credentials":"secret"`) + "\n", `:2: field "credentials" must be of type`},
		{"id", header + "\n" + strings.Replace(line(low, ""), low.ID, high.ID, 1) + "\n", ":2: id is not that of the address"},
		{"wrong bucket", header + "\n" + line(other, "") + "\n", ":2: the mailbox belongs into bucket " + bucketOf(other)},
		{"order", header + "\n" + line(high, "") + "\n" + line(low, "") + "\n", ":3: the records are not in ascending order"},
		{"twice", header + "\n" + line(low, "") + "\n" + line(low, "") + "\n", ":3: the mailbox stands there twice"},
		{"address", header + "\n" + strings.Replace(line(low, ""), "user", "User", 1) + "\n", ":2: address: not in lower case"},
		{"no address", header + "\n{}\n", ":2: address: address must have the form"},
		{"state", header + "\n" + line(low, `,"state":"On"`) + "\n", ":2: state must be Enabled, Disabled or Purged"},
		{"size", header + "\n" + line(low, `,"size":"Large"`) + "\n", ":2: size must be Storage or Exact"},
		{"quota", header + "\n" + line(low, `,"quota":{"prohibitReceive":-1}`) + "\n", ":2: quota must not be negative"},
		{"alias", header + "\n" + line(low, `,"aliases":["x"]`) + "\n", ":2: aliases[0]: address must have the form"},
		{"alias order", header + "\n" + line(low, `,"aliases":["b@x","a@x"]`) + "\n", ":2: aliases[1]: aliases must be sorted"},
		{"long line", header + "\n" + line(low, `,"pad":"`+strings.Repeat("x", MaxLineOctets)+`"`) + "\n", ":2: the line has 65"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode(bucketOf(low)+".jsonl", []byte(test.text))
			if err == nil || !strings.Contains(err.Error(), bucketOf(low)+".jsonl"+test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

func TestDecodePassesOverUnknownFields(t *testing.T) {
	r := mailbox("alice@example.com")
	text := fmt.Sprintf(`{"version":1,"bucket":%q,"revision":5,"later":true}`+"\n"+
		`{"id":%q,"address":%q,"owner":"o","state":"Enabled","later":{}}`+"\n", bucketOf(r), r.ID, r.Address)
	if _, err := Decode(bucketOf(r)+".jsonl", []byte(text)); err != nil {
		t.Error(err)
	}
}

// FuzzDecode: whatever Decode takes, Encode gives back as a file with the same contents.
func FuzzDecode(f *testing.F) {
	records := neighbours(2)
	name := BucketFile(Bucket(records[0].ID))
	text, err := Encode(Header{Version, bucketOf(records[0]), 1}, records)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		contents, err := Decode(name, data)
		if err != nil {
			return
		}
		text, err := Encode(contents.Header, contents.Records)
		if err != nil {
			t.Fatalf("cannot encode what was decoded: %v", err)
		}
		again, err := Decode(name, text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(contents, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-first +again):\n%s", diff)
		}
	})
}
