//go:build linux

package process

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestParseStatSkipsTheName(t *testing.T) {
	stat := "4711 (a) R (b c) S 1 4711 4711 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3"
	state, start, err := parseStat([]byte(stat))
	if err != nil || state != "S" || start != 987654 {
		t.Errorf("got state %q, start %d, error %v", state, start, err)
	}
	if _, _, err := parseStat([]byte("4711 (torn) S 1")); err == nil {
		t.Error("a torn line was accepted")
	}
}

func TestSignalSparesAnotherProcessWithTheSameID(t *testing.T) {
	id := startSleep(t)
	for name, change := range map[string]func(*Identity){
		"another start":   func(id *Identity) { id.Start-- },
		"another program": func(id *Identity) { id.Exe = "/bin/other" },
		"another boot":    func(id *Identity) { id.Boot = "earlier" },
	} {
		t.Run(name, func(t *testing.T) {
			other := id
			change(&other)
			if err := other.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			if other.Alive() || !id.Alive() {
				t.Errorf("the old process is alive: %v, the one of today: %v", other.Alive(), id.Alive())
			}
		})
	}
}

func TestStopKillsWhatIgnoresTheRequest(t *testing.T) {
	polite := startSleep(t)
	stubborn := start(t, "sh", "-c", `trap "" TERM; echo ready; while :; do sleep 0.1; done`)
	if err := Stop(t.Context(), 200*time.Millisecond, polite, stubborn); err != nil {
		t.Fatal(err)
	}
	if polite.Alive() || stubborn.Alive() {
		t.Errorf("alive after Stop: polite %v, stubborn %v", polite.Alive(), stubborn.Alive())
	}
}

func TestParent(t *testing.T) {
	if got := Parent(startSleep(t).PID); got != os.Getpid() {
		t.Errorf("Parent = %d, want %d", got, os.Getpid())
	}
}

func startSleep(t *testing.T) Identity {
	t.Helper()
	return start(t, "sh", "-c", "echo ready; exec sleep 60")
}

// start returns when the process has printed its first line.
func start(t *testing.T, name string, args ...string) Identity {
	t.Helper()
	cmd := exec.Command(name, args...)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := output.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	return settled(t, cmd.Process.Pid)
}

// settled waits until the program of a process no longer changes, which it does with exec.
func settled(t *testing.T, pid int) Identity {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		first, err := Identify(pid)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if first.Alive() {
			return first
		}
	}
	t.Fatalf("process %d does not settle", pid)
	return Identity{}
}
