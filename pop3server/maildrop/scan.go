package maildrop

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

const scanWindow = 64 << 10

// scanner reads records of a journal. Bodies are passed over unless the record is the last one.
type scanner struct {
	r    io.ReaderAt
	size int64 // of the journal
	salt [16]byte

	window   []byte
	windowAt int64
}

// placed is a record and where it stands.
type placed struct {
	record
	offset int64
	length uint32
	head   uint32
	sum    uint32 // its checksum
}

func (p placed) end() int64 { return p.offset + int64(p.length) }

// Damage is a part of a journal in which no record can be read.
type Damage struct{ From, To int64 }

// scan gives each record from an offset on to visit. It tells where the last one ends, and which parts it has passed over; an
// error is one of reading, or visit's.
func (s *scanner) scan(from int64, visit func(placed) error) (end int64, damage []Damage, err error) {
	for at := from; ; {
		p, err := s.record(at)
		if errors.Is(err, errRecord) {
			next, err := s.search(at + recordAlign)
			if errors.Is(err, io.EOF) {
				return at, damage, nil // the rest is a record that was being written
			}
			if err != nil {
				return at, damage, err
			}
			damage = append(damage, Damage{at, next})
			at = next
			continue
		}
		if err != nil {
			return at, damage, err
		}
		if err := visit(p); err != nil {
			return at, damage, err
		}
		at = p.end()
	}
}

// search gives the first place from an offset on at which there is a record, or io.EOF.
func (s *scanner) search(from int64) (int64, error) {
	for at := from; at+prefixOctets <= s.size; at += recordAlign {
		data, err := s.read(at, prefixOctets)
		if err != nil {
			return 0, err
		}
		if binary.LittleEndian.Uint32(data) != recordMagic {
			continue
		}
		if _, err := s.record(at); !errors.Is(err, errRecord) {
			return at, err
		}
	}
	return 0, io.EOF
}

// record reads the record at an offset; its error is errRecord if there is none, also at the journal's end.
func (s *scanner) record(at int64) (placed, error) {
	if at > s.size-prefixOctets {
		return placed{}, errRecord
	}
	data, err := s.read(at, prefixOctets)
	if err != nil {
		return placed{}, err
	}
	p, err := parsePrefix(data)
	if err != nil || at+int64(p.length) > s.size {
		return placed{}, errRecord
	}
	if data, err = s.read(at, int(p.head)); err != nil {
		return placed{}, err
	}
	r, err := parseHead(data, seal{s.salt, at})
	if err != nil {
		return placed{}, err
	}
	found := placed{record: r, offset: at, length: p.length, head: p.head, sum: binary.LittleEndian.Uint32(data[16:])}
	if m, ok := r.(*messageRecord); ok && found.end() == s.size {
		err = s.checkBody(found, m)
	}
	return found, err
}

// checkBody checks the body of the last record. A power loss may have left its head and not its body; all others were synced.
func (s *scanner) checkBody(p placed, m *messageRecord) error {
	body, err := s.read(p.offset+int64(p.head), int(m.inline))
	if err == nil && crc32.Checksum(body, castagnoli) != m.inlineCRC {
		return errRecord
	}
	return err
}

// read gives octets that are within the journal, valid until the next read.
func (s *scanner) read(at int64, n int) ([]byte, error) {
	if skip := at - s.windowAt; skip >= 0 && skip+int64(n) <= int64(len(s.window)) {
		return s.window[skip : skip+int64(n)], nil
	}
	size := int(min(max(int64(n), scanWindow), s.size-at))
	if cap(s.window) < size {
		// Few times, whatever lengths what is no record has.
		s.window = make([]byte, size, max(size, min(2*cap(s.window), maxHeadOctets)))
	}
	s.window, s.windowAt = s.window[:size], at
	got, err := s.r.ReadAt(s.window, at)
	if got < size {
		s.window = s.window[:0]
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return s.window[:n], nil
}
