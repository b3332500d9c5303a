package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// house has the two servers and the folder in which they live.
type house struct {
	options options
	dir     string
	servers [2]*server // pop3d and its peer
}

// newHouse makes a folder with all that both servers need, but for mail. They are not started.
func newHouse(ctx context.Context, o options) (*house, error) {
	if err := checkMachine(o.dir); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, "pop-bench-")
	if err != nil {
		return nil, err
	}
	h := &house{options: o, dir: dir}
	if err := h.furnish(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return h, nil
}

// checkMachine tells what is missing.
func checkMachine(dir string) error {
	for _, file := range []string{dovecotBinary, "/usr/lib/dovecot/pop3", "/usr/lib/dovecot/lmtp"} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%s is missing: install dovecot-core, dovecot-pop3d and dovecot-lmtpd, as 'make bench' does it", file)
		}
	}
	if os.Getuid() != 0 {
		return errors.New("run this as root: nobody else can let Dovecot take on other users")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		return fmt.Errorf("%s is on a tmpfs, where nothing is durable: name another folder with -dir", dir)
	}
	return raiseFiles()
}

// raiseFiles lets this program and those that it starts have as many files open as they may.
func raiseFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

func (h *house) furnish(ctx context.Context) error {
	if err := os.Chmod(h.dir, 0o711); err != nil { // Dovecot's users pass through it
		return err
	}
	pair, err := writeCertificate(h.dir)
	if err != nil {
		return err
	}
	binary := h.options.pop3d
	if binary == "" {
		if binary, err = build(ctx, h.dir); err != nil {
			return err
		}
	}
	if h.servers[0], err = newPop3d(h.dir, binary, pair); err != nil {
		return err
	}
	h.servers[1], err = newDovecot(h.dir, pair)
	return err
}

// build builds pop3d from the tree in which this program is run.
func build(ctx context.Context, dir string) (string, error) {
	say("building pop3d")
	binary := filepath.Join(dir, "pop3d")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "github.com/popservice/popservice/cmd/pop3d")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("build pop3d: %w; run this from the top of the repository, or name a binary with -pop3d", err)
	}
	return binary, nil
}

// remove ends the servers and removes the folder.
func (h *house) remove() {
	for _, s := range h.servers {
		s.stop()
	}
	say("removing %s", h.dir)
	if err := os.RemoveAll(h.dir); err != nil {
		say("%v", err)
	}
}

// measure fills the mailboxes that the workloads need, starts both servers and runs the workloads.
func (h *house) measure(ctx context.Context, chosen []workload) (*results, error) {
	if err := h.fill(ctx, boxesOf(chosen)); err != nil {
		return nil, err
	}
	for _, s := range h.servers {
		if err := s.start(ctx); err != nil {
			return nil, err
		}
	}
	r := newResults(h)
	for _, w := range chosen {
		say("%s", w.name)
		rows, err := h.compare(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		r.Rows = append(r.Rows, rows...)
	}
	r.finish()
	return r, nil
}

// compare runs a workload on both servers in turn, each of them first in every other round.
func (h *house) compare(ctx context.Context, w workload) ([]*row, error) {
	rows := w.rows()
	for round := range w.roundsOf(h.options) {
		for turn := range h.servers {
			which := (round + turn) % len(h.servers)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := h.once(ctx, w, which, round, rows); err != nil {
				return nil, fmt.Errorf("%s: %w", h.servers[which].name, err)
			}
		}
	}
	for _, r := range rows {
		r.conclude()
	}
	return rows, nil
}

func (h *house) once(ctx context.Context, w workload, which, round int, rows []*row) error {
	s := h.servers[which]
	if w.prepare != nil {
		if err := w.prepare(ctx, s, round); err != nil {
			return err
		}
	}
	busy := startClock()
	values, err := w.run(ctx, s, round)
	if err != nil {
		return err
	}
	cores := busy.cores()
	for i, r := range rows {
		r.sides[which].add(values[i], cores)
	}
	return nil
}
