package maildrop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The test binary starts itself as a server that is killed in the midst of something.
const (
	crashAs     = "POP3D_CRASH_AS"     // what the server does, a key of crashRoles
	crashAt     = "POP3D_CRASH_AT"     // the step at which it dies
	crashPasses = "POP3D_CRASH_PASSES" // which time that it comes to this step
	crashRoot   = "POP3D_CRASH_ROOT"
	crashName   = "POP3D_CRASH_NAME" // goes into the messages' text
)

// crashRoles are what a server does. They print a line for each message that is acknowledged, and "removed" and its unique-id
// for each removal.
var crashRoles = map[string]func(s *JournalStore, name string) error{
	"deliver":   crashDelivering,
	"quit":      crashRemoving,
	"compact":   crashCompacting,
	"take over": crashTakingOver,
	"load":      crashUnderLoad,
	"commands":  obeyCommands,
}

func TestMain(m *testing.M) {
	role, ok := crashRoles[os.Getenv(crashAs)]
	if !ok {
		os.Exit(m.Run())
	}
	s, err := New(os.Getenv(crashRoot), Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		s.hooks.reached = dieAt(os.Getenv(crashAt), os.Getenv(crashPasses))
		err = role(s, os.Getenv(crashName))
	}
	fmt.Fprintln(os.Stderr, "not killed:", err)
	os.Exit(1)
}

// dieAt gives a hook that kills the process when it comes to a step for the n-th time.
func dieAt(step, n string) func(string) {
	left, _ := strconv.Atoi(n)
	return func(at string) {
		if at != step {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

// crashDelivering delivers messages and tells of each one when it is acknowledged.
func crashDelivering(s *JournalStore, name string) error {
	for i := 0; ; i++ {
		subject := fmt.Sprintf("Subject: %s.%d", name, i)
		results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(subject))
		if err = errors.Join(append(results, err)...); err != nil {
			return err
		}
		fmt.Println(subject)
	}
}

// crashRemoving removes the messages with odd unique-ids one QUIT after the other.
func crashRemoving(s *JournalStore, _ string) error {
	for {
		session, err := s.Open(context.Background(), alice)
		if err != nil {
			return err
		}
		odd := slices.DeleteFunc(slices.Clone(session.Messages()), func(m Message) bool { return m.uid%2 == 0 })
		if len(odd) == 0 {
			return errors.New("nothing is left to remove")
		}
		if err := errors.Join(session.Delete(context.Background(), odd[:2]), session.Close()); err != nil {
			return err
		}
		fmt.Println("removed", odd[0].uid)
		fmt.Println("removed", odd[1].uid)
	}
}

func crashCompacting(s *JournalStore, _ string) error {
	return s.Compact(context.Background(), alice.ID)
}

func crashTakingOver(s *JournalStore, _ string) error {
	session, err := s.Open(context.Background(), alice)
	if err == nil {
		err = fmt.Errorf("%d messages were taken over", len(session.Messages()))
	}
	return err
}

// startServer starts the test binary as a server.
func startServer(root, role, step, name string, passes int) *exec.Cmd {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashAs+"="+role, crashAt+"="+step, crashRoot+"="+root, crashName+"="+name,
		fmt.Sprintf("%s=%d", crashPasses, passes))
	return child
}

// crash runs a server on the folder until it is killed and gives the lines that it has printed.
func crash(t *testing.T, root, role, step, name string, passes int) []string {
	t.Helper()
	child := startServer(root, role, step, name, passes)
	var out, errs bytes.Buffer
	child.Stdout, child.Stderr = &out, &errs
	_ = child.Run()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the server was not killed: %v\n%s", child.ProcessState, &errs)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// Whatever the step at which a server dies: what was acknowledged is there once, and no unique-id is used twice, also when
// everything was removed in between ([MS-STANXPOP3] C0008).
func TestKilledAtEachStep(t *testing.T) {
	for _, step := range []string{"spooled", "locked", "written", "durable"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root, last := t.TempDir(), uint64(0)
			for round := range 3 {
				acknowledged := crash(t, root, "deliver", step, fmt.Sprint(round), 3)
				if len(acknowledged) != 2 {
					t.Fatalf("acknowledged %v, want two", acknowledged)
				}
				last = checkAfterCrash(t, openStore(t, root), acknowledged, last)
			}
		})
	}
}

// checkAfterCrash removes all messages and gives the greatest unique-id.
func checkAfterCrash(t *testing.T, s *JournalStore, acknowledged []string, last uint64) uint64 {
	t.Helper()
	session, times := openDrop(t, s, alice), map[string]int{}
	for _, m := range session.Messages() {
		if m.uid <= last {
			t.Errorf("unique-id %d after %d", m.uid, last)
		}
		last = m.uid
		times[strings.TrimSpace(body(t, session, m))]++
	}
	for _, subject := range acknowledged {
		if times[subject] != 1 {
			t.Errorf("the acknowledged message %s is there %d times", subject, times[subject])
		}
	}
	remove(t, session, session.Messages()...)
	return last
}

