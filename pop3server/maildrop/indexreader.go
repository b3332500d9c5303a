package maildrop

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// errIndex says that an index cannot be used.
var errIndex = errors.New("not an index of this version, or damaged")

// indexReader reads an index part by part: as a whole it would take almost as much memory as the messages do. What it has read
// is right only if the checksum at the end is.
type indexReader struct {
	fields // what was read and has not been used
	in     io.Reader
	left   int64 // octets that have not been read, but for the checksum
	sum    uint32
	buffer []byte
}

const checksumOctets = 4

// decodeIndex reads an index that has so many octets.
func decodeIndex(in io.Reader, size int64) (*state, error) {
	r := &indexReader{in: in, left: size - checksumOctets}
	if r.left < 0 {
		return nil, errIndex
	}
	r.buffer = make([]byte, min(r.left, 128<<10))
	r.need(indexHeadOctets)
	st := r.indexHead()
	st.oldest = math.MaxInt64
	st.seen, st.reserved = r.spans(), r.spans()
	r.messages(st)
	if r.bad || !r.ends() || !st.isSound() {
		return nil, errIndex
	}
	return st, nil
}

// isSound tells whether the rows can be those of a journal that is as long.
func (st *state) isSound() bool {
	last := uint64(0)
	for _, m := range st.live {
		if m.uid <= last || !st.couldHave(m) {
			return false
		}
		last = m.uid
	}
	return !slices.ContainsFunc(st.removed, func(r removed) bool {
		_, live := st.find(r.uid)
		return live || !st.couldHave(r.Message)
	})
}

// couldHave tells whether a message can stand in the journal where its row says.
func (st *state) couldHave(m Message) bool {
	return m.uid > 0 && m.uid < st.nextUID && m.Octets >= 0 && m.StorageOctets >= 0 && m.length >= prefixOctets &&
		m.length <= maxHeadOctets+maxInlineOctets+recordAlign && m.offset >= 0 && m.offset <= st.end-int64(m.length)
}

// indexHeadOctets is more than an index has up to the owner, and with it.
const indexHeadOctets = 128 + math.MaxUint16

// indexHead reads an index up to the owner, which has a checksum of its own.
func (f *fields) indexHead() *state {
	whole := f.data
	f.bad = f.u32() != indexMagic || f.u32() != formatVersion
	st := &state{}
	copy(st.salt[:], f.take(16))
	st.generation, st.end, st.last, st.lastSum = f.u64(), f.i64(), f.i64(), f.u32()
	st.nextUID, st.warned = f.u64(), f.u8() != 0
	st.made, st.owner = f.i64(), f.text()
	sum := crc32.Checksum(whole[:len(whole)-len(f.data)], castagnoli)
	f.bad = f.bad || f.u32() != sum || st.last < 0 || st.last >= st.end
	return st
}

// need sees to it that n octets can be used, or all that there are.
func (r *indexReader) need(n int) {
	kept := r.data
	n = int(min(int64(n), int64(len(kept))+r.left))
	if n <= len(kept) || r.bad {
		return
	}
	if len(r.buffer) < n {
		r.buffer = make([]byte, n)
	}
	at := copy(r.buffer, kept)
	fresh := r.buffer[at:min(int64(len(r.buffer)), int64(at)+r.left)]
	if _, err := io.ReadFull(r.in, fresh); err != nil {
		r.bad, r.data = true, nil
		return
	}
	r.left -= int64(len(fresh))
	r.sum = crc32.Update(r.sum, castagnoli, fresh)
	r.data = r.buffer[:at+len(fresh)]
}

// ends tells whether all was used, and is right.
func (r *indexReader) ends() bool {
	var sum [checksumOctets]byte
	_, err := io.ReadFull(r.in, sum[:])
	return err == nil && r.left == 0 && len(r.data) == 0 && binary.LittleEndian.Uint32(sum[:]) == r.sum
}

// count reads how many rows there are of a length, or of that length at least.
func (r *indexReader) count(octets int) int {
	r.need(4)
	n := int(r.u32())
	if int64(n) > (int64(len(r.data))+r.left)/int64(octets) {
		r.bad = true
		return 0
	}
	return n
}

func (r *indexReader) spans() uidSet {
	r.need(4)
	if len(r.data) >= 4 {
		count := int64(binary.LittleEndian.Uint32(r.data))
		r.need(int(4 + 16*count))
	}
	return r.fields.spans()
}

// messages reads the rows, and all that is behind them.
func (r *indexReader) messages(st *state) {
	count := r.count(rowOctets)
	gone := r.count(1)
	if r.bad || gone > count {
		r.bad = true
		return
	}
	st.live, st.removed = make([]Message, count-gone), make([]removed, gone)
	r.each(count-gone, rowOctets, func(i int, row []byte) {
		st.live[i] = parseRow(row)
		st.count(st.live[i])
	})
	r.each(gone, rowOctets, func(i int, row []byte) { st.removed[i].Message = parseRow(row) })
	r.each(gone, removedOctets, func(i int, row []byte) {
		st.removed[i].at, st.removed[i].reason = int64(binary.LittleEndian.Uint64(row)), row[8] //nolint:gosec // two's complement
	})
	r.formers(st)
	r.each(r.count(sourceOctets), sourceOctets, func(_ int, row []byte) {
		st.addSource(binary.LittleEndian.Uint64(row), [16]byte(row[8:]))
	})
}

// each visits rows that have one length.
func (r *indexReader) each(count, octets int, visit func(i int, row []byte)) {
	for i := 0; i < count && !r.bad; {
		r.need(octets)
		n := min(count-i, len(r.data)/octets)
		r.bad = r.bad || n == 0
		for row := range slices.Chunk(r.take(n*octets), octets) {
			visit(i, row)
			i++
		}
	}
}

func parseRow(row []byte) Message {
	number := func(i int) int64 { return int64(binary.LittleEndian.Uint64(row[8*i:])) } //nolint:gosec // two's complement
	return Message{
		uid: binary.LittleEndian.Uint64(row), Octets: number(1), StorageOctets: number(2), received: number(3), offset: number(4),
		length: binary.LittleEndian.Uint32(row[40:]), flags: binary.LittleEndian.Uint32(row[44:]),
	}
}

// formers gives messages the unique-ids that they were imported with.
func (r *indexReader) formers(st *state) {
	for range r.count(maxFormerRow - maxFormer) {
		r.need(maxFormerRow)
		row, former := int(r.u32()), r.text()
		switch live := len(st.live); {
		case r.bad:
			return
		case row < live:
			st.live[row].former = former
		case row < live+len(st.removed):
			st.removed[row-live].former = former
		default:
			r.bad = true
		}
	}
}
