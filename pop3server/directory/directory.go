package directory

// Directory is one version of the list of mailboxes. It never changes, so any number of goroutines may use it.
type Directory struct{}

// Lookup finds a mailbox by its address or one of its aliases, in upper or lower case. The caller must not change what
// the record's slices hold.
func (d *Directory) Lookup(name string) (Record, bool) { return Record{}, false }

// Len tells how many mailboxes there are.
func (d *Directory) Len() int { return 0 }

// Revisions gives the revision of each bucket that has a file, by the bucket's name ("00" to "3f").
func (d *Directory) Revisions() map[string]int64 { return nil }

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
func (p Problems) Refused() map[string]string { return nil }

// Load reads the folder. It always gives a directory: a bucket whose file cannot be used stays as it was in previous, which
// may be nil.
func Load(path string, previous *Directory) (*Directory, Problems) { return &Directory{}, nil }
