package portable

import (
	"strconv"
	"strings"
	"time"
)

// latest is the last second that has a year of four digits.
var latest = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()

// MaildirName is what the name of a file in a Maildir says.
type MaildirName struct {
	// Base is the name up to the flags; it stays the same as long as there is the message.
	Base string
	// Received is the time of delivery; zero if the name does not begin with one.
	Received time.Time
	// Flags are letters; S is seen.
	Flags string
}

// ParseMaildirName reads a name such as 1276528487.M364837P9451.host,S=1355,W=1394:2,S.
func ParseMaildirName(name string) MaildirName {
	base, info, _ := strings.Cut(name, ":")
	n := MaildirName{Base: base}
	if flags, ok := strings.CutPrefix(info, "2,"); ok {
		n.Flags, _, _ = strings.Cut(flags, ",")
	}
	digits, _, dotted := strings.Cut(base, ".")
	if seconds, err := strconv.ParseInt(digits, 10, 64); err == nil && dotted && seconds > 0 && seconds <= latest {
		n.Received = time.Unix(seconds, 0).UTC()
	}
	return n
}

// Seen tells whether the message was read.
func (n MaildirName) Seen() bool { return strings.Contains(n.Flags, "S") }
