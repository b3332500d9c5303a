package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// Kinds of damage.
const (
	damagedMaildrop = "maildrop" // nothing of it can be read
	damagedJournal  = "journal"  // a part of the journal
	damagedEnd      = "end"      // what is behind the journal's last good record
	damagedMessage  = "message"
)

// damage is something that verify has found.
type damage struct {
	Kind     string `json:"kind"`
	From     int64  `json:"from,omitempty"`
	To       int64  `json:"to,omitempty"`
	Number   uint64 `json:"number,omitempty"`
	UniqueID string `json:"uniqueId,omitempty"`
	Removed  bool   `json:"removed,omitempty"`
	Error    string `json:"error,omitempty"`
}

// verified is what verify tells of a maildrop.
type verified struct {
	ID       string   `json:"id"`
	Owner    string   `json:"owner"`
	Messages int64    `json:"messages"` // that were read, with those that were removed and are kept
	Octets   int64    `json:"octets"`
	PutAside int64    `json:"putAside"` // damaged messages that repair has taken out
	Damage   []damage `json:"damage"`

	contents maildrop.Contents
}

func newVerify(flags *storeFlags) *cobra.Command {
	command := &cobra.Command{
		Use:   "verify [MAILBOX]",
		Short: "Read every message of the maildrops, or of one, and check every checksum",
		Args:  cobra.MaximumNArgs(1),
		RunE:  flags.running(func(ctx context.Context, t *tool, arguments []string) error { return t.verify(ctx, arguments) }),
	}
	flags.addJSON(command)
	return command
}

func (t *tool) verify(ctx context.Context, names []string) error {
	ids, err := t.ids(names)
	if err != nil {
		return err
	}
	all, failed, err := t.examineAll(ctx, ids)
	if err != nil {
		return err
	}
	value := struct {
		Maildrops []verified `json:"maildrops"`
		Damaged   int        `json:"damaged"`
	}{all, failed}
	if err := t.print(value, func() string { return reportOf(all, failed, t.root) }); err != nil || failed == 0 {
		return err
	}
	return fmt.Errorf("of %s, %d %s damaged", plural(len(all), "maildrop"), failed, are(failed))
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func (t *tool) examineAll(ctx context.Context, ids []string) (all []verified, failed int, err error) {
	x, err := t.newExaminer()
	if err != nil {
		return nil, 0, err
	}
	defer x.close()
	all = []verified{}
	for i, id := range ids {
		v, err := x.examine(ctx, id, fmt.Sprintf("maildrop %d of %d, messages", i+1, len(ids)))
		if errors.Is(err, maildrop.ErrNoMaildrop) && len(ids) > 1 {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		if len(v.Damage) > 0 {
			failed++
		}
		v.contents = maildrop.Contents{} // it may be large
		all = append(all, v)
	}
	return all, failed, nil
}

func reportOf(all []verified, failed int, root string) string {
	var text strings.Builder
	var messages, octets, putAside int64
	for _, v := range all {
		messages, octets, putAside = messages+v.Messages, octets+v.Octets, putAside+v.PutAside
		for _, d := range v.Damage {
			_, _ = fmt.Fprintf(&text, "%s: %s\n", v.ID, d)
		}
		if len(v.Damage) > 0 {
			_, _ = fmt.Fprintf(&text, "%s: %s\n", v.ID, v.advice(root))
		}
	}
	_, _ = fmt.Fprintf(&text, "%s, %s, %s read: %d damaged\n", plural(len(all), "maildrop"), plural(messages, "message"),
		plural(octets, "octet"), failed)
	if putAside > 0 {
		_, _ = fmt.Fprintf(&text, "%s put aside by repair, and no longer counted as damage\n", plural(putAside, "message"))
	}
	return text.String()
}

// advice says what to do.
func (v verified) advice(root string) string {
	if v.Damage[0].Kind == damagedMaildrop {
		return "to do: restore the folder from a backup, and raise its unique-ids (docs/operations/maildrop.md, Restore)"
	}
	return fmt.Sprintf("to do: restore it from a backup, or keep what is good: pop3d maildrop repair --store %s %s", root, v.ID)
}

// String says what is damaged, and where.
func (d damage) String() string {
	switch d.Kind {
	case damagedJournal:
		return fmt.Sprintf("journal, octets %d to %d: no record can be read; what was written there is lost", d.From, d.To)
	case damagedEnd:
		return fmt.Sprintf("journal, octets %d to %d, its end: no record; what a killed server was writing, or the last message, "+
			"damaged", d.From, d.To)
	case damagedMessage:
		kept := ""
		if d.Removed {
			kept = ", removed"
		}
		return fmt.Sprintf("message %d, unique-id %s%s: %s", d.Number, d.UniqueID, kept, d.Error)
	}
	return "cannot be read: " + d.Error
}

// examiner finds damage.
type examiner struct {
	*tool
	// bare is a store that sees the maildrops' journals and not their indexes, in which stands what was good when they were
	// written. It is a folder of links, and the locks are the same.
	bare *maildrop.JournalStore
	view string
}

func (t *tool) newExaminer() (*examiner, error) {
	view, err := os.MkdirTemp(t.root, "verify-")
	if err != nil {
		return nil, err
	}
	bare, err := openStore(view)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(view))
	}
	return &examiner{t, bare, view}, nil
}

