package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/popservice/popservice/pop3server/maildrop"
	"github.com/popservice/popservice/pop3server/portable"
)

// importFlags are what an import is told.
type importFlags struct {
	from, owner, list, format, quoting string
}

// imported is what import tells.
type imported struct {
	ID       string `json:"id"`
	From     string `json:"from"`
	Messages int    `json:"messages"` // that the source has
	Imported int    `json:"imported"`
	Known    int    `json:"known"`    // that were there already, from an import before
	Renamed  int    `json:"renamed"`  // whose unique-id is that of another message, and got -2, -3 … behind it
	Vanished int    `json:"vanished"` // that were removed from the source meanwhile
}

func newImport(flags *storeFlags) *cobra.Command {
	f := &importFlags{}
	command := &cobra.Command{
		Use:   "import MAILBOX --from (maildir:FOLDER | mbox:FILE)",
		Short: "Take over the messages of another server, with their unique-ids",
		Args:  cobra.ExactArgs(1),
		RunE: flags.running(func(ctx context.Context, t *tool, arguments []string) error {
			return t.importFrom(ctx, arguments[0], f)
		}),
	}
	options := command.Flags()
	options.StringVar(&f.from, "from", "", "where from: `maildir:FOLDER` or mbox:FILE")
	options.StringVar(&f.owner, "owner", "", "`NAMESPACE/NAME` of the Mailbox that is to own a maildrop which does not exist yet")
	options.StringVar(&f.list, "uidl-list", "", "`FILE` with a unique-id a line, each with its message's file, or in order")
	options.StringVar(&f.format, "pop3-uidl-format", "", "Dovecot's setting of this name, where dovecot-uidlist has no unique-id "+
		"(default "+portable.DovecotUIDs+")")
	options.StringVar(&f.quoting, "mbox-format", string(portable.MboxRD),
		"how lines that begin with \"From \" are quoted: mboxrd or mboxo")
	_ = command.MarkFlagRequired("from") // it fails only where there is no such flag
	flags.addJSON(command)
	return command
}

func (t *tool) importFrom(ctx context.Context, name string, f *importFlags) error {
	id, err := idOf(name)
	if err != nil {
		return err
	}
	scheme, path, err := parting("--from", f.from)
	if err != nil {
		return err
	}
	owner, err := t.ownerOf(ctx, id, f.owner)
	if err != nil {
		return err
	}
	source, err := t.openSource(scheme, path, f)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	im := &importing{tool: t, mailbox: maildrop.Mailbox{ID: id, Owner: owner}, source: source, taken: make(map[string]bool),
		told: imported{ID: id, From: f.from, Messages: len(source.Messages())}}
	if err := im.run(ctx); err != nil {
		return fmt.Errorf("%w; start the same import again to go on: what is there already is passed over", err)
	}
	return t.print(im.told, im.told.text)
}

// ownerOf gives who owns the maildrop; of one that does not exist yet, whoever is to.
func (t *tool) ownerOf(ctx context.Context, id, given string) (string, error) {
	c, err := t.Inspect(ctx, id)
	if err != nil && !errors.Is(err, maildrop.ErrNoMaildrop) {
		return "", err
	}
	owner := cmp.Or(given, c.Owner)
	if owner == "" {
		return "", fmt.Errorf("maildrop %s has no owner yet: name the Mailbox that is to have it, with --owner NAMESPACE/NAME", id)
	}
	return owner, nil
}

func (t *tool) openSource(scheme, path string, f *importFlags) (portable.Source, error) {
	source, err := t.openScheme(scheme, path, f)
	if err != nil || f.list == "" {
		return source, err
	}
	if err := applyList(f.list, source); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.list, err), source.Close())
	}
	return source, nil
}

func (t *tool) openScheme(scheme, path string, f *importFlags) (portable.Source, error) {
	if scheme == "maildir" {
		var format *portable.UIDFormat
		if f.format != "" {
			var err error
			if format, err = portable.ParseUIDFormat(f.format); err != nil {
				return nil, misuse{err}
			}
		}
		return portable.OpenMaildir(path, format)
	}
	quoting := portable.Quoting(f.quoting)
	if quoting != portable.MboxRD && quoting != portable.MboxO {
		return nil, misuse{fmt.Errorf("--mbox-format %q: must be mboxrd or mboxo", f.quoting)}
	}
	return portable.OpenMbox(path, quoting, func(done, all int64) { t.progress.step("octets looked through", done, all) })
}

