package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// mailboxOf gives the maildrop of a mailbox.
func mailboxOf(b box) maildrop.Mailbox { return maildrop.Mailbox{ID: b.id(), Owner: owner} }

func openStore(b *testing.B, root string) *maildrop.JournalStore {
	b.Helper()
	store, err := maildrop.New(root, maildrop.Options{Log: slog.New(slog.DiscardHandler)})
	must(b, err)
	return store
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// filled gives the folder of a store in which a maildrop is filled and has its index.
func filled(b *testing.B, drop box) (root string) {
	b.Helper()
	root = b.TempDir()
	must(b, fillMaildrops(context.Background(), root, []box{drop}))
	store := openStore(b, root)
	open(b, store, drop)
	store.Close()
	must(b, syncVolume(root))
	return root
}

// open opens and closes a maildrop.
func open(b *testing.B, store *maildrop.JournalStore, drop box) {
	b.Helper()
	session, err := store.Open(context.Background(), mailboxOf(drop))
	must(b, err)
	if got := len(session.Messages()); got != drop.messages {
		b.Fatalf("%d messages, want %d", got, drop.messages)
	}
	must(b, session.Close())
}

// BenchmarkOpen opens a maildrop: warm, one that the store knows; cold, in a store that was just made; unindexed, the same,
// where the whole journal has to be read.
func BenchmarkOpen(b *testing.B) {
	for _, messages := range []int{10_000, 100_000} {
		drop := listBox(messages)
		root := filled(b, drop)
		b.Run(thousands(messages)+"/warm", func(b *testing.B) {
			store := openStore(b, root)
			defer store.Close()
			open(b, store, drop)
			for b.Loop() {
				open(b, store, drop)
			}
		})
		b.Run(thousands(messages)+"/cold", func(b *testing.B) { openCold(b, root, drop, func() {}) })
		b.Run(thousands(messages)+"/unindexed", func(b *testing.B) {
			openCold(b, root, drop, func() {
				err := os.Remove(filepath.Join(folderOf(root, drop), "index"))
				if !errors.Is(err, fs.ErrNotExist) {
					must(b, err)
				}
			})
		})
	}
}

func folderOf(root string, drop box) string { return filepath.Join(root, drop.id()[:2], drop.id()) }

func openCold(b *testing.B, root string, drop box, before func()) {
	for b.Loop() {
		b.StopTimer()
		before()
		store := openStore(b, root)
		b.StartTimer()
		open(b, store, drop)
		b.StopTimer()
		store.Close()
		b.StartTimer()
	}
}

// BenchmarkDeliver delivers messages of 2 KB durably.
func BenchmarkDeliver(b *testing.B) {
	store := openStore(b, b.TempDir())
	defer store.Close()
	drop := listBox(0)
	text := message(drop, 0)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		results, err := store.Deliver(context.Background(), []maildrop.Recipient{{Mailbox: mailboxOf(drop)}}, bytes.NewReader(text))
		must(b, errors.Join(append(results, err)...))
	}
}

// BenchmarkDelete removes all of 10,000 messages durably. They are small, which makes no difference to that.
func BenchmarkDelete(b *testing.B) {
	drop := box{name: "delete", messages: 10_000, octets: 64}
	root := filled(b, drop)
	original := b.TempDir()
	must(b, os.CopyFS(filepath.Join(original, "drop"), os.DirFS(folderOf(root, drop))))
	for b.Loop() {
		b.StopTimer()
		must(b, os.RemoveAll(folderOf(root, drop)))
		must(b, os.CopyFS(folderOf(root, drop), os.DirFS(filepath.Join(original, "drop"))))
		must(b, syncVolume(root))
		store := openStore(b, root)
		session, err := store.Open(context.Background(), mailboxOf(drop))
		must(b, err)
		messages := session.Messages()
		if len(messages) != drop.messages {
			b.Fatalf("%d messages, want %d", len(messages), drop.messages)
		}
		b.StartTimer()
		must(b, session.Delete(context.Background(), messages))
		b.StopTimer()
		must(b, session.Close())
		store.Close()
		b.StartTimer()
	}
}

// BenchmarkBody reads messages of 2 KB, one after the other.
func BenchmarkBody(b *testing.B) {
	drop := listBox(10_000)
	store := openStore(b, filled(b, drop))
	defer store.Close()
	session, err := store.Open(context.Background(), mailboxOf(drop))
	must(b, err)
	defer func() { must(b, session.Close()) }()
	messages := session.Messages()
	buffer := make([]byte, 32<<10)
	b.SetBytes(messages[0].Octets)
	for i := 0; b.Loop(); i++ {
		m := messages[i%len(messages)]
		body, err := session.Body(context.Background(), m)
		must(b, err)
		n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{body}, buffer)
		must(b, err)
		if n != m.Octets {
			b.Fatalf("%d octets, want %d", n, m.Octets)
		}
		must(b, body.Close())
	}
}
