package maildrop

import (
	"strings"
	"sync"
	"testing"
)

// Servers that start at the same time do not take each other for a volume without locks.
func TestLocksAreCheckedByManyAtOnce(t *testing.T) {
	root := t.TempDir()
	var group sync.WaitGroup
	for range 3 {
		s := openStore(t, root)
		group.Go(func() {
			for range 100 {
				if err := s.CheckLocks(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if left := drafts(t, openStore(t, root)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestMountsWithLocalLocks(t *testing.T) {
	const line = `36 35 0:40 / /var/lib/pop3d rw,relatime shared:1 - nfs4 server:/mail rw,vers=4.2,local_lock=none`
	for option, refused := range map[string]bool{"local_lock=none": false, "local_lock=flock": true, "local_lock=all": true,
		"local_lock=posix": false, "nolock": true} {
		m, ok := parseMount(strings.Replace(line, "local_lock=none", option, 1))
		if !ok || !m.holds("/var/lib/pop3d/maildrops") || m.holds("/var/lib/pop3dx") || (m.localLocks() != "") != refused {
			t.Errorf("%s: %+v, %q", option, m, m.localLocks())
		}
	}
	if m, ok := parseMount(strings.Replace(line, "nfs4", "ext4", 1)); !ok || m.localLocks() != "" {
		t.Errorf("a local file system: %+v", m)
	}
	if m, ok := parseMount(strings.Replace(line, "/pop3d ", `/pop3d\040x `, 1)); !ok || m.point != "/var/lib/pop3d x" {
		t.Errorf("a blank in the path: %+v", m)
	}
}
