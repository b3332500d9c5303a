package portable

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// MaildirWriter writes a Maildir as Dovecot does it: lines end in LF, and dovecot-uidlist has the unique-ids and the order.
type MaildirWriter struct {
	folder string
	host   string
	list   UIDList
}

// CreateMaildir makes a Maildir; there must be no messages in the folder yet. made is when the mailbox was, and host
// becomes a part of all names.
func CreateMaildir(folder string, made time.Time, host string) (*MaildirWriter, error) {
	for _, sub := range append([]string{"tmp"}, maildirFolders...) {
		path := filepath.Join(folder, sub)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		if len(entries) > 0 {
			return nil, fmt.Errorf("%s has messages already: name another folder", path)
		}
	}
	if _, err := os.Lstat(filepath.Join(folder, UIDListName)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has a %s already: name another folder", folder, UIDListName)
	}
	sum := sha256.Sum256([]byte(host))
	w := &MaildirWriter{folder: folder, host: host}
	validity := uint64(min(max(made.Unix(), 1), math.MaxUint32))
	w.list = UIDList{Validity: validity, Next: 1, GUID: hex.EncodeToString(sum[:16])}
	return w, nil
}

// Add writes a message behind those before it, or nothing of it, if its text, in canonical form, cannot be read to its
// end.
func (w *MaildirWriter) Add(m Message, body io.Reader) error {
	uid := w.list.Next
	base := fmt.Sprintf("%d.M%06dQ%d.%s", max(m.Received.Unix(), 1), uid%1e6, uid, w.host)
	path := filepath.Join(w.folder, "tmp", base)
	lf, crlf, err := writeBody(path, body)
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(path)))
	}
	base += fmt.Sprintf(",S=%d,W=%d", lf, crlf)
	target := filepath.Join("new", base)
	if m.Seen {
		target = filepath.Join("cur", base+":2,S")
	}
	if err := os.Chtimes(path, m.Received, m.Received); err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(w.folder, target)); err != nil {
		return err
	}
	w.list.Records = append(w.list.Records, UIDRecord{UID: uid, File: base, POP3UID: m.UID, HasPOP3UID: true, Order: uid})
	w.list.Next++
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeBody writes a message's file. It gives how many octets that has, and how many the message.
func writeBody(path string, body io.Reader) (lf, crlf int64, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, 0, err
	}
	in := &readErrors{Reader: body}
	counted := &countingReader{Reader: in}
	lf, err = io.Copy(file, newLineReader(counted, nil, true))
	if in.err != nil {
		err = fmt.Errorf("%w: %w", ErrBody, in.err)
	}
	return lf, counted.n, errors.Join(err, file.Close())
}

type countingReader struct {
	io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// Close writes dovecot-uidlist and makes everything survive a power loss.
func (w *MaildirWriter) Close() error {
	file, err := os.OpenFile(filepath.Join(w.folder, UIDListName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = w.list.WriteTo(file)
	return errors.Join(err, unix.Syncfs(int(file.Fd())), file.Close())
}
