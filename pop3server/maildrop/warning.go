package maildrop

import (
	"bufio"
	"bytes"
	"fmt"
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

// UsualWarning gives the message for a warning.
func UsualWarning(w Warning) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "From: Mail System <>\r\nTo: <%s>\r\nDate: %s\r\n", w.Address, w.Time.Format(time.RFC1123Z))
	fmt.Fprintf(&text, "Subject: Your mailbox is almost full\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=us-ascii\r\n\r\n")
	fmt.Fprintf(&text, "Your mailbox %s holds %d KiB.\r\n", w.Address, w.StorageOctets>>10)
	if w.ProhibitReceive > 0 {
		fmt.Fprintf(&text, "From %d KiB on it takes no further mail.\r\n", w.ProhibitReceive>>10)
	}
	fmt.Fprintf(&text, "Please delete what you do not need on the server any more.\r\n")
	return text.Bytes()
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
