package authn

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Places to come from.
var (
	home      = netip.MustParseAddr("192.0.2.77")
	atWork    = netip.MustParseAddr("203.0.113.5")
	elsewhere = netip.MustParseAddr("2001:db8::1")
)

// guardTest is a guard on a clock of its own.
type guardTest struct {
	*testing.T
	*guard
}

func testGuard(t *testing.T, perAddress, perMailbox int, do func(g guardTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		lockout := Lockout{PerAddress: perAddress, PerMailbox: perMailbox, Window: time.Hour}
		do(guardTest{t, newGuard(func() Lockout { return lockout })})
	})
}

func (g guardTest) failTimes(times int, from netip.Addr, name string) {
	for range times {
		g.fail(from, name)
	}
}

func (g guardTest) want(what string, from netip.Addr, name string, locked bool) {
	g.Helper()
	if got := g.locked(from, name); got != locked {
		g.Errorf("%s: %s from %s is locked out: %t", what, name, from, got)
	}
}

func TestCountsLeakAway(t *testing.T) {
	testGuard(t, 4, 2, func(g guardTest) {
		g.failTimes(2, home, "alice")
		g.failTimes(2, home, "bob")
		g.want("too many with the name", elsewhere, "alice", true)
		g.want("too many from the address", home, "carol", true)
		time.Sleep(15*time.Minute - time.Second)
		g.want("before one of four has leaked away", home, "carol", true)
		time.Sleep(2 * time.Second)
		g.want("after that", home, "carol", false)
		time.Sleep(15*time.Minute - 2*time.Second)
		g.want("before one of two has leaked away", elsewhere, "alice", true)
		time.Sleep(2 * time.Second)
		g.want("after that", elsewhere, "alice", false)
		g.fail(elsewhere, "alice")
		g.want("one more", elsewhere, "alice", true)
		g.failTimes(1000, elsewhere, "alice") // the count ends at the bound
		time.Sleep(time.Hour)
		g.fail(elsewhere, "alice")
		g.want("the first after a window", elsewhere, "alice", false)
	})
}

// Nobody is locked out at the usual place by what others do, there or elsewhere; what fails there with that name is bounded.
func TestFamiliarPlaces(t *testing.T) {
	testGuard(t, 6, 3, func(g guardTest) {
		g.succeed(home, "alice")
		g.succeed(atWork, "alice")
		g.failTimes(10, elsewhere, "alice")
		for i := range 10 {
			g.fail(home, fmt.Sprint("nobody", i))
		}
		g.want("failures elsewhere", elsewhere, "alice", true)
		g.want("others' failures", home, "bob", true)
		g.want("failures of others and elsewhere", home, "alice", false)
		g.failTimes(2, home, "alice")
		g.want("two of three at the usual place", home, "alice", false)
		g.fail(home, "alice")
		g.want("guesses at the usual place", home, "alice", true)
		g.succeed(home, "alice")
		g.want("guesses at the usual place, of which one was right", home, "alice", true)
		g.want("another usual place", atWork, "alice", false)
		time.Sleep(20*time.Minute + time.Second)
		g.want("as one of the guesses has leaked away", home, "alice", false)
	})
}

// What fails at the usual place counts for all others as well.
func TestFailuresAtFamiliarPlacesCountElsewhere(t *testing.T) {
	testGuard(t, 4, 2, func(g guardTest) {
		g.succeed(home, "alice")
		g.failTimes(2, home, "alice")
		g.want("by name", elsewhere, "alice", true)
		g.failTimes(2, home, "alice")
		g.want("by address", home, "bob", true)
	})
}

func TestFamiliarPlacesAreForgotten(t *testing.T) {
	testGuard(t, 0, 2, func(g guardTest) {
		g.succeed(home, "alice")
		g.succeed(atWork, "alice")
		time.Sleep(time.Hour)
		g.succeed(atWork, "alice")
		time.Sleep(familiarFor - time.Hour - time.Second)
		g.failTimes(2, elsewhere, "alice")
		g.want("before its time", home, "alice", false)
		time.Sleep(time.Second)
		g.want("after its time", home, "alice", true)
		g.want("come from once more", atWork, "alice", false)
	})
}

// Whoever comes from many places takes nothing of what is remembered of others.
func TestFamiliarPlacesAreBounded(t *testing.T) {
	testGuard(t, 0, 2, func(g guardTest) {
		g.familiar = newBounded[string, []place](2)
		network := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i), 1}) }
		g.succeed(home, "bob")
		for i := range 50 {
			g.succeed(network(i), "alice")
		}
		for range 50 { // one that is known takes no other's place
			g.succeed(network(49), "alice")
		}
		if places, _ := g.familiar.get("alice"); len(places) != placesMax {
			t.Errorf("%d places are remembered", len(places))
		}
		g.failTimes(2, elsewhere, "alice")
		g.failTimes(2, elsewhere, "bob")
		for i := range 50 {
			g.want(fmt.Sprint("place ", i), network(i), "alice", i < 50-placesMax)
		}
		g.want("another mailbox", home, "bob", false)
	})
}

// An IPv4 address is one however a socket gives it, and those of IPv6 that hold one are not one network.
func TestMappedAddresses(t *testing.T) {
	mapped := netip.AddrFrom16(home.As16())
	testGuard(t, 2, 2, func(g guardTest) {
		g.fail(mapped, "x")
		g.fail(home, "y")
		g.want("as IPv4", home, "bob", true)
		g.want("as IPv6", mapped, "bob", true)
		g.want("another one", netip.AddrFrom16(atWork.As16()), "bob", false)
		g.succeed(mapped, "alice")
		g.want("familiar as IPv6", mapped, "alice", false)
		g.want("familiar as IPv4", home, "alice", false)
		g.failTimes(2, mapped, "alice")
		g.want("guesses at the usual place", home, "alice", true)
	})
}
