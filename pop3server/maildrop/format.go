package maildrop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// Format of a maildrop, version 1.
//
//	<root>/tmp/spool-…              bodies on their way in
//	<root>/<first 2 of id>/<id>/    a maildrop
//	    lock                        flock: exclusive to write, shared to read what others have just written; never replaced
//	    journal                     all that is known of the maildrop
//	    index                       what has been read from the journal up to some place; may be missing, or old
//	    b/<32 hex digits>           bodies that are too large for the journal, one file each, which never changes
//	    new/                        where other delivery agents may put messages (a Maildir's); each is taken over once
//
// The journal is a sequence of records. It only grows; when too much of it is of no use any more, a new one, of the next
// generation, takes its place by rename. Numbers are little-endian; texts have their length in front. A record begins at a
// multiple of 8 and is a multiple of 8 long:
//
//	 0  u32  0x31444d50
//	 4  u8   kind
//	 5  u8×3 0
//	 8  u32  octets of the record
//	12  u32  octets of its head: this and its fields
//	16  u32  CRC-32C of the journal's salt, the record's offset (u64), and the head but for this field
//	20  u32  0
//	24       fields
//	         body (kind M), zeros
//
// The salt is random and stands in the journal's first record, which alone is checksummed with a salt of zeros. So nobody who
// sends a message can put into it what could be taken for a record, should a damaged journal have to be searched for the next
// good one.
//
//	H  first record, and once more behind it, should the first one be damaged: u32 version, u64 generation, u8×16 salt,
//	   u64 next unique-id, u8 flags (1: the user has been warned of the quota), i64 time of the maildrop's making, text owner
//	M  message: u64 unique-id (at most 2^64-2^32), i64 time of delivery, i64 octets, u32 octets in the record, u32 their
//	   CRC-32C, u32 CRC-32C of those in the file, u32 flags (1: the rest is in a file, 2: it has a source, 4: a line begins
//	   with a dot, 8: it has been read, 16: it is a warning of the quota), u8×16 name of the file, u8×16 source, text former
//	   unique-id
//	D  removal: u8 reason (1 QUIT, 2 retention, 3 administration), i64 time, spans
//	U  removals taken back: spans
//	S  read marks: spans
//	O  owner: text
//	N  next unique-id: u64
//	R  numbers that this store never gives, and imported messages may have: spans
//
// Spans are a u32 count, and for each a u64 first unique-id and a u64 count. Times are seconds since 1970. A unique-id is the
// former one, kept from the server that the message was imported from, or else the number in decimal. The next unique-id is
// above that of H, those of all M, and that of each N.
//
// What counts is up to the last record whose head is right, and whose body is if it is the very last. What follows was being
// written when its writer was killed; the next writer cuts it off. A damaged record in the midst is passed over.
const (
	formatVersion = 1
	recordMagic   = 0x31444d50
	recordAlign   = 8
	prefixOctets  = 24
	// maxHeadOctets bounds what a reader believes of a length: 128 Ki spans, which 256 Ki messages in the worst order have.
	maxHeadOctets = 2 << 20
	// maxSpans is how many a record has at most, beside its other fields.
	maxSpans = (maxHeadOctets - 64) / 16
	// inlineOctets is the largest body that stands in the journal itself.
	inlineOctets = 128 << 10
	// maxInlineOctets bounds what a reader believes: trace fields come on top.
	maxInlineOctets = 1 << 20
	// maxNextUID is how far the next unique-id can be raised by hand, so that the numbers do not come to an end.
	maxNextUID = 1 << 63
	// maxUID is the highest number that a reader believes: above it there would be none left for later messages.
	maxUID = math.MaxUint64 - 1<<32
	// maxFormer is the length of the longest unique-id (RFC 1939 §7).
	maxFormer = 70
)

type kind byte

const (
	kindHeader   kind = 'H'
	kindMessage  kind = 'M'
	kindRemove   kind = 'D'
	kindRestore  kind = 'U'
	kindSeen     kind = 'S'
	kindOwner    kind = 'O'
	kindNextUID  kind = 'N'
	kindReserve  kind = 'R'
	headerWarned      = 1
)

// Flags of a message.
const (
	flagFile uint32 = 1 << iota
	flagSource
	flagDots
	flagSeen
	flagWarning
)

