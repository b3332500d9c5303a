package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// fill declares the mailboxes to both servers and gives them the same mail.
func (h *house) fill(ctx context.Context, boxes []box) error {
	total := 0
	for _, b := range boxes {
		total += b.messages
	}
	say("filling %d mailboxes with %d messages, for each server", len(boxes), total)
	ours, peer := h.servers[0].dir, h.servers[1].dir
	if err := errors.Join(writeDirectory(ours, boxes), writeUsers(peer, boxes)); err != nil {
		return err
	}
	if err := fillMaildirs(ctx, filepath.Join(peer, "mail"), boxes); err != nil {
		return err
	}
	if err := fillMaildrops(ctx, filepath.Join(ours, "maildrops"), boxes); err != nil {
		return err
	}
	return syncVolume(h.dir)
}

// syncVolume writes all that is to be written, so that it does not disturb what is measured.
func syncVolume(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(folder.Fd())), folder.Close())
}

func fillMaildrops(ctx context.Context, root string, boxes []box) error {
	store, err := maildrop.New(root, maildrop.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer store.Close()
	for _, b := range boxes {
		if err := fillMaildrop(ctx, store, b); err != nil {
			return fmt.Errorf("fill maildrop of %s: %w", b.name, err)
		}
	}
	return nil
}

func fillMaildrop(ctx context.Context, store *maildrop.JournalStore, b box) error {
	if b.messages == 0 {
		return nil
	}
	im, err := store.NewImport(ctx, maildrop.Mailbox{ID: b.id(), Owner: owner})
	if err != nil {
		return err
	}
	for i := range b.messages {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = im.Add(maildrop.Imported{Received: received(i), Body: bytes.NewReader(message(b, i))}); err != nil {
			break
		}
	}
	return errors.Join(err, im.Close())
}

func fillMaildirs(ctx context.Context, root string, boxes []box) error {
	for _, b := range boxes {
		if err := fillMaildir(ctx, filepath.Join(root, b.name), b); err != nil {
			return fmt.Errorf("fill Maildir of %s: %w", b.name, err)
		}
	}
	return nil
}

// fillMaildir makes a Maildir as Dovecot's own deliveries leave it. Dovecot builds its index at the first login.
func fillMaildir(ctx context.Context, folder string, b box) error {
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		path := filepath.Join(folder, sub)
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		if err := os.Chown(path, mailUser, mailUser); err != nil {
			return err
		}
	}
	for i := range b.messages {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeMaildirFile(filepath.Join(folder, "cur"), i, message(b, i)); err != nil {
			return err
		}
	}
	return nil
}

// writeMaildirFile writes one message. Lines end in CRLF, as the peer is set to write them. Microseconds and process ids are
// random: names in a plain sequence would give the directory an order that no real one has.
func writeMaildirFile(cur string, number int, text []byte) error {
	name := fmt.Sprintf("%d.M%dP%d.%s,S=%d,W=%d:2,", received(number).Unix(), rand.IntN(1e6), 1000+rand.IntN(60_000), domain,
		len(text), len(text))
	file, err := os.OpenFile(filepath.Join(cur, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Chown(mailUser, mailUser), file.Close())
}
