package maildrop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
)

// The index is what load has found out, so that it need not be found out again: it can be removed at any time, and is
// believed only where it belongs to the journal. It has the form of the journal's records, without bodies:
//
//	u32 0x31494d50, u32 version, u8×16 salt of the journal, u64 generation, u64 up to where the journal was read,
//	u64 where the last record before that begins, u32 its checksum, u64 next unique-id, u8 warned, i64 time of making,
//	text owner, spans seen, spans reserved, u32 messages, then each of them:
//	  u64 unique-id, i64 octets, i64 storage octets, i64 received, i64 offset, u32 length, u32 flags,
//	  u8 reason of its removal or 0, i64 time of it, text former unique-id, u8×16 source if it has one
//	u32 CRC-32C of all that
const indexMagic = 0x31494d50

// indexEvery is how much may be added to a journal before its index is worth being written.
const indexEvery = 256 << 10

// encodeIndex gives the index of a state.
func encodeIndex(st *state) []byte {
	sourceOf := make(map[uint64][16]byte, len(st.sources))
	for source, uid := range st.sources {
		sourceOf[uid] = source
	}
	dst := binary.LittleEndian.AppendUint32(nil, indexMagic)
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
	dst = appendSpans(appendSpans(dst, st.seen), st.reserved)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(st.live)+len(st.removed))) //nolint:gosec // the journal bounds it
	for _, m := range st.live {
		dst = appendRow(dst, removed{Message: m}, sourceOf)
	}
	for _, r := range st.removed {
		dst = appendRow(dst, r, sourceOf)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

func appendRow(dst []byte, r removed, sourceOf map[uint64][16]byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, r.uid)
	for _, n := range []int64{r.Octets, r.StorageOctets, r.received, r.offset} {
		dst = appendTime(dst, n)
	}
	dst = binary.LittleEndian.AppendUint32(dst, r.length)
	dst = binary.LittleEndian.AppendUint32(dst, r.flags)
	dst = appendText(appendTime(append(dst, r.reason), r.at), r.former)
	if r.flags&flagSource != 0 {
		source := sourceOf[r.uid]
		dst = append(dst, source[:]...)
	}
	return dst
}

// readIndex gives what an index says of a journal; nil where it is of no use.
func readIndex(path string, j *journal) *state {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	st, err := decodeIndex(data)
	if err != nil || !j.hasIndex(st) {
		return nil
	}
	return st
}

// hasIndex tells whether a state was made from this journal, as it is up to there. It may not be so any more: a journal that
// was copied back can be older than its index, and go on otherwise.
func (j *journal) hasIndex(st *state) bool {
	size, err := j.size()
	if err != nil || st.end > size || st.last < 0 {
		return false
	}
	s := &scanner{r: j.file, size: size, salt: st.salt}
	p, err := s.record(0)
	h, ok := p.record.(*headerRecord)
	if err != nil || !ok || h.salt != st.salt || h.generation != st.generation {
		return false
	}
	p, err = s.record(st.last)
	return err == nil && p.end() == st.end && p.sum == st.lastSum
}

// leastRow is what a message takes in an index at least.
const leastRow = 67

var errIndex = errors.New("not an index of this version, or damaged")

func decodeIndex(data []byte) (*state, error) {
	const least = 4 + 4 + 4
	if len(data) < least {
		return nil, errIndex
	}
	body, sum := data[:len(data)-4], binary.LittleEndian.Uint32(data[len(data)-4:])
	f := &fields{data: body}
	if crc32.Checksum(body, castagnoli) != sum || f.u32() != indexMagic || f.u32() != formatVersion {
		return nil, errIndex
	}
	st := &state{}
	copy(st.salt[:], f.take(16))
	st.generation, st.end, st.last, st.lastSum = f.u64(), f.i64(), f.i64(), f.u32()
	st.nextUID, st.warned = f.u64(), f.u8() != 0
	st.made, st.owner = f.i64(), f.text()
	st.seen, st.reserved = f.spans(), f.spans()
	st.oldest = math.MaxInt64
	count := f.u32()
	st.live = make([]Message, 0, min(int64(count), int64(len(data))/leastRow))
	for range count {
		st.addRow(f)
		if f.bad {
			return nil, errIndex
		}
	}
	return st, nil
}

func (st *state) addRow(f *fields) {
	r := removed{Message: Message{uid: f.u64(), Octets: f.i64(), StorageOctets: f.i64(), received: f.i64(), offset: f.i64(),
		length: f.u32(), flags: f.u32()}, reason: f.u8(), at: f.i64()}
	r.former = f.text()
	if r.flags&flagSource != 0 {
		st.addSource(r.uid, [16]byte(f.take(16)))
	}
	if r.reason != 0 {
		st.removed = append(st.removed, r)
		return
	}
	st.live = append(st.live, r.Message)
	st.count(r.Message)
}

// saveIndex writes the index, where there is much that it does not have. It need not survive a power loss.
func (b *box) saveIndex() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saveIndexLocked()
}

func (b *box) saveIndexLocked() {
	if b.st == nil || b.st.end-b.indexed < indexEvery || len(b.st.damage) > 0 {
		return
	}
	if err := b.writeIndex(); err != nil {
		b.store.log.Warn("index cannot be written: the maildrop will open slowly", "mailbox", b.id, "error", err)
		return
	}
	b.indexed = b.st.end
}

// writeIndex replaces the index. It must not know of more than what a power loss leaves of the journal: other records would
// come to stand there.
func (b *box) writeIndex() error {
	if err := b.journal.datasync(); err != nil {
		return err
	}
	next := b.path(fmt.Sprintf("index.%d", os.Getpid()))
	err := os.WriteFile(next, encodeIndex(b.st), fileMode)
	if err == nil {
		err = os.Rename(next, b.path("index"))
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}
