package fleet

import (
	"testing"
	"time"
)

func TestWhenAPodIsPoked(t *testing.T) {
	var f Fleet
	start := time.Now()
	at := start.Add
	for _, step := range []struct {
		name         string
		changed, now time.Duration
		due          bool
	}{
		{"the first time", 0, 0, true},
		{"at once again", 0, 100 * time.Millisecond, false},
		{"for a newer change", 200 * time.Millisecond, 300 * time.Millisecond, true},
		{"a second later, still behind", 200 * time.Millisecond, 1300 * time.Millisecond, true},
		{"not each second", 200 * time.Millisecond, 2400 * time.Millisecond, false},
		{"but ever later", 200 * time.Millisecond, 3400 * time.Millisecond, true},
		{"which a newer change ends", 3500 * time.Millisecond, 3600 * time.Millisecond, true},
	} {
		if due := f.due("pod", at(step.changed), at(step.now)); due != step.due {
			t.Errorf("%s: due %t, want %t", step.name, due, step.due)
		}
	}
	if !f.due("other", at(0), at(2*time.Hour)) || len(f.poked) != 1 {
		t.Errorf("%d pods are remembered, want the last one alone", len(f.poked))
	}
}

func TestPokesComeToAMinuteApart(t *testing.T) {
	var f Fleet
	now, pokes := time.Now(), 0
	for second := range 3600 {
		if f.due("pod", now, now.Add(time.Duration(second)*time.Second)) {
			pokes++
		}
	}
	if pokes > 70 {
		t.Errorf("a pod that stays behind was poked %d times in an hour", pokes)
	}
}
