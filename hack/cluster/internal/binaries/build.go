package binaries

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/popservice/popservice/hack/cluster/internal/progress"
	"github.com/popservice/popservice/hack/cluster/internal/tail"
)

// build makes one program unless an earlier set of versions already holds it, and links it.
func (c *Cache) build(ctx context.Context, t target, number, of int) error {
	if _, err := os.Stat(c.path(t)); err == nil {
		return c.link(t)
	}
	step := progress.Start(c.out, "building %s %s (%d of %d)", t.program.name, t.version, number, of)
	err := c.compile(ctx, t, step)
	step.End(err)
	if err != nil {
		return err
	}
	return c.link(t)
}

func (c *Cache) compile(ctx context.Context, t target, step *progress.Step) error {
	if err := os.MkdirAll(filepath.Dir(c.path(t)), 0o755); err != nil {
		return fmt.Errorf("making the cache: %w", err)
	}
	log, err := os.Create(filepath.Join(c.Logs(), "build-"+t.program.name+".log"))
	if err != nil {
		return fmt.Errorf("making the log of the build: %w", err)
	}
	defer log.Close()
	// Renamed when complete: a program that is there was built to its end.
	unfinished := c.path(t) + ".unfinished"
	if err := runBuild(goBuild(ctx, t, unfinished), log, step); err != nil {
		return fmt.Errorf("building %s: %w; the end of %s:\n%s\nWhen modules could not be fetched, check "+
			"`go env GOPROXY` and run the command again: what was built is kept",
			t.program.name, err, log.Name(), tail.Lines(log.Name(), 20))
	}
	return os.Rename(unfinished, c.path(t))
}

// goBuild is the command that builds a program. The caller's GOFLAGS and go.work must not leak into it.
func goBuild(ctx context.Context, t target, output string) *exec.Cmd {
	args := append([]string{"build", "-v", "-o", output}, t.flags()...)
	cmd := exec.CommandContext(ctx, "go", append(args, t.program.pkg)...)
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	return cmd
}

// runBuild copies the build's output to its log and counts the lines: `go build -v` prints one a compiled package.
func runBuild(cmd *exec.Cmd, log io.Writer, step *progress.Step) error {
	output, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(output)
	for n := 1; lines.Scan(); n++ {
		fmt.Fprintln(log, lines.Text())
		step.Detail("%d packages so far", n)
	}
	if err := lines.Err(); err != nil {
		_, _ = io.Copy(log, output)
	}
	return cmd.Wait()
}
