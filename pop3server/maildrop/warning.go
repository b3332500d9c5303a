package maildrop

import (
	"bufio"
	"bytes"
	"hash/crc32"
	"time"
)

// Warning is what a user is told whose maildrop has reached issueWarning.
type Warning struct {
	Address         string
	StorageOctets   int64
	IssueWarning    int64
	ProhibitReceive int64 // 0 is unlimited
	Time            time.Time
}

// warn adds a warning to a batch. The quota does not hold for it.
func (b *box) warn(w *batch, box Mailbox, uid uint64, octets int64) {
	now := time.Now()
	var text bytes.Buffer
	canonical := newCanonicalWriter(bufio.NewWriter(&text))
	_, _ = canonical.Write(b.store.options.Warning(Warning{box.Address, octets, box.IssueWarning, box.ProhibitReceive, now}))
	_ = canonical.Close()
	m := &incoming{spool: &spool{memory: text.Bytes(), octets: int64(text.Len()), dots: canonical.dots,
		crc: crc32.Checksum(text.Bytes(), castagnoli)}, received: now, warning: true}
	r := m.record()
	r.uid = uid
	w.add(r, m.memory)
}