func applyList(path string, source portable.Source) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	list, err := portable.ReadUIDLs(file)
	if err != nil {
		return err
	}
	return list.Apply(source)
}

// importing is an import at work.
type importing struct {
	*tool
	mailbox maildrop.Mailbox
	source  portable.Source
	there   map[string]int64 // when the messages were received that the maildrop has, by their unique-ids
	taken   map[string]bool  // unique-ids that messages of the source have got
	told    imported
}

// run takes over all messages. The next unique-id is raised above the source's numbers before more than the first one is
// written, so that a server that delivers meanwhile takes none of them.
func (im *importing) run(ctx context.Context) error {
	next, all := im.highest()+1, im.told.Messages
	_, err := im.Inspect(ctx, im.mailbox.ID)
	from := 0
	if errors.Is(err, maildrop.ErrNoMaildrop) && next > 1 {
		from = 1
		err = im.part(ctx, 0, from)
	}
	if next > 1 && err == nil {
		err = im.Change(ctx, im.mailbox.ID, maildrop.Change{NextUID: next, ForImport: true})
	}
	if err != nil && !errors.Is(err, maildrop.ErrNoMaildrop) {
		return err
	}
	return im.part(ctx, from, all)
}

// highest gives the highest unique-id of the source that is a number as the store gives it, without zeros in front.
func (im *importing) highest() (highest uint64) {
	for _, m := range im.source.Messages() {
		if number, err := strconv.ParseUint(m.UID, 10, 64); err == nil && number < maxUID && m.UID[0] != '0' {
			highest = max(highest, number)
		}
	}
	return highest
}

// part takes over the messages from a place on to another one.
func (im *importing) part(ctx context.Context, from, to int) error {
	into, err := im.NewImport(ctx, im.mailbox)
	if err != nil {
		return err
	}
	if err := im.look(ctx); err != nil {
		return errors.Join(err, into.Close())
	}
	for i := from; i < to && err == nil; i++ {
		im.progress.step("messages", int64(i), int64(im.told.Messages))
		if err = ctx.Err(); err == nil {
			err = im.add(into, i)
		}
	}
	return errors.Join(err, into.Close())
}

// look notes what the maildrop has.
func (im *importing) look(ctx context.Context) error {
	im.there = make(map[string]int64)
	c, err := im.Inspect(ctx, im.mailbox.ID)
	if errors.Is(err, maildrop.ErrNoMaildrop) {
		return nil
	}
	for _, e := range c.Messages {
		im.there[e.UID()] = e.Received().Unix()
	}
	return err
}

// add takes over a message. One of the same unique-id and time is this one, from an import before. One of the same unique-id
// alone is another message, and then this one gets a new unique-id, the same one each time: clients fetch it once more,
// and none is lost.
func (im *importing) add(into *maildrop.Import, i int) error {
	m := im.source.Messages()[i]
	uid := m.UID
	for n := 2; im.taken[uid] || im.isAnother(uid, m); n++ {
		uid = fmt.Sprintf("%s-%d", m.UID, n)
	}
	im.taken[uid] = true
	if _, there := im.there[uid]; there {
		im.told.Known++
		return nil
	}
	body, err := im.source.Open(i)
	if errors.Is(err, fs.ErrNotExist) {
		im.told.Vanished++
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := into.Add(maildrop.Imported{UID: uid, Received: m.Received, Seen: m.Seen, Body: body}); err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	im.told.Imported++
	if uid != m.UID {
		im.told.Renamed++
	}
	return nil
}

func (im *importing) isAnother(uid string, m portable.Message) bool {
	received, there := im.there[uid]
	return there && received != m.Received.Unix()
}

func (r imported) text() string {
	text := fmt.Sprintf("%s: %s imported of %d in %s\n", r.ID, plural(r.Imported, "message"), r.Messages, r.From)
	for _, line := range []struct {
		count int
		what  string
	}{
		{r.Known, "known already, and passed over"},
		{r.Renamed, "with another unique-id, because another message has theirs"},
		{r.Vanished, "removed from the source meanwhile"},
	} {
		if line.count > 0 {
			text += fmt.Sprintf("%s: %s %s\n", r.ID, plural(line.count, "message"), line.what)
		}
	}
	return text
}
