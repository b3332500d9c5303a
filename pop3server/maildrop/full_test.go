package maildrop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallVolume gives a folder on a file system of 8 MiB.
func smallVolume(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=8m,mode=700"); err != nil {
		t.Fatalf("this test must be able to mount a tmpfs of 8 MiB (as root, or in a container with SYS_ADMIN): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", root, err)
		}
	})
	return root
}

// free gives the room on a volume.
func free(t *testing.T, root string) int64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(root, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// fill delivers messages until the volume is full, and gives them by their names.
func fill(t *testing.T, s *JournalStore, prefix string, size int) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for i := range 100_000 {
		name := fmt.Sprintf("%s.%d", prefix, i)
		results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(sampleText(name, size)))
		if err != nil {
			t.Fatal(err)
		}
		if results[0] != nil {
			if !errors.Is(results[0], ErrNoSpace) {
				t.Fatal(results[0])
			}
			return names
		}
		names[name] = true
	}
	t.Fatal("the volume takes everything")
	return nil
}

// checkNames checks that exactly these messages are there, whole.
func checkNames(t *testing.T, s *JournalStore, names map[string]bool) {
	t.Helper()
	session := openDrop(t, s, alice)
	defer func() { _ = session.Close() }()
	for _, m := range session.Messages() {
		text := body(t, session, m)
		if name, err := checkSample(text); err != nil || !names[name] || m.Octets != int64(len(text)) {
			t.Errorf("message %s of %d octets: %q, %v", m.UID(), m.Octets, name, err)
		}
	}
	if len(session.Messages()) != len(names) {
		t.Errorf("%d messages are there of %d", len(session.Messages()), len(names))
	}
}

// checkNothingHalf checks that nothing is left of deliveries that failed.
func checkNothingHalf(t *testing.T, s *JournalStore, bodies int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.root, "aa", alice.ID, "b", "*"))
	if err != nil || len(files) != bodies || len(drafts(t, s)) != 0 {
		t.Errorf("%d bodies for %d messages, drafts %v", len(files), bodies, drafts(t, s))
	}
}

// A volume of 8 MiB is filled up, in small messages, in messages that just fit into the journal, and in files; then all is
// removed, or every other message, or none but one.
func TestFullVolume(t *testing.T) {
	for _, size := range []int{4000, 100_000, 200_000} {
		for _, removing := range []string{"all", "half", "one"} {
			if removing == "one" && size < inlineOctets {
				continue // its room is given back together with more
			}
			t.Run(fmt.Sprintf("%d octets, %s", size, removing), func(t *testing.T) {
				t.Parallel()
				root := smallVolume(t)
				s := openStore(t, root)
				names := fill(t, s, "a", size)
				bodies := 0
				if size > inlineOctets {
					bodies = len(names)
				}
				checkNothingHalf(t, s, bodies)
				checkNames(t, s, names)
				other := openStore(t, root)
				checkNames(t, other, names)
				if err := s.Check(context.Background()); err != nil {
					t.Errorf("a full volume: %v", err)
				}
				makeRoom(t, s, other, names, removing, size)
			})
		}
	}
}

// makeRoom removes messages of a full volume and checks that there is room for as many again.
// Another server, which has the journal open that is replaced, does not keep its room.
func makeRoom(t *testing.T, s, other *JournalStore, names map[string]bool, removing string, size int) {
	t.Helper()
	session := openDrop(t, s, alice)
	var going []Message
	for i, m := range session.Messages() {
		if removing == "all" || removing == "half" && i%2 == 0 || removing == "one" && i == 5 {
			name, _ := checkSample(body(t, session, m))
			delete(names, name)
			going = append(going, m)
		}
	}
	remove(t, session, going...)
	_ = session.Close()
	s.background.Wait()
	other.DropReplaced()
	checkNames(t, s, names)
	if size < 8<<10 && removing == "half" { // there is room neither for half of the journal, nor to be had from within it
		makeRoom(t, s, other, names, "all", size)
		return
	}
	room := int64(len(going)) * int64(size)
	if left := free(t, s.root); left < room*3/4 {
		t.Fatalf("%d octets are free after messages of %d were removed", left, room)
	}
	for name := range fill(t, s, "b", size) {
		names[name] = true
	}
	checkNames(t, openStore(t, s.root), names)
	if n := len(names); n < len(going)/2 {
		t.Errorf("%d messages fit where %d were removed", n, len(going))
	}
}

