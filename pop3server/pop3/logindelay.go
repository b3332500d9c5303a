package pop3

import (
	"container/list"
	"sync"
	"time"
)

// loginTimesMax is how many logins are remembered, each in some 200 octets. Where there are more mailboxes than that, the
// oldest ones are forgotten early.
const loginTimesMax = 100_000

// loginTimes remembers for LOGIN-DELAY (RFC 2449 §6.5) when mailboxes were logged in to.
type loginTimes struct {
	most int

	mu        sync.Mutex
	mailboxes map[string]*list.Element
	inOrder   *list.List // of loginTime, the oldest one first
}

type loginTime struct {
	mailbox string
	time    time.Time
}

func newLoginTimes(most int) *loginTimes {
	return &loginTimes{most: most, mailboxes: make(map[string]*list.Element), inOrder: list.New()}
}

// admit tells whether a mailbox may be logged in to, such a time after the last login, and remembers this one. Of two at the
// same time, one may.
func (l *loginTimes) admit(mailbox string, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forgetUntil(now.Add(-delay))
	if _, early := l.mailboxes[mailbox]; early {
		return false
	}
	if l.inOrder.Len() >= l.most {
		l.remove(l.inOrder.Front())
	}
	l.mailboxes[mailbox] = l.inOrder.PushBack(loginTime{mailbox, now})
	return true
}

// forget takes a login back that came to nothing.
func (l *loginTimes) forget(mailbox string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.mailboxes[mailbox]; ok {
		l.remove(e)
	}
}

// forgetUntil forgets what is of no account any more.
func (l *loginTimes) forgetUntil(t time.Time) {
	for e := l.inOrder.Front(); e != nil && !e.Value.(loginTime).time.After(t); e = l.inOrder.Front() {
		l.remove(e)
	}
}

func (l *loginTimes) remove(e *list.Element) {
	delete(l.mailboxes, l.inOrder.Remove(e).(loginTime).mailbox)
}
