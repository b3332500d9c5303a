package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// maildropRow is a maildrop in what list prints.
type maildropRow struct {
	ID            string `json:"id"`
	Owner         string `json:"owner"`
	Messages      int64  `json:"messages"`
	StorageOctets int64  `json:"storageOctets"`
	NextUniqueID  uint64 `json:"nextUniqueId"`
}

// messageRow is a message in what list prints.
type messageRow struct {
	Number        uint64     `json:"number"`
	UniqueID      string     `json:"uniqueId"`
	Octets        int64      `json:"octets"`
	StorageOctets int64      `json:"storageOctets"`
	Received      time.Time  `json:"received"`
	Seen          bool       `json:"seen"`
	Removed       *time.Time `json:"removed,omitempty"`
	Reason        string     `json:"reason,omitempty"`
}

func newList(flags *storeFlags) *cobra.Command {
	var removed bool
	command := &cobra.Command{
		Use:   "list [MAILBOX]",
		Short: "List the maildrops, or the messages of one",
		Args:  cobra.MaximumNArgs(1),
		RunE: flags.running(func(ctx context.Context, t *tool, arguments []string) error {
			if len(arguments) == 0 {
				return t.listMaildrops(ctx)
			}
			return t.listMessages(ctx, arguments[0], removed)
		}),
	}
	command.Flags().BoolVar(&removed, "removed", false, "also list messages that were removed and can be restored")
	flags.addJSON(command)
	return command
}

func rowOf(c maildrop.Contents) maildropRow {
	return maildropRow{c.ID, c.Owner, c.Usage.Messages, c.Usage.StorageOctets, c.NextUID}
}

// each inspects maildrops one after the other. One that cannot be read does not keep it from the others.
func (t *tool) each(ctx context.Context, what string, ids []string, visit func(maildrop.Contents) error) error {
	var failed error
	for i, id := range ids {
		t.progress.step(what, int64(i), int64(len(ids)))
		c, err := t.Inspect(ctx, id)
		if errors.Is(err, maildrop.ErrNoMaildrop) && len(ids) > 1 {
			continue // it was there when the folders were listed
		}
		if err == nil {
			err = visit(c)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func (t *tool) listMaildrops(ctx context.Context) error {
	ids, err := t.Maildrops()
	if err != nil {
		return err
	}
	rows := []maildropRow{}
	failed := t.each(ctx, "maildrops", ids, func(c maildrop.Contents) error {
		rows = append(rows, rowOf(c))
		return nil
	})
	printed := t.print(map[string]any{"maildrops": rows}, func() string {
		return table("ID\tOWNER\tMESSAGES\tSTORAGE\tNEXT-UID", rows, func(r maildropRow) string {
			return fmt.Sprintf("%s\t%s\t%d\t%d\t%d", r.ID, dash(r.Owner), r.Messages, r.StorageOctets, r.NextUniqueID)
		})
	})
	return errors.Join(failed, printed)
}

func (t *tool) listMessages(ctx context.Context, name string, removed bool) error {
	c, err := t.inspect(ctx, name)
	if err != nil {
		return err
	}
	rows := []messageRow{}
	for _, e := range c.Messages {
		if e.Removed.IsZero() || removed && !e.Gone {
			rows = append(rows, messageRowOf(e))
		}
	}
	value := struct {
		maildropRow
		Entries []messageRow `json:"entries"`
	}{rowOf(c), rows}
	return t.print(value, func() string {
		head := "NUMBER\tUNIQUE-ID\tOCTETS\tSTORAGE\tRECEIVED\tSEEN"
		if removed {
			head += "\tREMOVED\tREASON"
		}
		return table(head, rows, func(r messageRow) string { return r.text(removed) })
	})
}

func messageRowOf(e maildrop.Entry) messageRow {
	r := messageRow{e.Number(), e.UID(), e.Octets, e.StorageOctets, e.Received(), e.Seen, nil, e.Reason}
	if !e.Removed.IsZero() {
		r.Removed = &e.Removed
	}
	return r
}

func (r messageRow) text(removed bool) string {
	seen := "no"
	if r.Seen {
		seen = "yes"
	}
	received := r.Received.Format(time.RFC3339)
	line := fmt.Sprintf("%d\t%s\t%d\t%d\t%s\t%s", r.Number, r.UniqueID, r.Octets, r.StorageOctets, received, seen)
	switch {
	case r.Removed != nil:
		line += fmt.Sprintf("\t%s\t%s", r.Removed.Format(time.RFC3339), r.Reason)
	case removed:
		line += "\t-\t-"
	}
	return line
}

// table brings rows into columns.
func table[T any](head string, rows []T, line func(T) string) string {
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(columns, head)
	for _, r := range rows {
		_, _ = fmt.Fprintln(columns, line(r))
	}
	_ = columns.Flush() // into memory
	return text.String()
}

// dash stands for what is empty.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
