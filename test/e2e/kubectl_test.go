//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// commandLimit ends a program that hangs.
const commandLimit = time.Minute

// try runs a program and gives what it printed, in both streams in their order.
func try(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	return tryFor(t, commandLimit, stdin, program, args...)
}

// tryFor is try with another limit.
func tryFor(t *testing.T, limit time.Duration, stdin, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit)
	defer cancel()
	var output bytes.Buffer
	command := exec.CommandContext(ctx, program, args...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &output, &output
	err := command.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, output.String())
	}
	return output.String(), err
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	output, err := try(t, "", "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// applyText applies a manifest. What the API server refuses is an error with its reasons.
func applyText(t *testing.T, namespace, manifest string, options ...string) error {
	t.Helper()
	_, err := try(t, manifest, "kubectl", append([]string{"apply", "--namespace", namespace, "-f", "-"}, options...)...)
	return err
}
