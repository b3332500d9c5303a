package maildrop

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"
)

// The index is what load has found out, so that it need not be found out again: it can be removed at any time, and is
// believed only where it belongs to the journal. Its rows have one length, as a login may have to read very many of them; what
// only few messages have comes behind them. Numbers are little endian, texts and spans as in the journal:
//
//	u32 0x32494d50, u32 version of the journal, u8×16 its salt, u64 its generation, u64 up to where it was read,
//	u64 where the last record before that begins, u32 its checksum, u64 next unique-id, u8 warned, i64 time of making,
//	text owner, u32 CRC-32C of all that,
//	spans seen, spans reserved,
//	u32 messages, u32 how many of them were removed, those last,
//	for each message: u64 unique-id, i64 octets, i64 storage octets, i64 received, i64 offset, u32 length, u32 flags
//	for each that was removed: i64 time of it, u8 reason
//	u32 how many messages were imported with a unique-id, and for each: u32 its row, text unique-id
//	u32 how many were taken over from new/, and for each: u64 unique-id, u8×16 source
//	u32 CRC-32C of the whole
const (
	indexMagic = 0x32494d50
	// How much each row of a part takes.
	rowOctets     = 5*8 + 2*4
	removedOctets = 8 + 1
	maxFormerRow  = 4 + 2 + maxFormer
	sourceOctets  = 8 + 16
)

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
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
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
