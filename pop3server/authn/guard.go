package authn

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Lockout says when who has failed too often is refused without a look at the password. A count of 0 is no bound.
type Lockout struct {
	PerAddress int // failed logins from one address (an IPv6 /64 counts as one) within Window
	PerMailbox int // failed logins with one user name, from wherever
	Window     time.Duration
}

// Bounds of what is remembered, each some 150 octets.
const (
	guardedMax  = 50_000
	familiarMax = 20_000 // mailboxes
	// placesMax is of how many networks it is remembered that a mailbox's user came from there: nobody takes what is remembered
	// of others by coming from many.
	placesMax = 16
	// familiarFor is how long a mailbox's user may come from an address that has logged in to it, whoever else fails there or with
	// that name: an attacker locks out neither a whole office behind one address nor, from elsewhere, a user at the usual place.
	// What fails there with that name has a count of its own.
	familiarFor = 30 * 24 * time.Hour
)

// guard counts failed logins by address and by user name. A count leaks away evenly, the whole bound in one window. A name that
// does not exist is counted like one that does, so that being locked out tells nothing.
type guard struct {
	lockout func() Lockout

	mu       sync.Mutex
	failures *bounded[subject, leak]
	familiar *bounded[string, []place] // by mailbox, the latest first
}

// subject is whom failures are counted of: an address, or a name where that is not valid; both, where they are familiar.
type subject struct {
	network netip.Prefix
	name    string
}

// place is from where somebody who knew the password of a mailbox came.
type place struct {
	network netip.Prefix
	until   time.Time // it is remembered
}

// leak is a count that leaks away.
type leak struct {
	count float64
	at    time.Time
}

func (l leak) now(now time.Time, bound int, window time.Duration) leak {
	leaked := now.Sub(l.at).Seconds() / window.Seconds() * float64(bound)
	return leak{max(0, l.count-leaked), now}
}

func newGuard(lockout func() Lockout) *guard {
	return &guard{lockout: lockout, failures: newBounded[subject, leak](guardedMax),
		familiar: newBounded[string, []place](familiarMax)}
}

// networkOf gives what counts as one address.
func networkOf(remote netip.Addr) netip.Prefix {
	remote = remote.Unmap()
	bits := 32
	if remote.Is6() {
		bits = 64
	}
	network, _ := remote.Prefix(bits) // zero for an address that is not valid
	return network
}

// locked tells whether a login is refused unseen. name is the ID of a mailbox, or what stands for it where there is none.
func (g *guard) locked(remote netip.Addr, name string) bool {
	bounds, now, network := g.lockout(), time.Now(), networkOf(remote)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isFamiliar(network, name, now) {
		return g.full(subject{network, name}, bounds.PerMailbox, bounds.Window, now)
	}
	return g.full(subject{network: network}, bounds.PerAddress, bounds.Window, now) ||
		g.full(subject{name: name}, bounds.PerMailbox, bounds.Window, now)
}

// isFamiliar is called with the lock held.
func (g *guard) isFamiliar(network netip.Prefix, mailbox string, now time.Time) bool {
	places, _ := g.familiar.get(mailbox)
	return slices.ContainsFunc(places, func(p place) bool { return p.network == network && now.Before(p.until) })
}

// full is called with the lock held.
func (g *guard) full(s subject, bound int, window time.Duration, now time.Time) bool {
	l, ok := g.failures.get(s)
	return ok && bound > 0 && l.now(now, bound, window).count > float64(bound)-1
}

// Failures of one address may be those of many users; each of them counts less for the delay.
const (
	addressStep = 4
	stepsMax    = 7
)

// fail counts a failure; name may be empty. It gives by how many steps its answer is to be delayed: the more, the more have
// failed of late.
func (g *guard) fail(remote netip.Addr, name string) (steps int) {
	bounds, now := g.lockout(), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	network := networkOf(remote)
	if g.isFamiliar(network, name, now) {
		g.add(subject{network, name}, bounds.PerMailbox, bounds.Window, now)
	}
	byAddress := g.add(subject{network: network}, bounds.PerAddress, bounds.Window, now)
	byName := 0.0
	if name != "" {
		byName = g.add(subject{name: name}, bounds.PerMailbox, bounds.Window, now)
	}
	return min(stepsMax, max(int(byAddress/addressStep), int(byName)))
}

// add gives the count with one failure more. It is called with the lock held.
func (g *guard) add(s subject, bound int, window time.Duration, now time.Time) float64 {
	if bound == 0 {
		return 0
	}
	l, _ := g.failures.get(s)
	l = l.now(now, bound, window)
	l.count = min(l.count+1, float64(bound))
	g.failures.put(s, l)
	return l.count
}

// succeed remembers where the user of a mailbox has come from.
func (g *guard) succeed(remote netip.Addr, mailbox string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	here, now := networkOf(remote), time.Now()
	places := []place{{here, now.Add(familiarFor)}}
	known, _ := g.familiar.get(mailbox)
	for _, p := range known {
		if p.network != here && now.Before(p.until) && len(places) < placesMax {
			places = append(places, p)
		}
	}
	g.familiar.put(mailbox, places)
}
