//go:build linux

// Package process starts processes that outlive the program, and finds and ends them later without ever signalling a
// process of someone else, even when their ids were given to others meanwhile.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Identity tells one process from every other that ever had its id: by its start, its program, and the boot of the
// machine that it runs in.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks from boot to the process's start
	Exe   string `json:"exe"`
	Boot  string `json:"boot"` // the kernel's random id of this boot
}

// Identify reads the identity of a running process. A zombie is not running.
func Identify(pid int) (Identity, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Identity{}, err
	}
	state, start, err := parseStat(stat)
	if err != nil {
		return Identity{}, fmt.Errorf("%s/stat: %w", dir, err)
	}
	if state == "Z" || state == "X" {
		return Identity{}, fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	exe, err := os.Readlink(dir + "/exe")
	if err != nil {
		return Identity{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, Start: start, Exe: strings.TrimSuffix(exe, " (deleted)"),
		Boot: string(bytes.TrimSpace(boot))}, nil
}

// parseStat takes the state and the start time out of /proc/PID/stat (proc(5), fields 3 and 22). The second field, the
// program's name, may hold blanks and parentheses.
func parseStat(stat []byte) (state string, start uint64, err error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return "", 0, fmt.Errorf("%d fields after the name, want at least 20", len(fields))
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0], start, err
}

// Alive tells whether this very process still runs.
func (id Identity) Alive() bool {
	now, err := Identify(id.PID)
	return err == nil && now == id
}

// Signal sends a signal to this very process. One that has ended is no error.
func (id Identity) Signal(signal syscall.Signal) error {
	// os.FindProcess opens a pidfd: once that is held the id cannot come to mean another process, so what is checked
	// afterwards is what is signalled.
	p, err := os.FindProcess(id.PID)
	if err != nil {
		return fmt.Errorf("finding process %d: %w", id.PID, err)
	}
	defer func() { _ = p.Release() }()
	if !id.Alive() {
		return nil
	}
	if err := p.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signalling process %d (%s): %w", id.PID, id.Exe, err)
	}
	return nil
}

// Stop asks processes to end, and kills those that have not within the grace period. Only the kernel's own work can
// keep a killed process alive; after another ten seconds of that it gives up.
func Stop(ctx context.Context, grace time.Duration, ids ...Identity) error {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, 10 * time.Second}} {
		if step.wait == 0 {
			continue
		}
		var failed error
		for _, id := range ids {
			failed = errors.Join(failed, id.Signal(step.signal))
		}
		if failed != nil {
			return failed
		}
		if ids = waitGone(ctx, step.wait, ids); len(ids) == 0 {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%d processes do not end although they were killed, the first is %d (%s)",
		len(ids), ids[0].PID, ids[0].Exe)
}

// waitGone returns those that are still alive at the end of the time.
func waitGone(ctx context.Context, limit time.Duration, ids []Identity) []Identity {
	deadline := time.Now().Add(limit)
	for {
		var alive []Identity
		for _, id := range ids {
			if id.Alive() {
				alive = append(alive, id)
			}
		}
		if len(alive) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return alive
		}
		ids = alive
		time.Sleep(20 * time.Millisecond)
	}
}

// Parent is the id of a process's parent, or 0 when the process has gone.
func Parent(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	var state string
	var parent int
	if _, err := fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &parent); err != nil {
		return 0
	}
	return parent
}
