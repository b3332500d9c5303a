package hashers

import (
	"bytes"
	"errors"
	"fmt"
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

	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// TestMain makes this program what a Pool starts, when it is started as one.
func TestMain(m *testing.M) {
	switch os.Args[len(os.Args)-1] {
	case "hasher":
		err := errors.Join(GiveWay(), Serve(os.Stdin, os.Stdout))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "dies":
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func newPool(t *testing.T, as string) *Pool {
	t.Helper()
	p := NewPool([]string{"/proc/self/exe", as}, slog.New(slog.DiscardHandler))
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

func (p *Pool) expect(t *testing.T, want int, verifiers []string, password string) {
	t.Helper()
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

func TestGiveWay(t *testing.T) {
	p := newPool(t, "hasher")
	p.expect(t, -1, nil, "")
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pids()[0]))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("threads: %v, %v", tasks, err)
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			t.Fatal(err)
		}
		const field = 19 - 3 // of those behind the name (proc_pid_stat(5))
		_, fields, _ := strings.Cut(string(stat), ") ")
		if got := strings.Fields(fields)[field]; got != "19" {
			t.Errorf("a thread has the niceness %s", got)
		}
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

func TestCheckThatCannotBeMade(t *testing.T) {
	const marked = "marked-secret"
	pools := map[string]struct {
		argv     []string
		verifier string
	}{
		"dies":        {[]string{"/proc/self/exe", "dies"}, verifier.Derive([]byte(marked))},
		"not there":   {[]string{"/nonexistent"}, verifier.Derive([]byte(marked))},
		"no verifier": {[]string{"/proc/self/exe", "hasher"}, "{ARGON2ID}" + marked},
	}
	for name, c := range pools {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			p := NewPool(c.argv, slog.New(slog.NewTextHandler(&log, nil)))
			defer p.Close()
			matched, err := p.Match([]string{c.verifier}, []byte(marked))
			if err == nil || matched != -1 {
				t.Fatalf("gives %d, %v", matched, err)
			}
			if strings.Contains(err.Error()+log.String(), marked) {
				t.Errorf("a secret is told: %v; log: %s", err, &log)
			}
			if n := len(p.pids()); n != 0 {
				t.Errorf("%d processes are left", n)
			}
		})
	}
}

func TestIdleProcessesEnd(t *testing.T) {
	p := newPool(t, "hasher")
	p.idleFor = 10 * time.Millisecond
	p.expect(t, -1, nil, "")
	for begun := time.Now(); len(p.pids()) > 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("the process has not ended")
		}
	}
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
