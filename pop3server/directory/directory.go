package directory

import (
	"fmt"
	"strings"
)

// Directory is one version of the list of mailboxes. It never changes, so any number of goroutines may use it.
type Directory struct {
	buckets    [Buckets]*bucket // nil where there is no file
	names      map[string]*Record
	principals map[Principal]*Record
	len        int
}

// Lookup finds a mailbox by its address or one of its aliases, in upper or lower case. The caller must not change what
// the record's slices hold.
//
// Where a name is an address of one mailbox and an alias of another, the former has it; where it is an alias of two, the one
// with the lower ID has it.
func (d *Directory) Lookup(name string) (Record, bool) {
	r, ok := d.names[strings.ToLower(name)]
	if !ok {
		return Record{}, false
	}
	return *r, true
}

// LookupPrincipal finds the mailbox that names a principal among its credentials. Names are compared as the authority writes
// them. Of two mailboxes that name one principal, neither is found: nobody is let into a mailbox by mistake.
func (d *Directory) LookupPrincipal(p Principal) (Record, bool) {
	r := d.principals[p]
	if r == nil {
		return Record{}, false
	}
	return *r, true
}

// Purged gives the mailboxes that are no more and whose mail is to be removed.
func (d *Directory) Purged() []Record {
	var purged []Record
	d.each(func(r *Record) {
		if r.State == Purged {
			purged = append(purged, *r)
		}
	})
	return purged
}

// ChangedSince gives the records that have changed since another version, as far as that had their buckets.
func (d *Directory) ChangedSince(last *Directory) []Record {
	known := last.Revisions()
	var changed []Record
	d.each(func(r *Record) {
		if revision, ok := known[BucketName(Bucket(r.ID))]; ok && r.Since > revision {
			changed = append(changed, *r)
		}
	})
	return changed
}

// Len tells how many mailboxes there are.
func (d *Directory) Len() int { return d.len }

// Revisions gives the revision of each bucket that has a file, by the bucket's name ("00" to "3f").
func (d *Directory) Revisions() map[string]int64 {
	revisions := make(map[string]int64, Buckets)
	for _, b := range d.buckets {
		if b != nil {
			revisions[b.header.Bucket] = b.header.Revision
		}
	}
	return revisions
}

// index fills the names and tells of aliases that are taken already.
func (d *Directory) index() Problems {
	d.names = make(map[string]*Record)
	d.each(func(r *Record) { d.names[r.Address] = r })
	d.len = len(d.names)
	problems := d.indexPrincipals()
	d.each(func(r *Record) {
		for _, alias := range r.Aliases {
			if p := d.addAlias(alias, r); p != nil {
				problems = append(problems, *p)
			}
		}
	})
	return problems
}

// indexPrincipals tells of principals that several mailboxes name.
func (d *Directory) indexPrincipals() Problems {
	d.principals = make(map[Principal]*Record)
	var problems Problems
	d.each(func(r *Record) {
		for _, c := range r.Credentials {
			if c.Principal == (Principal{}) {
				continue
			}
			other, taken := d.principals[c.Principal]
			if !taken {
				d.principals[c.Principal] = r
			} else if other != r {
				d.principals[c.Principal] = nil
				problems = append(problems, Problem{Bucket: BucketName(Bucket(r.ID)), Err: fmt.Errorf(
					"mailbox %s: credential %q names a principal that another mailbox names too: it opens neither", r.Address, c.Name)})
			}
		}
	})
	return problems
}

func (d *Directory) each(visit func(*Record)) {
	for _, b := range d.buckets {
		if b == nil {
			continue
		}
		for i := range b.records {
			visit(&b.records[i])
		}
	}
}

func (d *Directory) addAlias(alias string, r *Record) *Problem {
	winner, loser := r, d.names[alias]
	switch {
	case loser == nil:
		d.names[alias] = r
		return nil
	case loser == r: // the mailbox names its own address once more
		return nil
	case loser.Address == alias || loser.ID < r.ID:
		winner, loser = loser, r
	}
	d.names[alias] = winner
	return &Problem{
		Bucket: BucketName(Bucket(loser.ID)),
		Err:    fmt.Errorf("alias %s of mailbox %s belongs to mailbox %s", alias, loser.Address, winner.Address),
	}
}
