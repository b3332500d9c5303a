package hashers

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// lowest is the lowest priority that there is, and a time slice of 0.1 ms, before the end of which Linux (from 6.12 on; others
// take no notice) lets nobody else have the core; by default it is some 3 ms. Pool knows what to do
// where others leave it too little. docs/design/performance.md has what that is good for.
var lowest = unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: 19, Runtime: 100_000}

// GiveWay gives this process the lowest priority: Linux has one for each thread, which passes it on to those that it starts.
func GiveWay() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := giveWay(id); err != nil && !errors.Is(err, unix.ESRCH) { // there is no such thread any more
			return err
		}
	}
	return nil
}

// giveWay falls back on what every sandbox allows.
func giveWay(thread int) error {
	if unix.SchedSetAttr(thread, &lowest, 0) == nil {
		return nil
	}
	return unix.Setpriority(unix.PRIO_PROCESS, thread, int(lowest.Nice))
}
