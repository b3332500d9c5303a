package maildrop

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unitOctets is what the store gives out space in: a message occupies a whole number of units. It is that of the usual
// file systems, and the same on all of them so that sizes do not change when a volume is moved.
const unitOctets = 4096

// storageOctets gives what a message occupies ([MS-STANXPOP3] §2.1.4, §2.1.5).
func storageOctets(octets int64) int64 { return (octets + unitOctets - 1) / unitOctets * unitOctets }

var mailboxID = regexp.MustCompile(`^[a-z2-7]{26}$`)

// drop is the folder of one maildrop. It need not exist.
type drop struct {
	path     string
	messages string
}

// drop gives the folder of a maildrop.
func (s *FileStore) drop(id string) (drop, error) {
	if !mailboxID.MatchString(id) {
		return drop{}, fmt.Errorf("maildrop %q: an id has 26 characters of a-z and 2-7", id)
	}
	path := filepath.Join(s.root, id[:2], id)
	return drop{path: path, messages: filepath.Join(path, "msg")}, nil
}

// checkOwner fails when another owner has made the maildrop. It tells whether it was made at all.
func (d drop) checkOwner(owner string) (made bool, err error) {
	if owner == "" {
		return false, errors.New("a maildrop cannot be used without an owner")
	}
	found, err := os.ReadFile(d.ownerFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read owner: %w", err)
	case string(found) != owner+"\n":
		return true, fmt.Errorf("%w: %s", ErrForeignOwner, strings.TrimSuffix(string(found), "\n"))
	}
	return true, nil
}

func (d drop) ownerFile() string { return filepath.Join(d.path, "owner") }

// list reads the folder's messages in ascending order of their unique-ids. Files with other names are not ours.
func (d drop) list() ([]Message, error) {
	folder, err := os.Open(d.messages)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	defer func() { _ = folder.Close() }()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	messages := make([]Message, 0, len(names))
	for _, name := range names {
		if m, ok := parseName(name); ok {
			messages = append(messages, m)
		}
	}
	slices.SortFunc(messages, compareUIDs)
	return messages, nil
}

// compareUIDs orders decimal numbers without leading zeros by their values.
func compareUIDs(a, b Message) int {
	return cmp.Or(cmp.Compare(len(a.UID), len(b.UID)), cmp.Compare(a.UID, b.UID))
}

// fileName gives the name of a message's file, which parseName reads.
func fileName(m Message) string { return fmt.Sprintf("%s.%d.%d", m.UID, m.Octets, m.Received.Unix()) }

func parseName(name string) (Message, bool) {
	uid, rest, _ := strings.Cut(name, ".")
	octets, received, _ := strings.Cut(rest, ".")
	size, err1 := strconv.ParseInt(octets, 10, 64)
	unix, err2 := strconv.ParseInt(received, 10, 64)
	number, err3 := strconv.ParseUint(uid, 10, 64)
	m := Message{
		UID: strconv.FormatUint(number, 10), Octets: size, StorageOctets: storageOctets(size), Received: time.Unix(unix, 0).UTC(),
	}
	return m, errors.Join(err1, err2, err3) == nil && fileName(m) == name
}

func usage(messages []Message) Usage {
	u := Usage{Messages: int64(len(messages))}
	for _, m := range messages {
		u.StorageOctets += m.StorageOctets
	}
	return u
}

// add makes a draft the newest message.
func (d drop) add(box Mailbox, message *draft, now time.Time, reached func(step string)) error {
	if err := os.MkdirAll(d.messages, folderMode); err != nil {
		return err
	}
	lock, err := lockFile(filepath.Join(d.path, "lock"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	reached("locked")
	if err := d.claim(box.Owner); err != nil {
		return err
	}
	uid, err := d.admit(box.ProhibitReceive, message.octets)
	if err != nil {
		return err
	}
	if err := replaceFile(d.nextUIDFile(), formatUID(uid+1)+"\n"); err != nil {
		return fmt.Errorf("raise next-uid: %w", err)
	}
	reached("uid raised")
	name := fileName(Message{UID: formatUID(uid), Octets: message.octets, Received: now})
	return d.publish(message, filepath.Join(d.messages, name), reached)
}

// claim makes the maildrop its first owner's. The owner's file comes last, so that where it is, the folders above it have
// been synced, and there is a next-uid.
func (d drop) claim(owner string) error {
	made, err := d.checkOwner(owner)
	if made || err != nil {
		return err
	}
	shard := filepath.Dir(d.path)
	if err := errors.Join(syncFolder(filepath.Dir(shard)), syncFolder(shard)); err != nil {
		return err
	}
	if err := d.firstUID(); err != nil {
		return err
	}
	return replaceFile(d.ownerFile(), owner+"\n") // it syncs the maildrop's folder too
}

// firstUID makes next-uid in a new maildrop.
func (d drop) firstUID() error {
	_, err := os.Lstat(d.nextUIDFile())
	if errors.Is(err, fs.ErrNotExist) {
		return replaceFile(d.nextUIDFile(), formatUID(1)+"\n")
	}
	return err
}

// admit checks the quota and gives the unique-id of the next message. A quota is over when it is reached, or would be
// exceeded.
func (d drop) admit(prohibitReceive, octets int64) (uid uint64, err error) {
	messages, err := d.list()
	if err != nil {
		return 0, err
	}
	used := usage(messages).StorageOctets
	if prohibitReceive > 0 && (used >= prohibitReceive || used+storageOctets(octets) > prohibitReceive) {
		return 0, fmt.Errorf("%w: %d of %d octets are used", ErrOverQuota, used, prohibitReceive)
	}
	return d.nextUID(messages)
}

func (d drop) nextUIDFile() string { return filepath.Join(d.path, "next-uid") }

// nextUID gives the least number that was never used. It is above that of every message too, which only counts where an older
// next-uid was restored. Should the file be missing or unreadable, no number is safe: messages with higher ones may be gone.
func (d drop) nextUID(messages []Message) (uint64, error) {
	next := uint64(1)
	if len(messages) > 0 {
		newest, err := strconv.ParseUint(messages[len(messages)-1].UID, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read unique-id: %w", err)
		}
		next = newest + 1
	}
	recorded, err := d.recordedUID()
	if err != nil {
		return 0, fmt.Errorf("%s is damaged: write a number above every unique-id ever used into it: %w", d.nextUIDFile(), err)
	}
	if next = max(next, recorded); next == math.MaxUint64 {
		return 0, fmt.Errorf("%s is at its end: there is no higher unique-id", d.nextUIDFile())
	}
	return next, nil
}

// recordedUID reads next-uid.
func (d drop) recordedUID() (uint64, error) {
	text, err := os.ReadFile(d.nextUIDFile())
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSuffix(string(text), "\n"), 10, 64)
}

func formatUID(uid uint64) string { return strconv.FormatUint(uid, 10) }

// publish gives the draft its place. Should the folder's sync fail, the message is taken back: the client is told that it was
// not delivered, and will send it again.
func (d drop) publish(message *draft, path string, reached func(step string)) error {
	if err := os.Rename(message.file.Name(), path); err != nil {
		return err
	}
	message.published = true
	reached("visible")
	if err := syncFolder(d.messages); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	reached("durable")
	return nil
}
