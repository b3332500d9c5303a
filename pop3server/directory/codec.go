package directory

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxLineOctets is the longest line of a bucket file, without its LF.
const MaxLineOctets = 64 * 1024

// Contents is what a bucket file holds.
type Contents struct {
	Header  Header
	Records []Record // in ascending order of their IDs
}

// Encode gives the text of a bucket file. It sorts the records; equal arguments give equal text, and it gives none that
// Decode would refuse.
func Encode(header Header, records []Record) ([]byte, error) {
	sorted := slices.SortedFunc(slices.Values(records), func(a, b Record) int { return cmp.Compare(a.ID, b.ID) })
	var text bytes.Buffer
	encoder := json.NewEncoder(&text) // it ends each value with LF
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(header); err != nil {
		return nil, fmt.Errorf("encode bucket %s: %w", header.Bucket, err)
	}
	for i := range sorted {
		if err := encoder.Encode(&sorted[i]); err != nil {
			return nil, fmt.Errorf("encode bucket %s: mailbox %s: %w", header.Bucket, sorted[i].ID, err)
		}
	}
	if _, err := Decode(header.Bucket+".jsonl", text.Bytes()); err != nil {
		return nil, fmt.Errorf("encode bucket %s: %w", header.Bucket, err)
	}
	return text.Bytes(), nil
}

// Decode reads and checks a bucket file. name is the file's name, such as "2a.jsonl". JSON fields that it does not know are
// passed over, so that a newer writer may add some. Errors name file and line and never quote what stands there.
func Decode(name string, data []byte) (Contents, error) {
	d := decoder{bucket: strings.TrimSuffix(name, ".jsonl"), rest: data}
	contents, err := d.decode()
	if err != nil {
		return Contents{}, fmt.Errorf("%s:%d: %w", name, d.line, err)
	}
	return contents, nil
}

// decoder goes through a bucket file line by line.
type decoder struct {
	bucket string // the bucket that the file's name tells
	rest   []byte
	line   int // of the line last read, from 1
}

func (d *decoder) decode() (c Contents, err error) {
	if err := d.next(&c.Header); err != nil {
		return c, err
	}
	if err := c.Header.check(d.bucket); err != nil {
		return c, err
	}
	for previous := ""; len(d.rest) > 0; previous = c.Records[len(c.Records)-1].ID {
		var r Record
		if err := d.next(&r); err != nil {
			return c, err
		}
		if err := r.check(d.bucket, previous); err != nil {
			return c, err
		}
		c.Records = append(c.Records, r)
	}
	return c, nil
}

// next reads one line.
func (d *decoder) next(value any) error {
	d.line++
	line, rest, ended := bytes.Cut(d.rest, []byte("\n"))
	if !ended {
		return errors.New("the line is not ended by LF: the file was cut off")
	}
	if len(line) > MaxLineOctets {
		return fmt.Errorf("the line has %d octets, at most %d are allowed", len(line), MaxLineOctets)
	}
	d.rest = rest
	if err := json.Unmarshal(line, value); err != nil {
		return explain(err)
	}
	return nil
}

// explain tells where JSON is wrong, without the text itself: it may be a credential.
func explain(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not a JSON object: wrong at octet %d", syntax.Offset)
	}
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return fmt.Errorf("field %q must be of type %s", mistyped.Field, mistyped.Type)
	}
	return errors.New("not a JSON object")
}

func (h Header) check(bucket string) error {
	switch {
	case h.Version != Version:
		return fmt.Errorf("format version is %d, this program reads %d", h.Version, Version)
	case h.Bucket != bucket:
		return fmt.Errorf("bucket is %q, the file's name says %q", h.Bucket, bucket)
	case h.Revision <= 0:
		return fmt.Errorf("revision is %d, it must be above 0", h.Revision)
	}
	return nil
}

// check checks a record that stands in a bucket, after the record whose ID is previous.
func (r Record) check(bucket, previous string) error {
	if err := checkAddress(r.Address); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	switch {
	case r.ID != MailboxID(r.Address):
		return errors.New("id is not that of the address")
	case BucketName(Bucket(r.ID)) != bucket:
		return fmt.Errorf("the mailbox belongs into bucket %s", BucketName(Bucket(r.ID)))
	case r.ID == previous:
		return errors.New("the mailbox stands there twice")
	case r.ID < previous:
		return errors.New("the records are not in ascending order of their ids")
	case r.Owner == "":
		return errors.New("owner must be set")
	case r.State != Enabled && r.State != Disabled && r.State != Purged:
		return fmt.Errorf("state must be %s, %s or %s", Enabled, Disabled, Purged)
	case r.Size != "" && r.Size != "Storage" && r.Size != "Exact":
		return errors.New("size must be Storage or Exact")
	case r.Quota.IssueWarning < 0 || r.Quota.ProhibitReceive < 0:
		return errors.New("quota must not be negative")
	}
	return errors.Join(checkAddresses("aliases", r.Aliases), checkAddresses("delegates", r.Delegates))
}

func checkAddresses(field string, addresses []string) error {
	for i, address := range addresses {
		if err := checkAddress(address); err != nil {
			return fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		if i > 0 && address <= addresses[i-1] {
			return fmt.Errorf("%s[%d]: %s must be sorted, each one once", field, i, field)
		}
	}
	return nil
}

func checkAddress(address string) error {
	normal, err := Normalize(address)
	if err == nil && normal != address {
		err = errors.New("not in lower case, or with spaces around it")
	}
	return err
}
