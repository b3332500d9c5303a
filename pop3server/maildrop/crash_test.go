package maildrop

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// The test binary starts itself as a server that is killed in the midst of a delivery.
const (
	crashAt   = "POP3D_CRASH_AT"
	crashRoot = "POP3D_CRASH_ROOT"
	crashName = "POP3D_CRASH_NAME" // goes into the messages' text
)

func TestMain(m *testing.M) {
	if step := os.Getenv(crashAt); step != "" {
		deliverUntilKilled(step)
	}
	os.Exit(m.Run())
}

// deliverUntilKilled delivers messages, tells of each one when it is acknowledged, and dies by SIGKILL in the third one.
func deliverUntilKilled(step string) {
	s, err := New(os.Getenv(crashRoot), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	passed := 0
	s.hooks.reached = func(at string) {
		if at != step {
			return
		}
		if passed++; passed == 3 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	for i := 0; ; i++ {
		subject := fmt.Sprintf("Subject: %s.%d", os.Getenv(crashName), i)
		results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: alice}}, strings.NewReader(subject))
		if err != nil || results[0] != nil {
			fmt.Fprintln(os.Stderr, err, results)
			os.Exit(1)
		}
		fmt.Println(subject)
	}
}

// crash runs a server on the folder until it is killed and gives the messages that it acknowledged.
func crash(t *testing.T, root, step, name string) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashAt+"="+step, crashRoot+"="+root, crashName+"="+name)
	var out, errs bytes.Buffer
	child.Stdout, child.Stderr = &out, &errs
	_ = child.Run()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the server was not killed: %v\n%s", child.ProcessState, &errs)
	}
	return strings.Fields(strings.ReplaceAll(out.String(), "Subject: ", ""))
}

// Whatever the step at which a server dies: what was acknowledged is there once, and no unique-id is used twice, also when
// everything was removed in between ([MS-STANXPOP3] C0008).
func TestKilledAtEachStep(t *testing.T) {
	for _, step := range []string{"spooled", "locked", "written", "durable"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root, last := t.TempDir(), uint64(0)
			for round := range 3 {
				acknowledged := crash(t, root, step, fmt.Sprint(round))
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
		times[strings.TrimSpace(strings.TrimPrefix(body(t, session, m), "Subject: "))]++
	}
	for _, subject := range acknowledged {
		if times[subject] != 1 {
			t.Errorf("the acknowledged message %s is there %d times", subject, times[subject])
		}
	}
	remove(t, session, session.Messages()...)
	return last
}
