package portable

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maildirFolders are where the messages of a Maildir are.
var maildirFolders = []string{"new", "cur"}

// Maildir is a Source.
type Maildir struct {
	folder   string
	messages []Message
	files    []maildirFile
}

// maildirFile is where a message stands, and what orders it.
type maildirFile struct {
	path, base string
	order, uid uint64
}

// OpenMaildir reads what is in a Maildir. Where it has a dovecot-uidlist, messages have the unique-ids that Dovecot gives
// them, and its order; format says how they are made of uids, and nil is as the list says, or Dovecot's usual one. All
// others have the name of their file, up to the flags, as other servers give it, and come behind those, by time.
func OpenMaildir(folder string, format *UIDFormat) (*Maildir, error) {
	uids, err := readUIDs(folder, format)
	if err != nil {
		return nil, err
	}
	m := &Maildir{folder: folder}
	found := 0
	for _, sub := range maildirFolders {
		err := m.list(sub, uids)
		if err == nil {
			found++
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if found == 0 {
		return nil, fmt.Errorf("%s is no Maildir: it has neither new/ nor cur/", folder)
	}
	m.sort()
	return m, nil
}

// known is what the list of unique-ids says of a file.
type known struct {
	UIDRecord
	uid string
}

func readUIDs(folder string, format *UIDFormat) (map[string]known, error) {
	file, err := os.Open(filepath.Join(folder, UIDListName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	list, err := ReadUIDList(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	if format == nil {
		if format, err = ParseUIDFormat(cmp.Or(list.Format, DovecotUIDs)); err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	uids := make(map[string]known, len(list.Records))
	for _, r := range list.Records {
		uids[r.File] = known{r, list.uidOf(r, format)}
	}
	return uids, nil
}

// uidOf gives the unique-id that Dovecot gives a message.
func (l *UIDList) uidOf(r UIDRecord, format *UIDFormat) string {
	switch {
	case !r.HasPOP3UID:
		return format.UID(l.Validity, r)
	case r.POP3UID == "":
		return r.File
	}
	return r.POP3UID
}

// list takes in the messages of one folder.
func (m *Maildir) list(sub string, uids map[string]known) error {
	entries, err := os.ReadDir(filepath.Join(m.folder, sub))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		name := ParseMaildirName(entry.Name())
		if err := m.stamp(&name, entry); errors.Is(err, fs.ErrNotExist) {
			continue // it has been removed, or given another flag, and is found by that name on the next try
		} else if err != nil {
			return err
		}
		m.add(filepath.Join(sub, entry.Name()), name, uids)
	}
	return nil
}

// stamp takes the time of delivery from the file where the name has none.
func (m *Maildir) stamp(name *MaildirName, entry fs.DirEntry) error {
	if !name.Received.IsZero() {
		return nil
	}
	info, err := entry.Info()
	if err == nil {
		name.Received = info.ModTime().UTC().Truncate(time.Second)
	}
	return err
}

func (m *Maildir) add(path string, name MaildirName, uids map[string]known) {
	file := maildirFile{path: path, base: name.Base, order: math.MaxUint64, uid: math.MaxUint64}
	message := Message{UID: uidOf(name.Base), Received: name.Received, Seen: name.Seen(), Name: path}
	if k, ok := uids[name.Base]; ok {
		message.UID, file.uid = k.uid, k.UID
		if k.Order > 0 {
			file.order = k.Order
		}
	}
	m.messages, m.files = append(m.messages, message), append(m.files, file)
}

// sort brings the messages into Dovecot's order: those that have an order, by that, and then by uid.
func (m *Maildir) sort() {
	m.sortBy(func(a, b int) int {
		fa, fb := m.files[a], m.files[b]
		return cmp.Or(cmp.Compare(fa.order, fb.order), cmp.Compare(fa.uid, fb.uid),
			m.messages[a].Received.Compare(m.messages[b].Received), cmp.Compare(fa.base, fb.base))
	})
}

func (m *Maildir) sortBy(compare func(a, b int) int) {
	places := make([]int, len(m.files))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, compare)
	messages, files := make([]Message, len(places)), make([]maildirFile, len(places))
	for i, p := range places {
		messages[i], files[i] = m.messages[p], m.files[p]
	}
	m.messages, m.files = messages, files
}

// Messages implements Source.
func (m *Maildir) Messages() []Message { return m.messages }

// Open implements Source. A message whose flags were changed meanwhile has another name, and is looked for.
func (m *Maildir) Open(i int) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(m.folder, m.files[i].path))
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	for _, sub := range maildirFolders {
		entries, listing := os.ReadDir(filepath.Join(m.folder, sub))
		if listing != nil {
			continue
		}
		for _, entry := range entries {
			if ParseMaildirName(entry.Name()).Base == m.files[i].base {
				return os.Open(filepath.Join(m.folder, sub, entry.Name()))
			}
		}
	}
	return nil, err
}

// Close implements Source.
func (m *Maildir) Close() error { return nil }