// Where a volume is full, mail can still be fetched by a client for whom old mail is to be removed.
func TestFullVolumeWithRetention(t *testing.T) {
	root := smallVolume(t)
	policy := Policy{}
	s, err := New(root, Options{Log: slog.New(slog.DiscardHandler), Policy: func() Policy { return policy }})
	if err != nil {
		t.Fatal(err)
	}
	im, err := s.NewImport(context.Background(), alice)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for i := range 700 { // by turns an old one and a new one, such that the record of their removal is large
		name := fmt.Sprintf("b.%d", i)
		received := time.Now()
		if i%2 == 0 {
			received = received.Add(-time.Hour)
		} else {
			names[name] = true
		}
		if err := im.Add(Imported{Received: received, Body: strings.NewReader(sampleText(name, 1))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	for name := range fill(t, s, "a", 100_000) {
		names[name] = true
	}
	fillUp(t, root)
	policy.UnreadMaxAge = time.Minute
	checkNames(t, s, names)
}

// Where a volume is full, a maildrop can be emptied, which is what makes room.
func TestFullVolumeWithPurge(t *testing.T) {
	root := smallVolume(t)
	s := openStore(t, root)
	fill(t, s, "a", 100_000)
	fillUp(t, root)
	before := free(t, root)
	if err := s.Purge(context.Background(), alice.ID, alice.Owner); err != nil {
		t.Fatal(err)
	}
	if after := free(t, root); after < before+4<<20 {
		t.Errorf("%d octets are free, before there were %d", after, before)
	}
}

// fillUp takes what room is left on a volume.
func fillUp(t *testing.T, root string) {
	t.Helper()
	file, err := os.Create(filepath.Join(root, "other"))
	if err != nil {
		return // there is none
	}
	defer func() { _ = file.Close() }()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// Whatever operation fails at whatever time: a delivery is there if it was acknowledged, and otherwise not, and nothing is left
// of it; also for those who open the folder anew.
func TestInjectedErrors(t *testing.T) {
	for _, size := range []int{1000, 200_000} {
		for _, operation := range []string{"write", "sync"} {
			t.Run(fmt.Sprintf("%s, %d octets", operation, size), func(t *testing.T) {
				root := t.TempDir()
				s, count := openStore(t, root), 0
				failed := errors.New("injected")
				s.hooks.failing = func(at string) error {
					if at != operation {
						return nil
					}
					if count++; count%3 == 0 {
						return failed
					}
					return nil
				}
				names := deliverOrFail(t, s, size, failed)
				bodies := 0
				if size > inlineOctets {
					bodies = len(names)
				}
				checkNothingHalf(t, s, bodies)
				checkNames(t, s, names)
				checkNames(t, openStore(t, root), names)
				checkRisingUIDs(t, s)
			})
		}
	}
}

// deliverOrFail delivers messages, gives those that were acknowledged, and checks the others' errors.
func deliverOrFail(t *testing.T, s *JournalStore, size int, failed error) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for i := range 20 {
		name := fmt.Sprintf("a.%d", i)
		results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(sampleText(name, size)))
		if err != nil || results[0] != nil && !errors.Is(results[0], failed) {
			t.Fatal(err, results)
		}
		if results[0] == nil {
			names[name] = true
		}
	}
	if len(names) == 0 || len(names) == 20 {
		t.Errorf("%d of 20 were delivered", len(names))
	}
	return names
}

func checkRisingUIDs(t *testing.T, s *JournalStore) {
	t.Helper()
	messages := openDrop(t, s, alice).Messages()
	if !slices.IsSortedFunc(messages, byUID) {
		t.Errorf("unique-ids %v", uids(messages))
	}
}

// A compaction that fails leaves all as it was.
func TestFailedCompaction(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	names := map[string]bool{}
	for i := range 4 {
		name := fmt.Sprintf("a.%d", i)
		deliver(t, s, alice, sampleText(name, 200_000*(i%2)))
		names[name] = true
	}
	before := readFile(t, journalPath(root))
	s.hooks.failing = func(string) error { return syscall.ENOSPC }
	_ = s.Compact(context.Background(), alice.ID)
	if !slices.Equal(before, readFile(t, journalPath(root))) {
		t.Error("the journal has changed")
	}
	if _, err := os.Stat(journalPath(root) + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new journal was left: %v", err)
	}
	if err := s.Purge(context.Background(), alice.ID, alice.Owner); err == nil {
		t.Error("a purge that failed told no error")
	}
	s.hooks.failing = func(string) error { return nil }
	checkNames(t, s, names)
	checkNames(t, openStore(t, root), names)
}
