// Package portable reads and writes mail in the forms in which other servers keep it: Maildir, with Dovecot's list of
// unique-ids, and mbox. What it holds in memory is bounded by how many messages there are, not by how large they are.
package portable

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"time"
)

// Message is what is known of a message beside its text.
type Message struct {
	// UID is the unique-id under which POP3 clients know it, or one made of what the message is.
	UID      string
	Received time.Time
	Seen     bool
	// Name says to people which one it is: the name of a file, or a place in one.
	Name string
}

// Source is a mailbox that another server has kept.
type Source interface {
	// Messages gives all messages in the order in which clients see them. Who calls it may change their unique-ids.
	Messages() []Message
	// Open opens one of them, by its place in Messages. It fails with fs.ErrNotExist where the message has been removed since.
	Open(i int) (io.ReadCloser, error)
	Close() error
}

// maxUIDOctets is the length of the longest unique-id (RFC 1939 §7).
const maxUIDOctets = 70

// validUID tells whether a POP3 server may give this unique-id (RFC 1939 §7).
func validUID(uid string) bool {
	return uid != "" && len(uid) <= maxUIDOctets &&
		!strings.ContainsFunc(uid, func(r rune) bool { return r < 0x21 || r > 0x7e })
}

// uidOf makes a unique-id of a name: the name itself where that will do.
func uidOf(name string) string {
	if validUID(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}
