package pop3

import (
	"testing"

	"github.com/popservice/popservice/pop3server/config"
)

// MessageRetrievalSortOrder: with Descending, the newest message is number 1; unique-ids stay, and what is marked is removed.
func TestSortOrder(t *testing.T) {
	f := newFixture(t)
	f.set(func(s *Settings) { s.SortOrder, s.Size = config.Descending, config.ExactSize })
	f.deliver(alice, "A: 1\r\n\r\n", "A: 22\r\n\r\n", "A: 333\r\n\r\n")
	f.login().script(`C: UIDL
		S: +OK
		S: 1 3
		S: 2 2
		S: 3 1
		S: .
		C: LIST 1
		S: +OK 1 10
		C: RETR 3
		S: +OK
		S: A: 1
		S:
		S: .
		C: DELE 1
		S: +OK
		C: STAT
		S: +OK 2 17
		C: LIST
		S: +OK 2 17
		S: 2 9
		S: 3 8
		S: .
		C: QUIT
		S: +OK…`)
	f.expectMessages(alice, "1", "2")
}
