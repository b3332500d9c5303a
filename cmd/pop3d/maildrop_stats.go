package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// statsRow is what stats prints of a maildrop, and of all of them together.
type statsRow struct {
	ID                   string `json:"id,omitempty"`
	Owner                string `json:"owner,omitempty"`
	Messages             int64  `json:"messages"`
	Octets               int64  `json:"octets"`
	StorageOctets        int64  `json:"storageOctets"`
	RemovedMessages      int64  `json:"removedMessages"`
	RemovedStorageOctets int64  `json:"removedStorageOctets"`
	JournalOctets        int64  `json:"journalOctets"`
	BodyFileOctets       int64  `json:"bodyFileOctets"`
	GarbageOctets        int64  `json:"garbageOctets"`
	DamagedParts         int64  `json:"damagedParts"`
}

func newStats(flags *storeFlags) *cobra.Command {
	command := &cobra.Command{
		Use:   "stats [MAILBOX]",
		Short: "Count what the maildrops, or one of them, have and take on the volume",
		Args:  cobra.MaximumNArgs(1),
		RunE:  flags.running(func(ctx context.Context, t *tool, arguments []string) error { return t.stats(ctx, arguments) }),
	}
	flags.addJSON(command)
	return command
}

func (t *tool) stats(ctx context.Context, names []string) error {
	ids, err := t.ids(names)
	if err != nil {
		return err
	}
	rows, total := []statsRow{}, statsRow{}
	failed := t.each(ctx, "maildrops", ids, func(c maildrop.Contents) error {
		row, err := t.statsOf(c)
		rows = append(rows, row)
		total.add(row)
		return err
	})
	value := struct {
		Maildrops []statsRow `json:"maildrops"`
		Total     statsRow   `json:"total"`
	}{rows, total}
	return errors.Join(failed, t.print(value, func() string {
		total.ID = "total"
		head := "ID\tMESSAGES\tOCTETS\tSTORAGE\tREMOVED\tREMOVED-STORAGE\tJOURNAL\tBODY-FILES\tGARBAGE\tDAMAGED-PARTS"
		return table(head, append(rows, total), statsRow.text)
	}))
}

func (t *tool) statsOf(c maildrop.Contents) (statsRow, error) {
	r := statsRow{ID: c.ID, Owner: c.Owner, Messages: c.Usage.Messages, StorageOctets: c.Usage.StorageOctets,
		JournalOctets: c.JournalOctets, DamagedParts: int64(len(c.Damage))}
	for _, e := range c.Messages {
		if e.Removed.IsZero() {
			r.Octets += e.Octets
			continue
		}
		if e.Gone {
			continue
		}
		r.RemovedMessages++
		r.RemovedStorageOctets += e.StorageOctets
	}
	var err error
	r.BodyFileOctets, err = octetsIn(filepath.Join(t.folder(c.ID), "b"))
	// What a message's storage counts is its record and its file; all that is more belongs to none.
	r.GarbageOctets = max(0, r.JournalOctets+r.BodyFileOctets-r.StorageOctets-r.RemovedStorageOctets)
	return r, err
}

// octetsIn gives how large the files in a folder are together.
func octetsIn(folder string) (octets int64, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil { // it may be gone by now
			octets += info.Size()
		}
	}
	return octets, err
}

func (r *statsRow) add(o statsRow) {
	r.Messages += o.Messages
	r.Octets += o.Octets
	r.StorageOctets += o.StorageOctets
	r.RemovedMessages += o.RemovedMessages
	r.RemovedStorageOctets += o.RemovedStorageOctets
	r.JournalOctets += o.JournalOctets
	r.BodyFileOctets += o.BodyFileOctets
	r.GarbageOctets += o.GarbageOctets
	r.DamagedParts += o.DamagedParts
}

func (r statsRow) text() string {
	return fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d", r.ID, r.Messages, r.Octets, r.StorageOctets, r.RemovedMessages,
		r.RemovedStorageOctets, r.JournalOctets, r.BodyFileOctets, r.GarbageOctets, r.DamagedParts)
}
