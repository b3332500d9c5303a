package maildrop

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"math"
	"slices"
)

// The index is what load has found out, so that it need not be found out again: it can be removed at any time, and is
// believed only where it belongs to the journal. Its rows have one length, as a login may have to read very many of them; what
// only few messages have comes behind them. Numbers are little endian, texts and spans as in the journal:
//
//	u32 0x32494d50, u32 version of the journal, u8×16 its salt, u64 its generation, u64 up to where it was read,
//	u64 where the last record before that begins, u32 its checksum, u64 next unique-id, u8 warned, i64 time of making,
//	text owner, spans seen, spans reserved,
//	u32 messages, u32 how many of them were removed, those last,
//	for each message: u64 unique-id, i64 octets, i64 storage octets, i64 received, i64 offset, u32 length, u32 flags
//	for each that was removed: i64 time of it, u8 reason
//	u32 how many messages were imported with a unique-id, and for each: u32 its row, text unique-id
//	u32 how many were taken over from new/, and for each: u64 unique-id, u8×16 source
//	u32 CRC-32C of all that
const (
	indexMagic = 0x32494d50
	rowOctets  = 5*8 + 2*4
	// least* are what the other parts take for each.
	removedOctets = 8 + 1
	leastFormer   = 4 + 2
	sourceOctets  = 8 + 16
)

// errIndex says that an index cannot be used.
var errIndex = errors.New("not an index of this version, or damaged")

// encodeIndex gives the index of a state.
func encodeIndex(st *state) []byte {
	messages := append(slices.Clone(st.live), messagesOf(st.removed)...)
	dst := make([]byte, 0, 1024+rowOctets*len(messages)+removedOctets*len(st.removed)+16*(len(st.seen)+len(st.reserved)))
	dst = appendIndexHead(dst, st)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(messages)))   //nolint:gosec // the journal bounds it
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(st.removed))) //nolint:gosec // the same
	for _, m := range messages {
		dst = appendRow(dst, m)
	}
	for _, r := range st.removed {
		dst = append(appendTime(dst, r.at), r.reason)
	}
	dst = appendSources(appendFormers(dst, messages), st.sources)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

func appendIndexHead(dst []byte, st *state) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, indexMagic)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = append(dst, st.salt[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, st.generation)
	dst = binary.LittleEndian.AppendUint32(appendTime(appendTime(dst, st.end), st.last), st.lastSum)
	dst = binary.LittleEndian.AppendUint64(dst, st.nextUID)
	var warned byte
	if st.warned {
		warned = 1
	}
	dst = appendText(appendTime(append(dst, warned), st.made), st.owner)
	return appendSpans(appendSpans(dst, st.seen), st.reserved)
}

func appendRow(dst []byte, m Message) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, m.uid)
	for _, n := range []int64{m.Octets, m.StorageOctets, m.received, m.offset} {
		dst = appendTime(dst, n)
	}
	dst = binary.LittleEndian.AppendUint32(dst, m.length)
	return binary.LittleEndian.AppendUint32(dst, m.flags)
}

func appendFormers(dst []byte, messages []Message) []byte {
	count := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	n := uint32(0)
	for i, m := range messages {
		if m.former != "" {
			dst = appendText(binary.LittleEndian.AppendUint32(dst, uint32(i)), m.former)
			n++
		}
	}
	binary.LittleEndian.PutUint32(dst[count:], n)
	return dst
}

func appendSources(dst []byte, sources map[[16]byte]uint64) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(sources))) //nolint:gosec // the journal bounds it
	for _, source := range slices.SortedFunc(maps.Keys(sources), func(a, b [16]byte) int {
		return cmp.Compare(sources[a], sources[b])
	}) {
		dst = append(binary.LittleEndian.AppendUint64(dst, sources[source]), source[:]...)
	}
	return dst
}

func decodeIndex(data []byte) (*state, error) {
	const least = 4 + 4 + 4
	if len(data) < least {
		return nil, errIndex
	}
	body, sum := data[:len(data)-4], binary.LittleEndian.Uint32(data[len(data)-4:])
	f := &fields{data: body}
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, errIndex
	}
	st := f.indexHead()
	st.oldest = math.MaxInt64
	st.seen, st.reserved = f.spans(), f.spans()
	st.readMessages(f)
	if f.bad {
		return nil, errIndex
	}
	return st, nil
}

// indexHead reads an index up to the owner.
func (f *fields) indexHead() *state {
	f.bad = f.u32() != indexMagic || f.u32() != formatVersion
	st := &state{}
	copy(st.salt[:], f.take(16))
	st.generation, st.end, st.last, st.lastSum = f.u64(), f.i64(), f.i64(), f.u32()
	st.nextUID, st.warned = f.u64(), f.u8() != 0
	st.made, st.owner = f.i64(), f.text()
	return st
}

// readMessages reads the rows of an index, and all that is behind them.
func (st *state) readMessages(f *fields) {
	count, gone := int(f.u32()), int(f.u32())
	rows, ends := f.rows(count, rowOctets), f.rows(gone, removedOctets)
	if f.bad || gone > count {
		f.bad = true
		return
	}
	messages := make([]Message, count)
	for i := range messages {
		messages[i] = parseRow(rows[i*rowOctets:][:rowOctets])
	}
	f.formers(messages)
	st.live = messages[: count-gone : count-gone]
	for _, m := range st.live {
		st.count(m)
	}
	st.removed = make([]removed, gone)
	for i, m := range messages[count-gone:] {
		end := ends[i*removedOctets:][:removedOctets]
		st.removed[i] = removed{Message: m, at: int64(binary.LittleEndian.Uint64(end)), reason: end[8]} //nolint:gosec // as written
	}
	st.readSources(f)
}

// rows gives a number of rows that have one length.
func (f *fields) rows(count, octets int) []byte {
	if count > len(f.data)/octets {
		f.bad = true
		return nil
	}
	return f.take(count * octets)
}

func parseRow(row []byte) Message {
	number := func(i int) int64 { return int64(binary.LittleEndian.Uint64(row[8*i:])) } //nolint:gosec // two's complement
	return Message{
		uid: binary.LittleEndian.Uint64(row), Octets: number(1), StorageOctets: number(2), received: number(3), offset: number(4),
		length: binary.LittleEndian.Uint32(row[40:]), flags: binary.LittleEndian.Uint32(row[44:]),
	}
}

// formers gives messages the unique-ids that they were imported with.
func (f *fields) formers(messages []Message) {
	count := int(f.u32())
	f.bad = f.bad || count > len(f.data)/leastFormer
	for i := 0; i < count && !f.bad; i++ {
		row := f.u32()
		former := f.text()
		if int(row) >= len(messages) {
			f.bad = true
			return
		}
		messages[row].former = former
	}
}

func (st *state) readSources(f *fields) {
	count := int(f.u32())
	rows := f.rows(count, sourceOctets)
	for i := 0; i < count && !f.bad; i++ {
		row := rows[i*sourceOctets:]
		st.addSource(binary.LittleEndian.Uint64(row), [16]byte(row[8:24]))
	}
}
