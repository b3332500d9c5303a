package pop3

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"

	"github.com/popservice/popservice/pop3server/config"
)

// Strangers who send responses of the greatest length at the same time do not make the server hold more than it can: who comes
// when there is no room is told so, and those who have less to say do not notice.
func TestLongResponsesAreBoundedTogether(t *testing.T) {
	f := newFixture(t)
	f.keytab = newKeytab(t)
	f.set(func(s *Settings) { s.Authentication.Mechanisms = slices.Clone(config.Mechanisms()) })
	f.crowd = semaphore.NewWeighted(2 * int64(saslMechanisms[config.MechanismGSSAPI].maxOctets)) // for one
	begin := func() *client {
		c := f.connect()
		c.say("AUTH GSSAPI\r\n")
		c.expect("+ ")
		return c
	}
	long := strings.Repeat("A", freeOctets+4096)
	first, second, third := begin(), begin(), begin()
	first.say(long)
	eventually(t, "the first one to have the room", func() bool {
		if f.crowd.TryAcquire(1) {
			f.crowd.Release(1)
			return false
		}
		return true
	})
	second.say(long)
	second.expect("-ERR Server is too busy for a response of this length. Connection is closed.")
	second.expectClosed()
	third.say(strings.Repeat("A", freeOctets-4096) + "\r\n")
	third.expect("-ERR Logon failure: unknown user name or bad password.")
	first.say("\r\n")
	first.expect("-ERR Logon failure: unknown user name or bad password.")
	fourth := begin() // the first one has left its room
	fourth.say(long + "\r\n")
	fourth.expect("-ERR Logon failure: unknown user name or bad password.")
}
