package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

func newMaildrop() *cobra.Command {
	parent := &cobra.Command{
		Use:   "maildrop",
		Short: "Look after the maildrops of a volume, also while servers run on it",
		Args:  cobra.NoArgs,
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	flags := &storeFlags{}
	parent.PersistentFlags().StringVar(&flags.store, "store", "", "folder of the maildrops")
	parent.PersistentFlags().StringVar(&flags.config, "config", "", "configuration file of a server, which names that folder")
	parent.AddCommand(newList(flags), newVerify(flags), newRepair(flags), newExport(flags), newImport(flags), newUndelete(flags),
		newStats(flags))
	return parent
}

// storeFlags are the flags that all of these commands have.
type storeFlags struct {
	store, config string
	json          bool
}

func (f *storeFlags) addJSON(command *cobra.Command) {
	command.Flags().BoolVar(&f.json, "json", false, "print JSON")
}

// tool is what these commands work with.
type tool struct {
	*maildrop.JournalStore
	root     string
	out      io.Writer
	progress *progress
	json     bool
}

// misuse is an error of how the program was called, found out by a command.
type misuse struct{ error }

// running makes a cobra function of one that works on the store.
func (f *storeFlags) running(run func(context.Context, *tool, []string) error) func(*cobra.Command, []string) error {
	return func(command *cobra.Command, arguments []string) error {
		if (f.store == "") == (f.config == "") {
			return errors.New("either --store FOLDER or --config FILE must be given")
		}
		ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal ends the program
		t, err := f.open(command)
		if err != nil {
			return failure{err}
		}
		defer t.Close()
		err = run(ctx, t, arguments)
		t.progress.end()
		if err == nil || errors.As(err, new(misuse)) {
			return err
		}
		return failure{err}
	}
}

// keepAll is what these commands keep of removed messages: what is too old is for the servers to say.
const keepAll = 200 * 365 * 24 * time.Hour

func (f *storeFlags) open(command *cobra.Command) (*tool, error) {
	root := f.store
	if f.config != "" {
		c, err := config.Load(f.config)
		if err != nil {
			return nil, err
		}
		root = c.Maildrop.Path
	}
	if err := checkStore(root); err != nil {
		return nil, err
	}
	store, err := openStore(root)
	if err != nil {
		return nil, err
	}
	return &tool{store, root, command.OutOrStdout(), newProgress(command.ErrOrStderr()), f.json}, nil
}

// openStore opens a store. What it would log, these commands tell themselves.
func openStore(root string) (*maildrop.JournalStore, error) {
	return maildrop.New(root, maildrop.Options{Log: slog.New(slog.DiscardHandler), Policy: func() maildrop.Policy {
		return maildrop.Policy{DeletedItemRetention: keepAll}
	}})
}

// checkStore refuses a folder that is none of maildrops, in which a store would be begun, and one of another user, whose
// servers could not read what is written there. An empty folder is a new volume, and one restored from a backup has no tmp/.
func checkStore(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	journals, _ := filepath.Glob(filepath.Join(root, "[a-z2-7][a-z2-7]", "*", "journal")) // the pattern is right
	info, err := os.Stat(filepath.Join(root, "tmp"))
	switch {
	case len(journals) > 0:
		info, err = os.Stat(journals[0])
	case len(entries) == 0, len(entries) == 1 && entries[0].Name() == "lost+found":
		info, err = os.Stat(root)
	}
	if err != nil {
		return fmt.Errorf("%s has no maildrops: name the folder that a server has as maildrop.path (%w)", root, err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, and a server of that user could not read what user %d makes: run this as user %d",
			root, stat.Uid, os.Geteuid(), stat.Uid)
	}
	return nil
}

var idPattern = regexp.MustCompile(`^[a-z2-7]{26}$`)

// idOf gives the id of a maildrop that is named by it, or by its address.
func idOf(name string) (string, error) {
	if idPattern.MatchString(name) {
		return name, nil
	}
	address, err := directory.Normalize(name)
	if err != nil {
		return "", misuse{fmt.Errorf("mailbox %q: neither an id, of 26 characters of a-z and 2-7, nor an address: %w", name, err)}
	}
	return directory.MailboxID(address), nil
}

// inspect gives what a maildrop has.
func (t *tool) inspect(ctx context.Context, name string) (maildrop.Contents, error) {
	id, err := idOf(name)
	if err != nil {
		return maildrop.Contents{}, err
	}
	c, err := t.Inspect(ctx, id)
	if errors.Is(err, maildrop.ErrNoMaildrop) && id != name {
		err = fmt.Errorf("%w: nothing was ever delivered to %s, or that is an alias: name the mailbox's own address", err, name)
	}
	return c, err
}

// ids gives the ids of the maildrops that are named, or else of all.
func (t *tool) ids(names []string) ([]string, error) {
	if len(names) == 0 {
		return t.Maildrops()
	}
	id, err := idOf(names[0])
	return []string{id}, err
}

// folder gives a maildrop's folder (see maildrop/format.go).
func (t *tool) folder(id string) string { return filepath.Join(t.root, id[:2], id) }

// print prints JSON, if that is asked for, or else what text gives.
func (t *tool) print(value any, text func() string) error {
	t.progress.end()
	if !t.json {
		_, err := io.WriteString(t.out, text())
		return err
	}
	encoder := json.NewEncoder(t.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// say prints a line for people.
func (t *tool) say(format string, values ...any) {
	t.progress.end()
	if !t.json {
		_, _ = fmt.Fprintf(t.out, format+"\n", values...)
	}
}

// plural puts a number in front of a word.
func plural[N int | int64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %s", n, word+"s")
}

// parting gives a scheme and what is behind it, of texts such as maildir:FOLDER.
func parting(flag, text string) (scheme, path string, err error) {
	scheme, path, ok := strings.Cut(text, ":")
	if !ok || path == "" || scheme != "maildir" && scheme != "mbox" {
		return "", "", misuse{fmt.Errorf("%s %q: must be maildir:FOLDER or mbox:FILE", flag, text)}
	}
	return scheme, path, nil
}
