package maildrop

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// A journal with 64 MiB in its midst of what looks like records with large heads does not take the memory that those would.
func TestMemoryOfADamagedJournal(t *testing.T) {
	const garbage, limit = 64 << 20, 8 << 20
	journal, _ := smallJournal(t)
	salt := recordsOf(t, journal)[0].record.(*headerRecord).salt
	from := len(journal)
	journal = append(journal, make([]byte, garbage)...)
	for i := range garbage / scanWindow { // ever larger ones, of each kind that has spans
		at := journal[from+i*scanWindow:]
		head := uint32(min(scanWindow+i*4096, maxHeadOctets))
		binary.LittleEndian.PutUint32(at, recordMagic)
		at[4] = "DUSR"[i%4]
		binary.LittleEndian.PutUint32(at[8:], head)
		binary.LittleEndian.PutUint32(at[12:], head)
	}
	journal = appendRecord(journal, salt, 0, &nextUIDRecord{1 << 40})
	root := memoryFolder(t)
	s, _ := plant(t, root, journal)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	session := openDrop(t, s, alice)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > limit {
		t.Errorf("opening it takes %d octets", took)
	}
	if n, damage := len(session.Messages()), s.boxes[alice.ID].st.damage; n != 5 || fmt.Sprint(damage) != fmt.Sprint([]Damage{
		{int64(from), int64(from + garbage)}}) {
		t.Errorf("%d messages, damage %v", n, damage)
	}
	if err := os.Remove(journalPath(root)); err != nil {
		t.Fatal(err)
	}
}
