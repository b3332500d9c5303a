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

// indexHeadOctets is more than the beginning of an index has, unless its owner's name is very long.
const indexHeadOctets = 4 << 10

// peekIndex reads the beginning of an index, which is not checked as a whole; nil where there is none.
func peekIndex(path string) *state {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }()
	var head [indexHeadOctets]byte
	n, err := io.ReadFull(file, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	f := &fields{data: head[:n]}
	if st := f.indexHead(); !f.bad {
		return st
	}
	return nil
}
