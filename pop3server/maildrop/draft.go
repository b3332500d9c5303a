package maildrop

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const draftBufferOctets = 64 * 1024

// staleDraft is the age at which a draft that nobody has locked belongs to nobody any more: a server locks its drafts
// as soon as it has made them, for as long as it is at work on them.
const staleDraft = time.Minute

// draft is a message on its way into a maildrop: a file in the store's tmp folder that becomes the message when it is
// renamed. It has the trace fields of one recipient in front.
type draft struct {
	file        *os.File
	octets      int64 // with the trace fields
	traceOctets int64
	published   bool // it has become a message
}

// writeDraft writes a message that fill gives, and syncs it.
func writeDraft(folder string, trace []byte, fill func(*bufio.Writer) error) (*draft, error) {
	file, err := os.CreateTemp(folder, "draft-*") // mode 0600
	if err != nil {
		return nil, classify(err)
	}
	d := &draft{file: file, traceOctets: int64(len(trace))}
	err = lock(file)
	if err == nil {
		err = d.write(trace, fill)
	}
	if err != nil {
		d.discard()
		return nil, classify(err)
	}
	return d, nil
}

func (d *draft) write(trace []byte, fill func(*bufio.Writer) error) error {
	w := bufio.NewWriterSize(d.file, draftBufferOctets)
	_, _ = w.Write(trace) // its error shows in Flush
	if err := fill(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var err error
	if d.octets, err = d.file.Seek(0, io.SeekCurrent); err != nil {
		return err
	}
	return d.file.Sync()
}

// copy writes the same message once more, with other trace fields.
func (d *draft) copy(folder string, trace []byte) (*draft, error) {
	return writeDraft(folder, trace, func(w *bufio.Writer) error {
		_, err := io.Copy(w, io.NewSectionReader(d.file, d.traceOctets, d.octets-d.traceOctets))
		return err
	})
}

// discard closes the draft, and removes it unless it has become a message.
func (d *draft) discard() {
	if !d.published {
		_ = os.Remove(d.file.Name())
	}
	_ = d.file.Close()
}

// bodyReader remembers whether reading failed, to tell that from a failed write.
type bodyReader struct {
	io.Reader
	err error
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// sweepDrafts removes what killed servers left. Other servers may be at work in the folder.
func sweepDrafts(folder string, log *slog.Logger) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < staleDraft {
			continue
		}
		if err := sweepDraft(filepath.Join(folder, entry.Name())); err != nil {
			log.Warn("a stale draft cannot be removed", "file", entry.Name(), "error", err)
		}
	}
	return nil
}

// sweepDraft removes a draft unless a server has it locked.
func sweepDraft(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	return errors.Join(err, os.Remove(path))
}
