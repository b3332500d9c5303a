package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// maxUID leaves room for later messages.
const maxUID = 1 << 62

func newRepair(flags *storeFlags) *cobra.Command {
	var raise string
	var all bool
	command := &cobra.Command{
		Use:   "repair MAILBOX | --all",
		Short: "Keep what is good of a damaged maildrop; raise unique-ids after a restore from a backup",
		Args:  cobra.MaximumNArgs(1),
		RunE: flags.running(func(ctx context.Context, t *tool, arguments []string) error {
			if all == (len(arguments) > 0) {
				return misuse{errors.New("either a mailbox or --all must be given")}
			}
			by, err := parseRaise(raise)
			if err != nil {
				return err
			}
			return t.repair(ctx, arguments, by)
		}),
	}
	command.Flags().BoolVar(&all, "all", false, "all maildrops")
	command.Flags().StringVar(&raise, "raise-uid", "", "raise the next unique-id to `N`, or, with +N, by N")
	return command
}

// raising is how the next unique-id is raised.
type raising struct {
	number   uint64
	relative bool
}

func parseRaise(text string) (raising, error) {
	if text == "" {
		return raising{relative: true}, nil
	}
	digits, relative := strings.CutPrefix(text, "+")
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || number == 0 || number > maxUID {
		return raising{}, misuse{fmt.Errorf("--raise-uid %q: must be a number from 1 to %d, or one behind +", text, int64(maxUID))}
	}
	return raising{number, relative}, nil
}

func (t *tool) repair(ctx context.Context, names []string, by raising) error {
	ids, err := t.ids(names)
	if err != nil {
		return err
	}
	x, err := t.newExaminer()
	if err != nil {
		return err
	}
	defer x.close()
	var failed error
	for i, id := range ids {
		v, err := x.examine(ctx, id, fmt.Sprintf("maildrop %d of %d, messages", i+1, len(ids)))
		if err == nil {
			err = t.heal(ctx, v)
		}
		if err == nil {
			err = t.raise(ctx, id, by)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", id, err))
		}
	}
	return failed
}

// heal keeps what is good. What is not stays beside the journal.
func (t *tool) heal(ctx context.Context, v verified) error {
	if len(v.Damage) == 0 {
		t.say("%s: nothing is damaged", v.ID)
		return nil
	}
	if v.Damage[0].Kind == damagedMaildrop {
		return fmt.Errorf("%s; %s", v.Damage[0], v.advice(t.root))
	}
	if err := t.keepEnd(v); err != nil {
		return err
	}
	change, err := t.putAside(ctx, v)
	if err != nil {
		return err
	}
	// A change also cuts off what is behind the last record, and raises the next unique-id above what stood there.
	if err := t.Change(ctx, v.ID, change); err != nil {
		return err
	}
	kept, err := t.keepJournal(ctx, v.ID)
	if err != nil {
		return err
	}
	if err := t.Compact(ctx, v.ID); err != nil {
		return err
	}
	for _, d := range v.Damage {
		t.say("%s: lost: %s", v.ID, d)
	}
	t.say("%s: what is good is in a new journal; the damaged one is kept as %s", v.ID, kept)
	return nil
}

// keepEnd copies what is behind the last record.
func (t *tool) keepEnd(v verified) error {
	for _, d := range v.Damage {
		if d.Kind != damagedEnd {
			continue
		}
		journal, err := os.Open(filepath.Join(t.folder(v.ID), "journal"))
		if err != nil {
			return err
		}
		defer func() { _ = journal.Close() }()
		return t.keep(v, fmt.Sprintf("end-%d", d.From), io.NewSectionReader(journal, d.From, d.To-d.From))
	}
	return nil
}

// damagedPath gives the name of what is kept of a damaged journal. The store removes what is called like this with the
// maildrop's mail, when that is given up.
func (t *tool) damagedPath(c maildrop.Contents) string {
	return filepath.Join(t.folder(c.ID), fmt.Sprintf("journal.damaged-%d", c.Generation))
}

// keep writes a file into a maildrop's folder, beside the journal.
func (t *tool) keep(v verified, name string, text io.Reader) error {
	path := t.damagedPath(v.contents) + "-" + name
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, text)
	if errors.Is(err, maildrop.ErrDamaged) {
		err = nil
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil || n == 0 {
		return errors.Join(err, os.Remove(path))
	}
	t.say("%s: %s kept in %s", v.ID, plural(n, "octet"), path)
	return nil
}

// putAside gives the change by which damaged messages are no longer in the maildrop. As far as a message's text can be read,
// it is kept. One that was removed before is removed once more, for another reason, by which verify knows it.
func (t *tool) putAside(ctx context.Context, v verified) (maildrop.Change, error) {
	numbers := make(map[uint64]bool)
	for _, d := range v.Damage {
		numbers[d.Number] = d.Kind == damagedMessage
	}
	var change maildrop.Change
	for _, e := range v.contents.Messages {
		if !numbers[e.Number()] {
			continue
		}
		if !e.Removed.IsZero() {
			change.Restore = append(change.Restore, e.Number())
		}
		change.Remove = append(change.Remove, e.Number())
		body, err := t.OpenEntry(ctx, v.ID, e)
		if err != nil { // nothing of it can be read
			continue
		}
		err = errors.Join(t.keep(v, fmt.Sprintf("message-%d", e.Number()), body), body.Close())
		if err != nil {
			return change, err
		}
	}
	return change, nil
}

// keepJournal keeps the journal that Compact replaces, unless a repair that was interrupted has. There may be another one of
// the same generation, from before a restore.
func (t *tool) keepJournal(ctx context.Context, id string) (kept string, err error) {
	c, err := t.Inspect(ctx, id)
	if err != nil {
		return "", err
	}
	journal := filepath.Join(t.folder(id), "journal")
	kept = t.damagedPath(c)
	for n := 2; ; n++ {
		if sameFile(journal, kept) {
			return kept, nil
		}
		if err := os.Link(journal, kept); !errors.Is(err, fs.ErrExist) {
			return kept, err
		}
		kept = fmt.Sprintf("%s-%d", t.damagedPath(c), n)
	}
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func (t *tool) raise(ctx context.Context, id string, by raising) error {
	if by.relative && by.number == 0 {
		return nil
	}
	c, err := t.Inspect(ctx, id)
	if err != nil {
		return err
	}
	next := by.number
	if by.relative {
		next += c.NextUID
	}
	if next <= c.NextUID {
		t.say("%s: the next unique-id is %d already", id, c.NextUID)
		return nil
	}
	if next > maxUID {
		return fmt.Errorf("unique-id %d: a number this high would leave none for later messages", next)
	}
	if err := t.Change(ctx, id, maildrop.Change{NextUID: next}); err != nil {
		return err
	}
	t.say("%s: the next unique-id was %d and is %d", id, c.NextUID, next)
	return nil
}
