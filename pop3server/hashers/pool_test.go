package hashers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/popservice/popservice/internal/testkit"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// TestMain makes this program what a Pool starts, when it is started as one.
func TestMain(m *testing.M) {
	switch os.Args[len(os.Args)-1] {
	case "hasher":
		if err := Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "dies":
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	case "sleeps": // reads, never answers, and does not end when its input does
		_, _ = io.Copy(io.Discard, os.Stdin)
		time.Sleep(time.Minute) // longer than any test waits, and yet no process is left for ever if a test is broken
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// deadline is how long a test waits for what must come.
const deadline = 20 * time.Second

func newPool(t *testing.T, as string) *Pool {
	t.Helper()
	p := NewPool([]string{"/proc/self/exe", as}, slog.New(slog.DiscardHandler))
	p.patience = time.Minute // however busy the machine is
	t.Cleanup(p.Close)
	return p
}

// pids gives the processes of the pool.
func (p *Pool) pids() (pids []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for one := range p.all {
		pids = append(pids, one.command.Process.Pid)
	}
	return pids
}

func (p *Pool) expect(t *testing.T, want int, texts []string, password string) {
	t.Helper()
	verifiers := make([]verifier.Verifier, len(texts))
	for i, text := range texts {
		var err error
		if verifiers[i], err = verifier.Parse(text); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := p.Match(verifiers, []byte(password)); err != nil || got != want {
		t.Errorf("Match gives %d, %v, want %d", got, err, want)
	}
}

func TestMatch(t *testing.T) {
	p := newPool(t, "hasher")
	first := verifier.Derive([]byte("first"))
	verifiers := []string{first, verifier.DeriveBeside(first, []byte("second")), verifier.DeriveSCRAM([]byte("third"))}
	for want, password := range []string{"first", "second", "third"} {
		p.expect(t, want, verifiers, password)
	}
	p.expect(t, -1, verifiers, "fourth")
	p.expect(t, -1, nil, "")
	if n := len(p.pids()); n != 1 {
		t.Errorf("%d processes have made one check after the other, want 1", n)
	}
}

func TestOneProcessForEachCheck(t *testing.T) {
	p := newPool(t, "hasher")
	const checks = 4
	var checking sync.WaitGroup
	for i := range 3 * checks {
		password := strconv.Itoa(i)
		text := verifier.Derive([]byte(password))
		checking.Go(func() { p.expect(t, 0, []string{text}, password) })
		if i%checks == checks-1 {
			checking.Wait()
		}
	}
	if n := len(p.pids()); n > checks {
		t.Errorf("there are %d processes for %d checks at once", n, checks)
	}
}

// What a process takes is bounded by its dearest verifier, however many it has checked.
func TestMemoryIsThatOfOneVerifier(t *testing.T) {
	p := newPool(t, "hasher")
	verifiers := []string{verifier.Derive([]byte("0"))}
	p.expect(t, 0, verifiers, "0")
	one := p.peak(t)
	for i := 1; i <= 5; i++ {
		verifiers = append(verifiers, verifier.Derive([]byte(strconv.Itoa(i))))
	}
	for range 3 {
		p.expect(t, 5, verifiers, "5")
	}
	if peak := p.peak(t); peak > 2*one {
		t.Errorf("a process took %d KiB, %d for the first verifier", peak, one)
	}
}

// peak is the most memory that the pool's process has taken, in KiB.
func (p *Pool) peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pids()[0]))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	peak, err := strconv.Atoi(strings.Fields(text)[0])
	if err != nil {
		t.Fatal(err)
	}
	return peak
}

func TestProcessThatDiesIdleIsReplaced(t *testing.T) {
	p := newPool(t, "hasher")
	text := []string{verifier.Derive([]byte("right"))}
	p.expect(t, 0, text, "right")
	before := p.pids()
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.expect(t, 0, text, "right")
	if after := p.pids(); len(after) != 1 || after[0] == before[0] {
		t.Errorf("processes are %v, were %v", after, before)
	}
}

// Where no process can be had, passwords are checked nevertheless, and for a while no process is tried.
func TestCheckWithoutProcess(t *testing.T) {
	const marked = "marked-secret"
	text := []string{verifier.Derive([]byte(marked))}
	for name, argv := range map[string][]string{"dies": {"/proc/self/exe", "dies"}, "not there": {"/nonexistent"}} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			p := NewPool(argv, slog.New(slog.NewTextHandler(&log, nil)))
			defer p.Close()
			p.expect(t, 0, text, marked)
			p.expect(t, -1, text, "another")
			if n := strings.Count(log.String(), "passwords are checked within the server"); n != 1 {
				t.Errorf("two checks in a row have logged %d lines, want 1", n)
			}
			if strings.Contains(log.String(), marked) {
				t.Errorf("a secret is told: %s", &log)
			}
			if n := len(p.pids()); n != 0 {
				t.Errorf("%d processes are left", n)
			}
		})
	}
}

