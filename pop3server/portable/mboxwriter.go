package portable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// What MboxWriter puts in front of each message, in this order, and a reader takes away again. Other programs know both
// fields: the first one from qpopper, the second one from nearly all that read an mbox.
const (
	uidField    = "X-UIDL: "
	statusField = "Status: "
	statusSeen  = statusField + "RO"
	statusOld   = statusField + "O"
)

// ownFields are those, found at the beginning of a message.
type ownFields struct {
	uid  string
	seen bool
	end  int64 // where they end
}

// take takes a line of a header that ends at an offset; lines counts from 0.
func (f *ownFields) take(line int, text string, end int64) {
	uid, isUID := strings.CutPrefix(text, uidField)
	switch {
	case line == 0 && isUID && validUID(uid):
		f.uid = uid
	case line == 1 && f.uid != "" && (text == statusSeen || text == statusOld):
		f.seen, f.end = text == statusSeen, end
	}
}

func (f *ownFields) complete() bool { return f.end > 0 }

// MboxWriter writes an mbox whose lines end in LF, with the quoting MboxRD.
type MboxWriter struct {
	file *os.File
	out  *bufio.Writer
}

// CreateMbox makes an mbox; there must be no file yet.
func CreateMbox(path string) (*MboxWriter, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &MboxWriter{file, bufio.NewWriterSize(file, bufferOctets)}, nil
}

// ErrBody marks an error of reading a message, as opposed to one of writing it.
var ErrBody = errors.New("read message")

// Add writes a message, or nothing of it, if its text, in canonical form, cannot be read to its end.
func (w *MboxWriter) Add(m Message, body io.Reader) error {
	start, err := w.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	status := statusOld
	if m.Seen {
		status = statusSeen
	}
	_, _ = fmt.Fprintf(w.out, "%s%s%s\n%s\n", formatFrom(m.Received), uidField, m.UID, status) // Flush tells
	reader := &readErrors{Reader: body}
	_, err = io.Copy(w.out, newLineReader(reader, func(n int64) int64 { return n + 1 }, true))
	if reader.err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrBody, reader.err), w.takeBack(start))
	}
	_ = w.out.WriteByte('\n')
	return errors.Join(err, w.out.Flush())
}

func (w *MboxWriter) takeBack(start int64) error {
	w.out.Reset(w.file)
	err := w.file.Truncate(start)
	_, seeking := w.file.Seek(start, io.SeekStart)
	return errors.Join(err, seeking)
}

// Close makes what was written survive a power loss.
func (w *MboxWriter) Close() error {
	return errors.Join(w.out.Flush(), w.file.Sync(), w.file.Close(), syncFolder(filepath.Dir(w.file.Name())))
}

// readErrors remembers whether reading failed.
type readErrors struct {
	io.Reader
	err error
}

func (r *readErrors) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
