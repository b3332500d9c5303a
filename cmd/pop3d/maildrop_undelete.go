package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/maildrop"
)

func newUndelete(flags *storeFlags) *cobra.Command {
	var since string
	var all bool
	command := &cobra.Command{
		Use:   "undelete MAILBOX (NUMBER... | --since TIME | --all)",
		Short: "Restore removed messages that are still kept",
		Args:  cobra.MinimumNArgs(1),
		RunE: flags.running(func(ctx context.Context, t *tool, arguments []string) error {
			chosen, err := choice(arguments[1:], since, all)
			if err != nil {
				return misuse{err}
			}
			return t.undelete(ctx, arguments[0], chosen)
		}),
	}
	command.Flags().StringVar(&since, "since", "", "those that were removed at this `TIME` or later: 2026-11-24T12:00:00Z, "+
		"2026-11-24 (in UTC), or 2h ago as 2h")
	command.Flags().BoolVar(&all, "all", false, "all of them")
	return command
}

// chosen says which removed messages are meant: those with these numbers, or, if there are none, those removed since a time.
type chosen struct {
	numbers map[uint64]bool
	since   time.Time
}

func (c chosen) has(e maildrop.Entry) bool {
	if c.numbers != nil {
		return c.numbers[e.Number()]
	}
	return !e.Gone && !e.Removed.Before(c.since)
}

func choice(numbers []string, since string, all bool) (c chosen, err error) {
	switch {
	case all && since == "" && len(numbers) == 0:
		return chosen{}, nil
	case !all && since != "" && len(numbers) == 0:
		c.since, err = parseTime(since)
		return c, err
	case !all && since == "" && len(numbers) > 0:
		c.numbers, err = parseNumbers(numbers)
		return c, err
	}
	return chosen{}, errors.New("either numbers, or --since TIME, or --all must be given")
}

func parseNumbers(texts []string) (map[uint64]bool, error) {
	numbers := make(map[uint64]bool)
	for _, text := range texts {
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of a message: take one from pop3d maildrop list --removed", text)
		}
		numbers[number] = true
	}
	return numbers, nil
}

func parseTime(text string) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %q: must be a time as 2026-11-24T12:00:00Z, a day, or how long ago, as 2h", text)
}

// undelete restores messages. Each is read first: of one that cannot be read, nothing is to be had.
func (t *tool) undelete(ctx context.Context, name string, chosen chosen) error {
	c, err := t.inspect(ctx, name)
	if err != nil {
		return err
	}
	entries := slices.DeleteFunc(c.Messages, func(e maildrop.Entry) bool { return e.Removed.IsZero() || !chosen.has(e) })
	var change maildrop.Change
	for i, e := range entries {
		t.progress.step("messages", int64(i), int64(len(entries)))
		if _, err := t.read(ctx, c.ID, e); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			t.say("message %d, unique-id %s, cannot be restored: %v", e.Number(), e.UID(), err)
			continue
		}
		change.Restore = append(change.Restore, e.Number())
	}
	restored, err := t.restore(ctx, c.ID, change)
	if err != nil {
		return err
	}
	t.say("%s: %s restored", c.ID, plural(restored, "message"))
	if left := max(len(entries), len(chosen.numbers)) - restored; left > 0 {
		return fmt.Errorf("%s could not be restored: what can be, pop3d maildrop list --removed tells", plural(left, "message"))
	}
	return nil
}

// restore changes the maildrop and counts what is in it again: a server may have dropped something meanwhile.
func (t *tool) restore(ctx context.Context, id string, change maildrop.Change) (int, error) {
	if len(change.Restore) == 0 {
		return 0, nil
	}
	if err := t.Change(ctx, id, change); err != nil {
		return 0, err
	}
	c, err := t.Inspect(ctx, id)
	restored := 0
	for _, e := range c.Messages {
		if _, found := slices.BinarySearch(change.Restore, e.Number()); found && e.Removed.IsZero() {
			restored++
		}
	}
	return restored, err
}