func (x *examiner) close() {
	x.bare.Close()
	_ = os.RemoveAll(x.view) // links; the next one has a view of its own
}

// examine reads all of a maildrop.
func (x *examiner) examine(ctx context.Context, id, what string) (verified, error) {
	c, err := x.Inspect(ctx, id)
	v := verified{ID: id, Owner: c.Owner, Damage: []damage{}, contents: c}
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, maildrop.ErrNoMaildrop) {
			return v, err
		}
		v.Damage = append(v.Damage, damage{Kind: damagedMaildrop, Error: err.Error()})
		return v, nil
	}
	if err := x.examineJournal(ctx, &v); err != nil {
		return v, err
	}
	for i, e := range c.Messages {
		x.progress.step(what, int64(i), int64(len(c.Messages)))
		if err := x.examineMessage(ctx, &v, e); err != nil {
			return v, err
		}
	}
	return v, nil
}

// examineMessage reads a message. One whose removal is no longer kept is not damaged; one that administration has removed
// and that cannot be read was put aside.
func (x *examiner) examineMessage(ctx context.Context, v *verified, e maildrop.Entry) error {
	octets, err := x.read(ctx, v.ID, e)
	if errors.Is(err, maildrop.ErrDamaged) { // its file may have been dropped between two steps: then it has vanished by now
		octets, err = x.read(ctx, v.ID, e)
	}
	switch {
	case err == nil:
		v.Messages++
		v.Octets += octets
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, maildrop.ErrVanished):
	case e.Reason == "administration":
		v.PutAside++
	default:
		v.Damage = append(v.Damage, damage{Kind: damagedMessage, Number: e.Number(), UniqueID: e.UID(),
			Removed: !e.Removed.IsZero(), Error: err.Error()})
	}
	return nil
}

// read reads a message to its end.
func (t *tool) read(ctx context.Context, id string, e maildrop.Entry) (int64, error) {
	body, err := t.OpenEntry(ctx, id, e)
	if err != nil {
		return 0, err
	}
	octets, err := io.Copy(io.Discard, body)
	return octets, errors.Join(err, body.Close())
}

// examineJournal reads all records of a journal.
func (x *examiner) examineJournal(ctx context.Context, v *verified) error {
	folder := filepath.Join(x.view, v.ID[:2], v.ID)
	if err := x.link(folder, v.ID); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	bare, err := x.bare.Inspect(ctx, v.ID)
	if err != nil {
		return err
	}
	for _, d := range bare.Damage {
		v.Damage = append(v.Damage, damage{Kind: damagedJournal, From: d.From, To: d.To})
	}
	from, to, err := x.rest(ctx, v.ID)
	if err == nil && to > from {
		v.Damage = append(v.Damage, damage{Kind: damagedEnd, From: from, To: to})
	}
	return err
}

func (x *examiner) link(folder, id string) error {
	real, err := filepath.Abs(x.folder(id))
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	for _, name := range []string{"journal", "lock"} {
		err = errors.Join(err, os.Symlink(filepath.Join(real, name), filepath.Join(folder, name)))
	}
	return err
}

// rest gives what is behind a journal's last record. A server may be writing just now: only what stays counts.
func (t *tool) rest(ctx context.Context, id string) (from, to int64, err error) {
	before, err := t.Inspect(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	info, err := os.Stat(filepath.Join(t.folder(id), "journal"))
	if err != nil {
		return 0, 0, err
	}
	after, err := t.Inspect(ctx, id)
	if err != nil || after.Generation != before.Generation || after.JournalOctets != before.JournalOctets {
		return 0, 0, err
	}
	return before.JournalOctets, info.Size(), nil
}
