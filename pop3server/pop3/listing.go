package pop3

import "github.com/popservice/popservice/pop3server/maildrop"

// listing is the session's view of the maildrop: the messages that were there at login, under the numbers that they keep to the
// end ([MS-STANXPOP3] C0004), and which of them are marked as deleted.
type listing struct {
	messages []maildrop.Message
	exact    bool
	marks    []uint64 // a bit a message; nil while none is marked
	marked   int
	octets   int64 // of the messages that are not marked
}

func newListing(messages []maildrop.Message, exact bool) *listing {
	l := &listing{messages: messages, exact: exact}
	l.reset()
	return l
}

// size gives the size that STAT and LIST tell: what the message occupies in the store, or, where the settings ask for it,
// exactly what RETR sends ([MS-STANXPOP3] §2.1.4, §2.1.5).
func (l *listing) size(m maildrop.Message) int64 {
	if l.exact {
		return m.Octets
	}
	return m.StorageOctets
}

// find gives the message with this number, unless there is none or it is marked.
func (l *listing) find(number int) (maildrop.Message, error) {
	switch {
	case number < 1 || number > len(l.messages):
		return maildrop.Message{}, refuseNumber
	case l.isMarked(number):
		return maildrop.Message{}, refuseDeleted
	}
	return l.messages[number-1], nil
}

func (l *listing) isMarked(number int) bool {
	return l.marks != nil && l.marks[(number-1)/64]&(1<<((number-1)%64)) != 0
}

// mark marks a message that find has found.
func (l *listing) mark(number int) {
	if l.marks == nil {
		l.marks = make([]uint64, (len(l.messages)+63)/64)
	}
	l.marks[(number-1)/64] |= 1 << ((number - 1) % 64)
	l.marked++
	l.octets -= l.size(l.messages[number-1])
}

// reset takes all marks away.
func (l *listing) reset() {
	l.marks, l.marked, l.octets = nil, 0, 0
	for _, m := range l.messages {
		l.octets += l.size(m)
	}
}

// count tells how many messages are not marked.
func (l *listing) count() int { return len(l.messages) - l.marked }

// each visits the messages that are not marked, in the order of their numbers.
func (l *listing) each(visit func(number int, m maildrop.Message)) {
	for i, m := range l.messages {
		if !l.isMarked(i + 1) {
			visit(i+1, m)
		}
	}
}

// removals gives the messages that are marked.
func (l *listing) removals() []maildrop.Message {
	removals := make([]maildrop.Message, 0, l.marked)
	for i, m := range l.messages {
		if l.isMarked(i + 1) {
			removals = append(removals, m)
		}
	}
	return removals
}
