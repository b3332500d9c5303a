// Package maildrop keeps mail: the contract between the store and those who use it, and the store itself. The format on
// disk is described in format.go.
package maildrop

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strconv"
	"time"
)

// Errors that callers tell apart. A store wraps them with what it knows more.
var (
	// ErrVanished: the message was there at login and has been removed since ([MS-STANXPOP3] C0004).
	ErrVanished = errors.New("message is no longer in the maildrop")
	// ErrOverQuota: the maildrop has reached its quota, or would with this message.
	ErrOverQuota = errors.New("maildrop is over its quota")
	// ErrNoSpace: the volume is full.
	ErrNoSpace = errors.New("no space left on the volume")
	// ErrForeignOwner: the maildrop was made by another owner, whose mail this one must not see.
	ErrForeignOwner = errors.New("maildrop belongs to another owner")
	// ErrDamaged: what the store has of a message is not what it was given.
	ErrDamaged = errors.New("message is damaged")
)

// ForeignOwnerError is ErrForeignOwner with the owner that the maildrop has.
type ForeignOwnerError struct{ Owner string }

func (e *ForeignOwnerError) Error() string { return ErrForeignOwner.Error() + ": " + e.Owner }

// Unwrap gives ErrForeignOwner.
func (e *ForeignOwnerError) Unwrap() error { return ErrForeignOwner }

// Mailbox says which maildrop is meant and on whose behalf.
type Mailbox struct {
	ID    string // 26 characters of a-z and 2-7, as directory.MailboxID gives it
	Owner string // what declared the mailbox; empty in no case
	// Adopt says that the owner takes over a maildrop which another one has made, with all mail in it.
	Adopt bool
	// anyone is for administration: nobody's name is needed, and the owner stays who it is.
	anyone bool
	// Address is where warnings of the quota are addressed to.
	Address string
	// IssueWarning is the size in octets of storage at which the user is warned; 0 is never.
	IssueWarning int64
	// ProhibitReceive is the quota in octets of storage; 0 is unlimited.
	ProhibitReceive int64
}

// Recipient is a maildrop that gets a message.
type Recipient struct {
	Mailbox
	// Trace are header fields for this recipient alone, put before the message, each line ended by CRLF.
	Trace []byte
	// Check, where it is set, is asked when the message is there and about to be written, while nobody else can write to the
	// maildrop. Its error is the recipient's result, and nothing is written.
	Check func() error
}

// Policy says how long messages are kept; no age is for ever.
type Policy struct {
	// UnreadMaxAge and ReadMaxAge are counted from delivery, for messages that were never read, and for those that were
	// ([MS-STANXPOP3] E0005).
	UnreadMaxAge, ReadMaxAge time.Duration
	// DeletedItemRetention is how long a removed message can be restored; none is not at all.
	DeletedItemRetention time.Duration
}

// Store is a folder of maildrops. Its methods may be called at the same time, also by several processes on one folder.
type Store interface {
	// Open takes a snapshot of the maildrop's list of messages: what others add or remove afterwards does not change it
	// ([MS-STANXPOP3] C0004). It takes no lock that outlives the call. A maildrop that does not exist yet
	// is empty.
	Open(ctx context.Context, box Mailbox) (Session, error)
	// Deliver puts one message into each recipient's maildrop and returns one result for each, in their order: nil says that
	// the message will survive a power loss. The body is read once. It is canonicalized on the way: every line ends in
	// CRLF. An error other than the results' is one of reading the body; then no maildrop has the message.
	Deliver(ctx context.Context, recipients []Recipient, body io.Reader) ([]error, error)
	// Usage tells what a maildrop holds now.
	Usage(ctx context.Context, box Mailbox) (Usage, error)
	// Check tells whether the store works now; readiness rests on it. A full volume passes: mail can still be fetched and
	// removed, which is what makes room.
	Check(ctx context.Context) error
}

// Session is one client's view of a maildrop. It is used by one goroutine.
type Session interface {
	// Messages gives the snapshot in ascending order of unique-ids; the caller must not change it.
	Messages() []Message
	// Body opens the message for reading: canonical octets, CRLF line ends, not dot-stuffed, exactly Message.Octets of them.
	// It fails with ErrVanished when another session or retention has removed the message. The reader fails with ErrDamaged
	// before its end where the octets are not those that were stored. It is to be closed before the next one is opened.
	Body(ctx context.Context, message Message) (io.ReadCloser, error)
	// Rest says that everything that the client has asked for so far is done. Until then Body may rely on what it has found
	// out since the last Rest: all that was asked for by then could have been answered at that time. No body may be open.
	Rest()
	// MarkRead notes that a message was read, for retention. It is written down by Delete or Close, and may be lost by a crash.
	MarkRead(message Message)
	// Delete removes messages durably: all of them, or none where it fails. Those that are gone already count as removed. A
	// message that was not named is never removed ([MS-STANXPOP3] V0006).
	Delete(ctx context.Context, messages []Message) error
	// Close gives up the snapshot.
	Close() error
}

// Message is a row of the snapshot.
type Message struct {
	// Octets is the exact size: what RETR sends, before dot-stuffing, without the final ".CRLF".
	Octets int64
	// StorageOctets is what the message occupies in the store.
	StorageOctets int64

	uid      uint64
	former   string
	received int64 // seconds since 1970
	offset   int64 // in the journal
	length   uint32
	flags    uint32
}

// UID is the unique-id (C0007): decimal digits, rising, never used again (C0008, C0009); or, of a message that was imported,
// the one that it had before.
func (m Message) UID() string {
	if m.former != "" {
		return m.former
	}
	return strconv.FormatUint(m.uid, 10)
}

// AppendUID puts the unique-id behind what is there.
func (m Message) AppendUID(dst []byte) []byte {
	if m.former != "" {
		return append(dst, m.former...)
	}
	return strconv.AppendUint(dst, m.uid, 10)
}

// Received is when the message was delivered.
func (m Message) Received() time.Time { return time.Unix(m.received, 0).UTC() }

// Dotless tells that no line of the message begins with a dot, so that it is sent as it stands. Of a body in a file it is not
// told: that is checked only at its end, so that damage could make a dot of something else.
func (m Message) Dotless() bool { return m.flags&(flagDots|flagFile) == 0 }

func byUID(a, b Message) int { return cmp.Compare(a.uid, b.uid) }

// Usage is what a maildrop holds.
type Usage struct {
	Messages      int64
	StorageOctets int64
}