// A process that has had no time to answer is tried again later.
func TestProcessesAreTriedAgain(t *testing.T) {
	p := newPool(t, "hasher")
	p.patience, p.starvedFor = -time.Hour, 0
	text := []string{verifier.Derive([]byte("right"))}
	p.expect(t, 0, text, "right")
	if n := len(p.pids()); n != 0 {
		t.Errorf("%d processes that were late are left", n)
	}
	p.patience = time.Minute
	p.expect(t, 0, text, "right")
	if n := len(p.pids()); n != 1 {
		t.Errorf("%d processes have checked, want 1", n)
	}
}

// A process that neither answers nor ends is killed: by Match when its patience is over, by Close when its grace is.
func TestProcessThatSleeps(t *testing.T) {
	const soon = 50 * time.Millisecond
	p := newPool(t, "sleeps")
	p.patience, p.grace, p.starvedFor = soon, soon, 0
	p.expectCheck(t)
	p.patience = time.Hour
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		p.expectCheck(t)
	}()
	testkit.Eventually(t, deadline, "process", func() bool { return len(p.pids()) > 0 }, nil)
	within(t, "Close", p.Close)
	within(t, "Match", func() { <-checked })
	p.expectNone(t)
}

// expectCheck wants Match to answer in time.
func (p *Pool) expectCheck(t *testing.T) {
	t.Helper()
	within(t, "Match", func() { p.expect(t, -1, nil, "") })
}

// expectNone wants no process left, neither of the pool nor of this program.
func (p *Pool) expectNone(t *testing.T) {
	t.Helper()
	if left := p.pids(); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("this program has a process still, or one that was not waited for: %v", err)
	}
}

// within wants something to be done in time: well before a process that sleeps ends by itself.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(deadline):
		t.Errorf("%s has not returned", what)
	}
}

// A program that cannot work is not tried again and again.
func TestProcessThatDiesIsStartedOnce(t *testing.T) {
	list := filepath.Join(t.TempDir(), "started")
	p := NewPool([]string{"/bin/sh", "-c", `echo started >>"$0"`, list}, slog.New(slog.DiscardHandler))
	p.patience, p.starvedFor = time.Minute, 0
	t.Cleanup(p.Close)
	for checks := 1; checks <= 2; checks++ {
		p.expectCheck(t)
		text, err := os.ReadFile(list)
		if n := bytes.Count(text, []byte("\n")); err != nil || n != checks {
			t.Errorf("%d processes were started for %d checks; %v", n, checks, err)
		}
	}
}

// After Close none is even tried: a process that is started and killed at once would have no time to tell of itself, but one
// that cannot be started gives another error.
func TestNoProcessAfterClose(t *testing.T) {
	p := NewPool([]string{"/nonexistent"}, slog.New(slog.DiscardHandler))
	p.Close()
	if _, err := p.Match(nil, nil); !errors.Is(err, errClosed) {
		t.Errorf("Match gives %v", err)
	}
}

func TestIdleProcessesEnd(t *testing.T) {
	p := newPool(t, "hasher")
	p.idleFor = 10 * time.Millisecond
	p.expect(t, -1, nil, "")
	testkit.Eventually(t, deadline, "end of the process", func() bool { return len(p.pids()) == 0 }, nil)
	p.expect(t, -1, nil, "")
}

func TestClose(t *testing.T) {
	p := newPool(t, "hasher")
	p.expect(t, -1, nil, "")
	pid := p.pids()[0]
	p.Close()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is there after Close: %v", err)
	}
	if _, err := p.Match(nil, nil); !errors.Is(err, errClosed) {
		t.Errorf("Match after Close gives %v", err)
	}
	if left := p.pids(); !slices.Equal(left, nil) {
		t.Errorf("%v are left", left)
	}
}

func TestRequestThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"marked", `{"password":7}`, `{"password":"bWFya2Vk"`, `{"verifiers":["marked"]}`} {
		var out bytes.Buffer
		err := Serve(strings.NewReader(text), &out)
		if err == nil || out.Len() > 0 || strings.Contains(err.Error(), "marked") {
			t.Errorf("%s gives %q, %v", text, &out, err)
		}
	}
}
