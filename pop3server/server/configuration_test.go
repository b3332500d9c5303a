package server

import (
	"runtime"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
)

// Checks of passwords leave a core to the sessions, where there is more than one.
func TestChecksAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var c configuration
	for _, test := range []struct{ configured, cores, want int }{
		{4, 1, 1}, {4, 2, 1}, {4, 3, 2}, {4, 5, 4}, {4, 8, 4}, {1, 8, 1}, {100, 8, 7},
	} {
		c.running.Store(&config.Config{Limits: config.Limits{MaxConcurrentVerifications: test.configured}})
		runtime.GOMAXPROCS(test.cores)
		if got := c.maxConcurrentVerifications(); got != test.want {
			t.Errorf("%d on %d cores: %d at once, want %d", test.configured, test.cores, got, test.want)
		}
	}
}
