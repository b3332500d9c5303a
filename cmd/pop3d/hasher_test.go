package main_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
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

// Processes that check passwords may be killed at any time, and leave with the server.
func TestHashers(t *testing.T) {
	t.Parallel()
	p := newProgram(t).prepare().start()
	p.pops().login("alice@example.com", "secret-of-alice", "+OK").quit()
	before := p.hashers()
	if len(before) != 1 {
		t.Fatalf("processes %v check passwords, want one", before)
	}
	must(t, syscall.Kill(before[0], syscall.SIGKILL))
	p.pops().login("alice@example.com", "secret-of-alice", "+OK").quit() // it is remembered
	p.pops().login("small@example.com", "secret-of-small", "+OK").quit()
	after := p.hashers()
	if len(after) != 1 || after[0] == before[0] {
		t.Fatalf("processes are %v, were %v", after, before)
	}
	p.signal(syscall.SIGTERM)
	p.expectExit(0)
	if err := syscall.Kill(after[0], 0); err == nil {
		t.Error("a process that checks passwords has outlived the server")
	}
}
