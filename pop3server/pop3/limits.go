package pop3

import (
	"net/netip"
	"sync"

	"github.com/popservice/popservice/pop3server/config"
)

// ipv6ClientBits is the part of an IPv6 address that stands for one client: a host commonly has a whole /64.
const ipv6ClientBits = 64

// limiter counts what a server, an address and a mailbox have open.
type limiter struct {
	mu        sync.Mutex
	total     int
	addresses map[netip.Prefix]int
	mailboxes map[string]int
}

func newLimiter() *limiter {
	return &limiter{addresses: make(map[netip.Prefix]int), mailboxes: make(map[string]int)}
}

// connect counts a connection and tells whether it may stay; if so, the caller calls disconnect at its end.
func (l *limiter) connect(limits config.Limits) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= limits.MaxConnections {
		return false
	}
	l.total++
	return true
}

func (l *limiter) disconnect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
}

// arrive counts a connection of a client, once its address is known, and tells whether it may stay; if so, the caller calls
// depart at its end. An address that is not known is not counted.
func (l *limiter) arrive(address netip.Addr, limits config.Limits) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	client := clientOf(address)
	if l.addresses[client] >= limits.MaxConnectionsPerAddress {
		return false
	}
	if client.IsValid() {
		l.addresses[client]++
	}
	return true
}

func (l *limiter) depart(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	decrement(l.addresses, clientOf(address))
}

// open counts a session in a mailbox and tells whether it may go on; if so, the caller calls close at its end.
func (l *limiter) open(mailbox string, limits config.Limits) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mailboxes[mailbox] >= limits.MaxConnectionsPerMailbox {
		return false
	}
	l.mailboxes[mailbox]++
	return true
}

func (l *limiter) close(mailbox string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	decrement(l.mailboxes, mailbox)
}

// decrement takes one off a count and forgets those at nought.
func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// clientOf gives the network that stands for one client.
func clientOf(address netip.Addr) netip.Prefix {
	address = address.Unmap()
	bits := address.BitLen()
	if address.Is6() {
		bits = ipv6ClientBits
	}
	client, _ := address.WithZone("").Prefix(bits) // an address that is not known gives a prefix that is not valid
	return client
}
