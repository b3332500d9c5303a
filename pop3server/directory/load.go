package directory

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Problem is something in the folder that could not be used.
type Problem struct {
	// Bucket is the bucket's name; empty when the folder itself could not be read.
	Bucket string
	// Refused says that the file was not taken over and the version before it, if any, is still served.
	// Otherwise only the one thing that Err names was left out.
	Refused bool
	Err     error
}

// Problems are all that Load found, in the order of the buckets.
type Problems []Problem

// Refused says, by bucket, why a file was refused.
func (p Problems) Refused() map[string]string {
	refused := make(map[string]string)
	for _, problem := range p {
		if problem.Refused {
			refused[problem.Bucket] = problem.Err.Error()
		}
	}
	return refused
}

// bucket is a bucket file that was taken over.
type bucket struct {
	sum      [sha256.Size]byte // of the file
	header   Header
	records  []Record
	problems Problems // credentials that were left out
}

// Load reads the folder. It always gives a directory: a bucket whose file cannot be used stays as it was in previous, which
// may be nil; the same is true of all buckets when the folder cannot be read. Files that did not change are not parsed again.
func Load(path string, previous *Directory) (*Directory, Problems) {
	if previous == nil {
		previous = &Directory{}
	}
	if _, err := os.ReadDir(path); err != nil {
		return previous, Problems{{Refused: true, Err: fmt.Errorf("read directory: %w", err)}}
	}
	d := &Directory{}
	problems := d.loadSettled(path, previous)
	problems = append(problems, d.index()...)
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Bucket, b.Bucket) })
	return d, problems
}

// loadSettled reads the buckets once more if the kubelet replaced the volume meanwhile: a file may be missing from the folder
// that it took away.
func (d *Directory) loadSettled(path string, previous *Directory) Problems {
	const attempts = 3
	var problems Problems
	for range attempts {
		before, _ := os.Readlink(filepath.Join(path, "..data"))
		problems = d.loadBuckets(path, previous)
		if after, _ := os.Readlink(filepath.Join(path, "..data")); after == before {
			break
		}
	}
	return problems
}

func (d *Directory) loadBuckets(path string, previous *Directory) Problems {
	var problems Problems
	for i := range d.buckets {
		b, err := loadBucket(path, i, previous.buckets[i])
		if err != nil {
			problems = append(problems, Problem{Bucket: BucketName(i), Refused: true, Err: err})
			b = previous.buckets[i]
		}
		if b != nil {
			problems = append(problems, b.problems...)
		}
		d.buckets[i] = b
	}
	return problems
}

// loadBucket reads one bucket; nil when it has no file.
func loadBucket(path string, number int, previous *bucket) (*bucket, error) {
	name := BucketFile(number)
	data, err := os.ReadFile(filepath.Join(path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read bucket: %w", err)
	}
	sum := sha256.Sum256(data)
	if previous != nil && previous.sum == sum {
		return previous, nil
	}
	contents, err := Decode(name, data)
	if err != nil {
		return nil, err
	}
	b := &bucket{sum: sum, header: contents.Header, records: contents.Records}
	b.dropCredentials(name)
	return b, nil
}

// dropCredentials takes away the credentials that nobody could log in with; their mailboxes still get mail.
func (b *bucket) dropCredentials(name string) {
	for i := range b.records {
		b.records[i].Credentials = slices.DeleteFunc(b.records[i].Credentials, func(c Credential) bool {
			err := c.check()
			if err != nil {
				line := i + 2 // counted from 1, after the header
				b.problems = append(b.problems, Problem{
					Bucket: b.header.Bucket,
					Err:    fmt.Errorf("%s:%d: credential %q is left out: %w", name, line, c.Name, err),
				})
			}
			return err != nil
		})
	}
}
