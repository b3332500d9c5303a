package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of times in /proc/PID/stat. It is the same on all architectures that Go runs on.
const tick = 10 * time.Millisecond

// stat is what /proc/PID/stat says.
type stat struct {
	pid, parent int
	cpu         time.Duration // of the process, and of those of its children that have ended
}

// readStat reads the line of a process. The second field is its name in parentheses, which may have any character.
func readStat(pid int) (stat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat has too few fields", pid)
	}
	s := stat{pid: pid}
	s.parent, err = strconv.Atoi(string(fields[1]))
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime (proc(5))
		ticks, parseErr := strconv.ParseInt(string(field), 10, 64)
		err = errors.Join(err, parseErr)
		s.cpu += time.Duration(ticks) * tick
	}
	return s, err
}

// family gives the server's process and all that descend from it.
func (s *server) family() ([]stat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]stat)
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(path))
		if one, err := readStat(pid); err == nil { // otherwise it has ended
			children[one.parent] = append(children[one.parent], one)
		}
	}
	root, err := readStat(s.process.Process.Pid)
	if err != nil {
		return nil, err
	}
	all := []stat{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].pid]...)
	}
	return all, nil
}

// cpu gives the CPU time that all processes of the server have taken so far.
func (s *server) cpu() (sum time.Duration, err error) {
	all, err := s.family()
	for _, one := range all {
		sum += one.cpu
	}
	return sum, err
}

// memory gives the proportional set size of all processes of the server, in KiB: what several of them share counts once.
func (s *server) memory() (sum float64, err error) {
	all, err := s.family()
	if err != nil {
		return 0, err
	}
	for _, one := range all {
		kib, err := readPSS(one.pid)
		if err != nil {
			return 0, err
		}
		sum += kib
	}
	return sum, nil
}

func readPSS(pid int) (float64, error) {
	file := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "Pss:" {
			return strconv.ParseFloat(string(fields[1]), 64)
		}
	}
	return 0, fmt.Errorf("%s has no Pss", file)
}

// clock measures how much this program, the client, has to do itself.
type clock struct {
	begun time.Time
	cpu   time.Duration
}

func startClock() clock { return clock{time.Now(), ownCPU()} }

func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // it fails only where an argument is wrong
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// cores tells how many cores were busy with this program since the clock was started.
func (c clock) cores() float64 {
	return (ownCPU() - c.cpu).Seconds() / time.Since(c.begun).Seconds()
}