// Reasons of a removal.
const (
	reasonQuit uint8 = 1 + iota
	reasonRetention
	reasonAdministration
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal is what a record's checksum rests on beside the record.
type seal struct {
	salt   [16]byte
	offset int64
}

func (s seal) sum(head []byte) uint32 {
	var place [24]byte
	copy(place[:], s.salt[:])
	binary.LittleEndian.PutUint64(place[16:], uint64(s.offset)) //nolint:gosec // an offset is not negative
	sum := crc32.Update(0, castagnoli, place[:])
	sum = crc32.Update(sum, castagnoli, head[:16])
	return crc32.Update(sum, castagnoli, head[20:])
}

// record is one of the kinds below. appendFields puts its fields behind what is there; the body comes behind them.
type record interface {
	kind() kind
	appendFields(dst []byte) []byte
}

type headerRecord struct {
	version    uint32
	generation uint64
	salt       [16]byte
	nextUID    uint64
	warned     bool
	made       int64
	owner      string
}

type messageRecord struct {
	uid       uint64
	received  int64
	octets    int64
	inline    uint32
	inlineCRC uint32
	fileCRC   uint32
	flags     uint32
	file      [16]byte
	source    [16]byte
	former    string
}

type removeRecord struct {
	reason uint8
	at     int64
	uids   uidSet
}

type restoreRecord struct{ uids uidSet }

type seenRecord struct{ uids uidSet }

type ownerRecord struct{ owner string }

type nextUIDRecord struct{ next uint64 }

type reserveRecord struct{ uids uidSet }

func (*headerRecord) kind() kind  { return kindHeader }
func (*messageRecord) kind() kind { return kindMessage }
func (*removeRecord) kind() kind  { return kindRemove }
func (*restoreRecord) kind() kind { return kindRestore }
func (*seenRecord) kind() kind    { return kindSeen }
func (*ownerRecord) kind() kind   { return kindOwner }
func (*nextUIDRecord) kind() kind { return kindNextUID }
func (*reserveRecord) kind() kind { return kindReserve }

func (r *headerRecord) appendFields(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, r.version)
	dst = binary.LittleEndian.AppendUint64(dst, r.generation)
	dst = append(dst, r.salt[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, r.nextUID)
	var flags byte
	if r.warned {
		flags = headerWarned
	}
	dst = append(dst, flags)
	return appendText(appendTime(dst, r.made), r.owner)
}

func (r *messageRecord) appendFields(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, r.uid)
	dst = appendTime(appendTime(dst, r.received), r.octets)
	for _, n := range []uint32{r.inline, r.inlineCRC, r.fileCRC, r.flags} {
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	dst = append(append(dst, r.file[:]...), r.source[:]...)
	return appendText(dst, r.former)
}

func (r *removeRecord) appendFields(dst []byte) []byte {
	return appendSpans(appendTime(append(dst, r.reason), r.at), r.uids)
}

func (r *restoreRecord) appendFields(dst []byte) []byte { return appendSpans(dst, r.uids) }

func (r *seenRecord) appendFields(dst []byte) []byte { return appendSpans(dst, r.uids) }

func (r *ownerRecord) appendFields(dst []byte) []byte { return appendText(dst, r.owner) }

func (r *nextUIDRecord) appendFields(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, r.next)
}

func (r *reserveRecord) appendFields(dst []byte) []byte { return appendSpans(dst, r.uids) }

func appendTime(dst []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(n)) //nolint:gosec // two's complement
}

func appendText(dst []byte, text string) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(text))) //nolint:gosec // checked where texts come in
	return append(dst, text...)
}

func appendSpans(dst []byte, uids uidSet) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(uids))) //nolint:gosec // bounded by maxHeadOctets
	for _, sp := range uids {
		dst = binary.LittleEndian.AppendUint64(dst, sp.first)
		dst = binary.LittleEndian.AppendUint64(dst, sp.count)
	}
	return dst
}

// appendRecord puts a record and its body behind what is there. dst begins at the offset base of the journal.
func appendRecord(dst []byte, salt [16]byte, base int64, r record, body ...[]byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, prefixOctets)...)
	dst = r.appendFields(dst)
	head := len(dst) - start
	for _, part := range body {
		dst = append(dst, part...)
	}
	dst = append(dst, make([]byte, -(len(dst)-start)&(recordAlign-1))...)
	rec := dst[start:]
	binary.LittleEndian.PutUint32(rec, recordMagic)
	rec[4] = byte(r.kind())
	binary.LittleEndian.PutUint32(rec[8:], uint32(len(rec))) //nolint:gosec // bounded by maxInlineOctets
	binary.LittleEndian.PutUint32(rec[12:], uint32(head))    //nolint:gosec // bounded by maxHeadOctets
	if r.kind() == kindHeader {
		salt = [16]byte{}
	}
	binary.LittleEndian.PutUint32(rec[16:], seal{salt, base + int64(start)}.sum(rec[:head]))
	return dst
}

// errRecord says that what stands at a place is no record.
var errRecord = errors.New("no record")

// prefix is what stands in front of each record.
type prefix struct {
	kind         kind
	length, head uint32
}

