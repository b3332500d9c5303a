package maildrop

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// among finds what a look for each alone would find.
func TestAmong(t *testing.T) {
	uids := rapid.Custom(func(t *rapid.T) []uint64 {
		return slices.Sorted(slices.Values(rapid.SliceOf(rapid.Uint64Range(1, 30)).Draw(t, "uids")))
	})
	rapid.Check(t, func(t *rapid.T) {
		var st state
		for _, uid := range slices.Compact(uids.Draw(t, "live")) {
			st.live = append(st.live, Message{uid: uid})
		}
		asked := uids.Draw(t, "asked")
		var want []uint64
		for _, uid := range slices.Compact(slices.Clone(asked)) {
			if _, live := st.find(uid); live {
				want = append(want, uid)
			}
		}
		if got := st.among(asked); !slices.Equal(got, want) {
			t.Fatalf("of %v, %v are live: %v, want %v", asked, st.live, got, want)
		}
	})
}
