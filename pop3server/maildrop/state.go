package maildrop

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// state is what a journal says, up to some place. The messages in live never change: sessions share them.
type state struct {
	generation uint64
	salt       [16]byte
	made       int64
	owner      string
	nextUID    uint64
	reserved   uidSet // numbers below it that this store never gives: imported messages may have them
	warned     bool   // the user has been warned that the quota's issueWarning is reached
	end        int64
	last       int64  // where the record begins that ends there
	lastSum    uint32 // and its checksum

	live    []Message // by unique-id
	octets  int64     // storage of the live ones
	records int64     // octets of their records
	oldest  int64     // no live one was received before
	removed []removed // in the order of removal; kept as long as deletedItemRetention says
	seen    uidSet
	sources map[[16]byte]uint64 // unique-ids of the messages that were taken over from new/, by their sources
	damage  []Damage
}

// removed is a message that is not in the maildrop any more.
type removed struct {
	Message
	reason uint8
	at     int64
}

// apply brings a record into the state.
func (st *state) apply(p placed) error {
	switch r := p.record.(type) {
	case *headerRecord:
		if err := st.applyHeader(r, p); err != nil {
			return err
		}
	case *messageRecord:
		st.applyMessage(r, p)
	case *removeRecord:
		st.remove(r.uids, r.reason, r.at)
	case *restoreRecord:
		st.restore(r.uids)
	case *seenRecord:
		st.seen = st.seen.with(r.uids)
	case *ownerRecord:
		st.owner = r.owner
	case *nextUIDRecord:
		st.nextUID = max(st.nextUID, r.next)
	case *reserveRecord:
		st.reserved = st.reserved.with(r.uids)
	}
	st.end, st.last, st.lastSum = p.end(), p.offset, p.sum
	return nil
}

func (st *state) applyHeader(r *headerRecord, p placed) error {
	switch {
	case st.generation != 0 && r.salt == st.salt:
		return nil // the second one
	case st.generation != 0 || p.offset > maxHeadOctets:
		return fmt.Errorf("journal has another header at %d", p.offset)
	case r.version != formatVersion:
		return fmt.Errorf("journal has version %d, this program reads version %d", r.version, formatVersion)
	}
	*st = state{generation: r.generation, salt: r.salt, made: r.made, owner: r.owner, nextUID: r.nextUID,
		warned: r.warned, oldest: math.MaxInt64}
	return nil
}

func (st *state) applyMessage(r *messageRecord, p placed) {
	m := newMessage(r, p)
	st.live = append(st.live, m)
	st.count(m)
	st.nextUID = max(st.nextUID, r.uid+1)
	if r.former != "" { // so its own number is nobody's unique-id
		st.reserved.add(r.uid)
	}
	if r.flags&flagSeen != 0 {
		st.seen.add(r.uid)
	}
	if r.flags&flagWarning != 0 {
		st.warned = true
	}
	if r.flags&flagSource != 0 {
		st.addSource(r.uid, r.source)
	}
}

func (st *state) addSource(uid uint64, source [16]byte) {
	if st.sources == nil {
		st.sources = make(map[[16]byte]uint64)
	}
	st.sources[source] = uid
}

// mayHave tells whether an imported message may have a number as its unique-id: whether this store has given it to none.
func (st *state) mayHave(number uint64) bool {
	return st == nil || number >= st.nextUID || st.reserved.contains(number)
}

// count adds a live message to what is known of all of them.
func (st *state) count(m Message) {
	st.octets += m.StorageOctets
	st.records += int64(m.length)
	st.oldest = min(st.oldest, m.received)
}

func newMessage(r *messageRecord, p placed) Message {
	storage := int64(p.length) + r.octets - int64(r.inline)
	return Message{uid: r.uid, former: r.former, Octets: r.octets, StorageOctets: storage, received: r.received,
		offset: p.offset, length: p.length, flags: r.flags}
}

// remove takes messages out of the live ones. Sessions may have those, so that a new slice takes their place.
func (st *state) remove(uids uidSet, reason uint8, at int64) {
	left := make([]Message, 0, max(0, len(st.live)-int(min(uids.uids(), uint64(len(st.live)))))) //nolint:gosec // at most a length
	st.removed = slices.Grow(st.removed, len(st.live)-cap(left))
	st.octets, st.records, st.oldest = 0, 0, math.MaxInt64
	for _, m := range st.live {
		if uids.contains(m.uid) {
			st.removed = append(st.removed, removed{m, reason, at})
			continue
		}
		left = append(left, m)
		st.count(m)
	}
	st.live = left
}

// restore brings removed messages back.
func (st *state) restore(uids uidSet) {
	live := slices.Clone(st.live)
	st.removed = slices.DeleteFunc(st.removed, func(r removed) bool {
		if !uids.contains(r.uid) {
			return false
		}
		live = append(live, r.Message)
		st.count(r.Message)
		return true
	})
	slices.SortFunc(live, byUID)
	st.live = live
}

// find gives the live message with a unique-id.
func (st *state) find(uid uint64) (Message, bool) {
	if len(st.live) > 0 { // where none was removed, unique-ids have no gaps
		if i := uid - st.live[0].uid; i < uint64(len(st.live)) && st.live[i].uid == uid {
			return st.live[i], true
		}
	}
	i, ok := slices.BinarySearchFunc(st.live, Message{uid: uid}, byUID)
	if !ok {
		return Message{}, false
	}
	return st.live[i], true
}

// among gives those of some unique-ids, which ascend, that are live. Mostly they stand side by side.
func (st *state) among(uids []uint64) []uint64 {
	found := make([]uint64, 0, len(uids))
	rest := st.live
	for _, uid := range uids {
		if len(rest) == 0 || rest[0].uid != uid {
			i, _ := slices.BinarySearchFunc(rest, Message{uid: uid}, byUID)
			rest = rest[i:]
		}
		if len(rest) > 0 && rest[0].uid == uid {
			found, rest = append(found, uid), rest[1:]
		}
	}
	return found
}

func (st *state) usage() Usage { return Usage{Messages: int64(len(st.live)), StorageOctets: st.octets} }

// expired gives the live messages that are older than they may be.
func (st *state) expired(p Policy, now time.Time) []uint64 {
	unread, read := deadline(p.UnreadMaxAge, now), deadline(p.ReadMaxAge, now)
	if st.oldest >= max(unread, read) {
		return nil
	}
	var uids []uint64
	for _, m := range st.live {
		limit := unread
		if m.received < max(unread, read) && st.seen.contains(m.uid) {
			limit = read
		}
		if m.received < limit {
			uids = append(uids, m.uid)
		}
	}
	return uids
}

// deadline gives the time before which a message is too old; none is where there is no such age.
func deadline(age time.Duration, now time.Time) int64 {
	if age <= 0 {
		return math.MinInt64
	}
	return now.Add(-age).Unix()
}

// kept gives the removed messages that are to be kept still.
func (st *state) kept(p Policy, now time.Time) []removed {
	if p.DeletedItemRetention <= 0 {
		return nil
	}
	since := now.Add(-p.DeletedItemRetention).Unix()
	return slices.DeleteFunc(slices.Clone(st.removed), func(r removed) bool { return r.at < since })
}
