package maildrop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Owner tells who owns a maildrop, empty if nobody does, without reading all that is in it. Where the journal is damaged, it
// may be mistaken, unlike Open.
func (s *JournalStore) Owner(ctx context.Context, id string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	b, done, err := s.use(id)
	if err != nil {
		return "", err
	}
	defer done()
	b.mu.Lock()
	defer b.mu.Unlock()
	var owner string
	if b.st == nil {
		owner, err = b.peekOwner()
	} else if err = b.refresh(); b.st != nil {
		owner = b.st.owner
	}
	if err != nil {
		return "", fmt.Errorf("maildrop %s: %w", id, err)
	}
	return owner, nil
}

// peekOwner reads the header and, behind what the index has, the records of who has taken the maildrop over since.
func (b *box) peekOwner() (owner string, err error) {
	j, err := openJournal(b.path("journal"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer j.release()
	size, err := j.size()
	if err != nil {
		return "", err
	}
	st := peekIndex(b.path("index"))
	if st == nil || !j.hasIndex(st) {
		st = &state{}
	}
	owner = st.owner
	s := &scanner{r: j.file, size: size, salt: st.salt}
	_, _, err = s.scan(st.end, func(p placed) error {
		switch r := p.record.(type) {
		case *headerRecord:
			s.salt, owner = r.salt, r.owner
		case *ownerRecord:
			owner = r.owner
		}
		return nil
	})
	return owner, err
}

// indexPeekOctets is as much of an index as is looked at for its owner, whose name seldom is long.
const indexPeekOctets = 1 << 10

// peekIndex reads the beginning of an index, which is not checked as a whole; nil where there is none.
func peekIndex(path string) *state {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	head, err := io.ReadAll(io.LimitReader(file, indexPeekOctets))
	if err != nil {
		return nil
	}
	f := &fields{data: head}
	if st := f.indexHead(); !f.bad {
		return st
	}
	return nil
}
