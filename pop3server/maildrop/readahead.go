package maildrop

import (
	"fmt"
	"sync"
)

// readAheadOctets is how much of a journal is read at one time where messages are fetched one after the other.
const readAheadOctets = 64 << 10

// readAheads are shared: a session holds one only while its client has commands waiting, so that an idle one costs nothing.
var readAheads = sync.Pool{New: func() any { return new([readAheadOctets]byte) }}

// readAhead reads records of a journal. Clients fetch messages in their order, and those stand side by side: where a record
// comes behind the last one, what follows is read with it.
type readAhead struct {
	octets *[readAheadOctets]byte // of readAheads; nil at rest
	at     int64                  // where they are from
	length int                    // how many of them there are
	next   int64                  // where the last record ended; 0 after a rest
}

// record gives a record, valid until the next call of any method; nil where it is too long to be held.
func (r *readAhead) record(j *journal, m Message) ([]byte, error) {
	if m.length > readAheadOctets {
		return nil, nil
	}
	skip := m.offset - r.at
	if skip < 0 || skip+int64(m.length) > int64(r.length) {
		if err := r.read(j, m); err != nil {
			return nil, err
		}
		skip = 0
	}
	r.next = m.offset + int64(m.length)
	return r.octets[skip : skip+int64(m.length)], nil
}

// read reads a record, and what comes behind it where the one before was asked for last.
func (r *readAhead) read(j *journal, m Message) error {
	if r.octets == nil {
		r.octets = readAheads.Get().(*[readAheadOctets]byte)
	}
	size := int(m.length)
	if gap := m.offset - r.next; r.next > 0 && gap >= 0 && gap <= readAheadOctets {
		size = readAheadOctets
	}
	n, err := j.file.ReadAt(r.octets[:size], m.offset)
	r.at, r.length = m.offset, n
	if n < int(m.length) {
		return fmt.Errorf("read journal: %w", err)
	}
	return nil
}

// rest gives the octets back.
func (r *readAhead) rest() {
	if r.octets != nil {
		readAheads.Put(r.octets)
	}
	*r = readAhead{}
}
