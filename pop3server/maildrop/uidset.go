package maildrop

import (
	"cmp"
	"slices"
)

// span is a run of unique-ids: first, first+1, … count of them.
type span struct{ first, count uint64 }

func (s span) end() uint64 { return s.first + s.count }

// uidSet is a set of unique-ids: spans in ascending order that neither overlap nor touch. Mail is read and removed in
// runs, so that a set of very many is small.
type uidSet []span

// setOf gives the set of unique-ids that ascend.
func setOf(uids []uint64) uidSet {
	var s uidSet
	for _, uid := range uids {
		if n := len(s); n > 0 && s[n-1].end() == uid {
			s[n-1].count++
			continue
		}
		s = append(s, span{uid, 1})
	}
	return s
}

// contains tells whether a unique-id is in the set.
func (s uidSet) contains(uid uint64) bool {
	i, found := slices.BinarySearchFunc(s, uid, func(sp span, uid uint64) int { return cmp.Compare(sp.first, uid) })
	return found || i > 0 && uid < s[i-1].end()
}

// with gives the set with the spans of another one added.
func (s uidSet) with(other uidSet) uidSet {
	all := slices.Concat(s, other)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	merged := all[:0]
	for _, sp := range all {
		n := len(merged)
		if n == 0 || sp.first > merged[n-1].end() {
			merged = append(merged, sp)
			continue
		}
		merged[n-1].count = max(merged[n-1].end(), sp.end()) - merged[n-1].first
	}
	return merged
}

// add adds one unique-id, which mostly is above all others.
func (s *uidSet) add(uid uint64) {
	n := len(*s)
	switch {
	case n == 0 || uid > (*s)[n-1].end():
		*s = append(*s, span{uid, 1})
	case uid == (*s)[n-1].end():
		(*s)[n-1].count++
	default:
		*s = s.with(uidSet{{uid, 1}})
	}
}

// uids gives how many unique-ids are in the set.
func (s uidSet) uids() (count uint64) {
	for _, sp := range s {
		count += sp.count
	}
	return count
}