// parsePrefix reads the first octets of a record; it does not believe them beyond what makes sense.
func parsePrefix(data []byte) (prefix, error) {
	if len(data) < prefixOctets || binary.LittleEndian.Uint32(data) != recordMagic {
		return prefix{}, errRecord
	}
	p := prefix{kind: kind(data[4]), length: binary.LittleEndian.Uint32(data[8:]), head: binary.LittleEndian.Uint32(data[12:])}
	switch {
	case p.head < prefixOctets, p.head > maxHeadOctets, p.length < p.head, p.length%recordAlign != 0,
		p.length > p.head+maxInlineOctets+recordAlign:
		return prefix{}, errRecord
	}
	return p, nil
}

// parseHead reads the head of a record, whose octets are all there.
func parseHead(data []byte, at seal) (record, error) {
	p, err := parsePrefix(data)
	if err != nil {
		return nil, err
	}
	if int64(p.head) > int64(len(data)) { // damaged since its length was taken down
		return nil, errRecord
	}
	if p.kind == kindHeader {
		at.salt = [16]byte{}
	}
	head := data[:p.head]
	if binary.LittleEndian.Uint32(data[16:]) != at.sum(head) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errRecord)
	}
	f := &fields{data: head[prefixOctets:]}
	r := f.record(p.kind)
	if m, ok := r.(*messageRecord); ok && int64(m.inline) > int64(p.length)-int64(p.head) {
		f.bad = true
	}
	if f.bad || r == nil {
		return nil, fmt.Errorf("%w: kind %q of a newer version, or damaged", errRecord, p.kind)
	}
	return r, nil
}

// fields reads fields one after the other. Reading beyond the end makes it bad.
type fields struct {
	data []byte
	bad  bool
}

func (f *fields) record(k kind) record {
	switch k {
	case kindHeader:
		return f.header()
	case kindMessage:
		return f.message()
	case kindRemove:
		return &removeRecord{reason: f.u8(), at: f.i64(), uids: f.spans()}
	case kindRestore:
		return &restoreRecord{uids: f.spans()}
	case kindSeen:
		return &seenRecord{uids: f.spans()}
	case kindOwner:
		return &ownerRecord{owner: f.text()}
	case kindNextUID:
		return f.next()
	case kindReserve:
		return &reserveRecord{uids: f.spans()}
	}
	return nil
}

func (f *fields) header() record {
	r := &headerRecord{version: f.u32(), generation: f.u64()}
	copy(r.salt[:], f.take(16))
	r.nextUID = f.u64()
	f.bad = f.bad || r.nextUID > maxUID
	r.warned = f.u8()&headerWarned != 0
	r.made, r.owner = f.i64(), f.text()
	return r
}

func (f *fields) next() record {
	r := &nextUIDRecord{next: f.u64()}
	f.bad = f.bad || r.next > maxUID
	return r
}

func (f *fields) message() record {
	r := &messageRecord{uid: f.u64(), received: f.i64(), octets: f.i64(), inline: f.u32(), inlineCRC: f.u32(), fileCRC: f.u32(),
		flags: f.u32()}
	copy(r.file[:], f.take(16))
	copy(r.source[:], f.take(16))
	r.former = f.text()
	f.bad = f.bad || r.octets < int64(r.inline) || r.flags&flagFile == 0 && r.octets != int64(r.inline) ||
		r.uid > maxUID
	return r
}

func (f *fields) take(n int) []byte {
	if n > len(f.data) {
		f.bad, f.data = true, nil
		return make([]byte, min(n, 16))
	}
	taken := f.data[:n]
	f.data = f.data[n:]
	return taken
}

func (f *fields) u8() uint8   { return f.take(1)[0] }
func (f *fields) u16() uint16 { return binary.LittleEndian.Uint16(f.take(2)) }
func (f *fields) u32() uint32 { return binary.LittleEndian.Uint32(f.take(4)) }
func (f *fields) u64() uint64 { return binary.LittleEndian.Uint64(f.take(8)) }

func (f *fields) i64() int64 { return int64(f.u64()) } //nolint:gosec // two's complement

func (f *fields) text() string {
	n := int(f.u16())
	if n > len(f.data) {
		f.bad = true
		return ""
	}
	return string(f.take(n))
}

func (f *fields) spans() uidSet {
	count := int(f.u32())
	if count*16 > len(f.data) {
		f.bad = true
		return nil
	}
	spans := make(uidSet, count)
	for i := range spans {
		spans[i] = span{f.u64(), f.u64()}
		f.bad = f.bad || spans[i].count == 0 || spans[i].end() < spans[i].first || i > 0 && spans[i].first <= spans[i-1].end()
	}
	return spans
}
