package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/popservice/popservice/internal/testkit"
)

// hashers gives the processes that check passwords for the program.
func (p *program) hashers() (pids []int) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.process.Process.Pid))
	must(p.t, err)
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", p.process.Process.Pid, task.Name()))
		if os.IsNotExist(err) { // the thread has ended
			continue
		}
		must(p.t, err)
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			must(p.t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// expectLowPriority wants every thread of a process to give way to others.
func expectLowPriority(t *testing.T, pid int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	must(t, err)
	if len(tasks) == 0 {
		t.Fatalf("process %d has no threads", pid)
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		must(t, err)
		const field = 19 - 3 // of those behind the name (proc_pid_stat(5))
		_, fields, _ := strings.Cut(string(stat), ") ")
		if got := strings.Fields(fields)[field]; got != "19" {
			t.Errorf("%s has the niceness %s", task, got)
		}
	}
}

// hasher is a process that has checked a password for the program. Where other tests keep the cores busy, the program may
// have made the check itself, and does so for ten seconds.
func (p *program) hasher() (pid int) {
	p.t.Helper()
	testkit.Eventually(p.t, time.Minute, "process that checks passwords", func() bool {
		p.pops().login("alice@example.com", "wrong", "-ERR").quit()
		pids := p.hashers()
		if len(pids) > 0 {
			pid = pids[0]
		}
		return len(pids) > 0
	}, p.log.String)
	return pid
}

// Processes that check passwords may be killed at any time, and leave with the server.
func TestHashers(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	before := p.hasher()
	expectLowPriority(t, before)
	must(t, syscall.Kill(before, syscall.SIGKILL))
	p.pops().login("small@example.com", "secret-of-small", "+OK").quit()
	after := p.hasher()
	if after == before {
		t.Fatalf("process %d was killed and is there", before)
	}
	expectLowPriority(t, after)
	p.signal(syscall.SIGTERM)
	p.expectExit(0)
	if err := syscall.Kill(after, 0); err == nil {
		t.Error("a process that checks passwords has outlived the server")
	}
}
