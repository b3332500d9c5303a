package hashers

import (
	"errors"
	"os"
	"strconv"
	"syscall"
)

// niceness is the lowest priority that there is. Beside a server whose cores are all busy a check takes a few times as long. At
// 10, sessions beside many checks had twice the delays (docs/design/performance.md).
const niceness = 19

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
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, niceness); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}
