package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/maildrop"
	"github.com/popservice/popservice/pop3server/portable"
)

// exported is what export tells.
type exported struct {
	ID       string   `json:"id"`
	To       string   `json:"to"`
	Messages int64    `json:"messages"`
	Octets   int64    `json:"octets"`
	Damage   []damage `json:"damage"` // messages that were left out
}

func newExport(flags *storeFlags) *cobra.Command {
	var to string
	command := &cobra.Command{
		Use:   "export MAILBOX --to (maildir:FOLDER | mbox:FILE)",
		Short: "Write the messages of a maildrop for another server, with their unique-ids",
		Args:  cobra.ExactArgs(1),
		RunE: flags.running(func(ctx context.Context, t *tool, arguments []string) error {
			return t.export(ctx, arguments[0], to)
		}),
	}
	command.Flags().StringVar(&to, "to", "", "where to: `maildir:FOLDER` or mbox:FILE, which must not be there yet")
	_ = command.MarkFlagRequired("to") // it fails only where there is no such flag
	flags.addJSON(command)
	return command
}

// writer writes messages in one of the forms of package portable.
type writer interface {
	Add(m portable.Message, body io.Reader) error
	Close() error
}

func (t *tool) export(ctx context.Context, name, to string) error {
	scheme, path, err := parting("--to", to)
	if err != nil {
		return err
	}
	c, err := t.inspect(ctx, name)
	if err != nil {
		return err
	}
	w, err := create(scheme, path, c)
	if err != nil {
		return err
	}
	x := exported{ID: c.ID, To: to, Damage: []damage{}}
	err = errors.Join(t.exportAll(ctx, c, w, &x), w.Close())
	if err != nil {
		return fmt.Errorf("%w; remove %s before the next try", err, path)
	}
	if err := t.print(x, x.text); err != nil || len(x.Damage) == 0 {
		return err
	}
	return fmt.Errorf("%s damaged and left out", plural(len(x.Damage), "message"))
}

func create(scheme, path string, c maildrop.Contents) (writer, error) {
	if scheme == "mbox" {
		return portable.CreateMbox(path)
	}
	return portable.CreateMaildir(path, c.Made, c.ID)
}

func (t *tool) exportAll(ctx context.Context, c maildrop.Contents, w writer, x *exported) error {
	for i, e := range c.Messages {
		t.progress.step("messages", int64(i), int64(len(c.Messages)))
		if !e.Removed.IsZero() {
			continue
		}
		err := t.exportOne(ctx, c.ID, e, w)
		switch {
		case err == nil:
			x.Messages++
			x.Octets += e.Octets
		case errors.Is(err, maildrop.ErrDamaged):
			x.Damage = append(x.Damage, damage{Kind: damagedMessage, Number: e.Number(), UniqueID: e.UID(), Error: err.Error()})
		case errors.Is(err, maildrop.ErrVanished): // it was removed meanwhile
		default:
			return err
		}
	}
	return nil
}

func (t *tool) exportOne(ctx context.Context, id string, e maildrop.Entry, w writer) error {
	body, err := t.OpenEntry(ctx, id, e)
	if err != nil {
		return err
	}
	m := portable.Message{UID: e.UID(), Received: e.Received(), Seen: e.Seen}
	return errors.Join(w.Add(m, body), body.Close())
}

func (x *exported) text() string {
	text := ""
	for _, d := range x.Damage {
		text += fmt.Sprintf("%s: %s\n", x.ID, d)
	}
	return text + fmt.Sprintf("%s: %s, %s, written to %s\n", x.ID, plural(x.Messages, "message"), plural(x.Octets, "octet"), x.To)
}