// A QUIT in which the server dies has removed all or nothing ([MS-STANXPOP3] V0006), all if it was acknowledged.
func TestKilledWhileRemoving(t *testing.T) {
	for _, step := range []string{"locked", "written", "durable"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			s := openStore(t, root)
			for range 8 {
				deliver(t, s, alice, hello)
			}
			s.Close()
			acknowledged := crash(t, root, "quit", step, "", 2)
			if !slices.Equal(acknowledged, []string{"removed 1", "removed 3"}) {
				t.Fatalf("acknowledged %q", acknowledged)
			}
			all, none := []string{"2", "4", "6", "8"}, []string{"2", "4", "5", "6", "7", "8"}
			for range 2 { // also when the first one has cleared up
				s = openStore(t, root)
				if left := uids(openDrop(t, s, alice).Messages()); !slices.Equal(left, all) && !slices.Equal(left, none) {
					t.Errorf("left %v, want %v or %v", left, all, none)
				}
				deliver(t, s, alice, hello)
				all, none = append(all, fmt.Sprint(lastUID(t, s))), append(none, fmt.Sprint(lastUID(t, s)))
			}
		})
	}
}

// lastUID gives the unique-id of the newest message, which must be above 8.
func lastUID(t *testing.T, s *JournalStore) uint64 {
	t.Helper()
	messages := openDrop(t, s, alice).Messages()
	last := messages[len(messages)-1].uid
	if last <= 8 {
		t.Errorf("the newest message has the unique-id %d", last)
	}
	return last
}

// A compaction in which the server dies changes nothing of what the maildrop has, nor is anything left of it after the next.
func TestKilledWhileCompacting(t *testing.T) {
	for _, step := range []string{"compacted", "replaced"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			s := openStore(t, root)
			large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789\r\n", inlineOctets/10)
			for range 4 {
				deliver(t, s, alice, hello)
				deliver(t, s, alice, large)
			}
			session := openDrop(t, s, alice)
			remove(t, session, session.Messages()[4:]...)
			crash(t, root, "compact", step, "", 1)
			for i, m := range session.Messages()[:4] { // by its snapshot, of the old generation
				if got := body(t, session, m); got != []string{hello, large}[i%2] {
					t.Errorf("message %s has %d octets", m.UID(), len(got))
				}
			}
			_ = session.Close()
			s = openStore(t, root)
			if err := s.Compact(context.Background(), alice.ID); err != nil {
				t.Fatal(err)
			}
			deliver(t, s, alice, hello)
			checkCompacted(t, s, large)
		})
	}
}

func checkCompacted(t *testing.T, s *JournalStore, large string) {
	t.Helper()
	session := openDrop(t, s, alice)
	if got := uids(session.Messages()); !slices.Equal(got, []string{"1", "2", "3", "4", "9"}) {
		t.Fatalf("messages %v", got)
	}
	for i, m := range session.Messages() {
		if got := body(t, session, m); got != []string{hello, large}[i%2] {
			t.Errorf("message %s has %d octets", m.UID(), len(got))
		}
	}
	folder := filepath.Join(s.root, "aa", alice.ID)
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		if name := entry.Name(); !slices.Contains([]string{"b", "index", "journal", "lock"}, name) {
			t.Errorf("%s was left behind", name)
		}
	}
}

// Messages in new/ are taken over once, wherever the server dies, also if they are removed and forgotten at once.
func TestKilledWhileTakingOver(t *testing.T) {
	for _, step := range []string{"locked", "written", "durable", "taken over"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789\r\n", inlineOctets/10)
			putNew(t, root, "1.a", hello)
			putNew(t, root, "2.b", large)
			crash(t, root, "take over", step, "", 1)
			s := openStore(t, root)
			if _, err := s.Inspect(context.Background(), alice.ID); err != nil { // dead before it began
				openDrop(t, s, alice)
			}
			// Neither looks into new/, where the files may be still.
			err := errors.Join(s.Change(context.Background(), alice.ID, Change{Remove: []uint64{1}}),
				s.Compact(context.Background(), alice.ID))
			if err != nil {
				t.Fatal(err)
			}
			session := openDrop(t, s, alice)
			if n := len(session.Messages()); n != 1 || body(t, session, session.Messages()[0]) != large {
				t.Fatalf("%d messages", n)
			}
			remove(t, session, session.Messages()...)
			if err := s.Compact(context.Background(), alice.ID); err != nil {
				t.Fatal(err)
			}
			if got := openDrop(t, openStore(t, root), alice).Messages(); len(got) != 0 {
				t.Errorf("%d messages came back", len(got))
			}
			if files, _ := filepath.Glob(filepath.Join(root, "aa", alice.ID, "new", "*")); len(files) != 0 {
				t.Errorf("left in new/: %v", files)
			}
		})
	}
}

// putNew puts a message into new/ as another delivery agent does.
func putNew(t fatal, root, name, text string) {
	t.Helper()
	if err := putForeign(root, name, text); err != nil {
		t.Fatal(err)
	}
}

func putForeign(root, name, text string) error {
	folder := filepath.Join(root, "aa", alice.ID)
	draft := filepath.Join(folder, "tmp", name)
	return errors.Join(
		os.MkdirAll(filepath.Join(folder, "tmp"), folderMode), os.MkdirAll(filepath.Join(folder, "new"), folderMode),
		os.WriteFile(draft, []byte(text), fileMode), os.Rename(draft, filepath.Join(folder, "new", name)))
}
