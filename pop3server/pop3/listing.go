package pop3

import "github.com/popservice/popservice/pop3server/maildrop"

// listing is the session's view of the maildrop: the messages that were there at login, under the numbers that they keep to the
// end ([MS-STANXPOP3] C0004), and which of them are marked as deleted.
type listing struct {
	messages []maildrop.Message
	exact    bool
	descends bool     // the newest message is number 1
	marks    []uint64 // a bit a number; nil while none is marked
	marked   int
	octets   int64 // of the messages that are not marked
}

func newListing(messages []maildrop.Message, exact, descends bool) *listing {
	l := &listing{messages: messages, exact: exact, descends: descends}
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
	return l.at(number), nil
}

// at gives the message with a number that there is.
func (l *listing) at(number int) maildrop.Message {
	if l.descends {
		return l.messages[len(l.messages)-number]
	}
	return l.messages[number-1]
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
	l.octets -= l.size(l.at(number))
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
	for number := 1; number <= len(l.messages); number++ {
		if !l.isMarked(number) {
			visit(number, l.at(number))
		}
	}
}

// removals gives the messages that are marked.
func (l *listing) removals() []maildrop.Message {
	removals := make([]maildrop.Message, 0, l.marked)
	for number := 1; number <= len(l.messages); number++ {
		if l.isMarked(number) {
			removals = append(removals, l.at(number))
		}
	}
	return removals
}
