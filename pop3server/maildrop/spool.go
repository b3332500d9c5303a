package maildrop

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	spoolBufferOctets = 64 << 10
	// staleSpool is the age at which a spooled body that nobody has locked belongs to nobody any more.
	staleSpool = time.Minute
)

// spool is a body on its way in, in canonical form: in memory, or, where it is large, in a file of the store's tmp folder.
type spool struct {
	memory []byte
	file   *os.File
	octets int64
	crc    uint32
	dots   bool // a line begins with a dot
	buffer *bytes.Buffer
}

// spoolBuffers hold bodies on their way in.
var spoolBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// spoolWriters gather what is written to a spool.
var spoolWriters = sync.Pool{New: func() any { return bufio.NewWriterSize(io.Discard, spoolBufferOctets) }}

// newSpool brings a body into canonical form and takes it in. Its error is the reader's, or the store's.
func (s *JournalStore) newSpool(body io.Reader) (*spool, error) {
	sp := &spool{buffer: spoolBuffers.Get().(*bytes.Buffer)}
	sp.buffer.Reset()
	in := &spoolWriter{spool: sp, tmp: s.tmp}
	out := spoolWriters.Get().(*bufio.Writer)
	defer spoolWriters.Put(out)
	out.Reset(in)
	canonical := newCanonicalWriter(out)
	_, err := io.Copy(canonical, body)
	if err == nil {
		err = canonical.Close()
	}
	if err == nil && sp.file != nil {
		err = errors.Join(s.hooks.failing("sync"), sp.file.Sync())
	}
	if err != nil {
		sp.discard()
		return nil, classify(err)
	}
	sp.memory, sp.dots = sp.buffer.Bytes(), canonical.dots
	return sp, nil
}

// spoolWriter writes to memory, and to a file from the octet on at which there is too much.
type spoolWriter struct {
	spool *spool
	tmp   string
}

// Write implements io.Writer.
func (w *spoolWriter) Write(p []byte) (int, error) {
	sp := w.spool
	sp.octets += int64(len(p))
	sp.crc = crc32.Update(sp.crc, castagnoli, p)
	if sp.file == nil && sp.buffer.Len()+len(p) <= inlineOctets {
		return sp.buffer.Write(p)
	}
	if sp.file == nil {
		if err := w.begin(); err != nil {
			return 0, err
		}
	}
	return sp.file.Write(p)
}

// begin makes the file and moves what is in memory there. It is locked, so that nobody takes it for left over.
func (w *spoolWriter) begin() (err error) {
	sp := w.spool
	if sp.file, err = os.CreateTemp(w.tmp, "spool-*"); err != nil {
		return err
	}
	if err := flock(sp.file, syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := sp.file.Write(sp.buffer.Bytes()); err != nil {
		return err
	}
	sp.buffer.Reset()
	return nil
}

// discard gives up the file and the memory. What maildrops have of the file stays.
func (sp *spool) discard() {
	if sp.file != nil {
		_ = os.Remove(sp.file.Name())
		_ = sp.file.Close()
	}
	if sp.buffer != nil && sp.buffer.Cap() <= 2*inlineOctets {
		spoolBuffers.Put(sp.buffer)
	}
	sp.buffer, sp.memory = nil, nil
}

// place gives a maildrop its own name for the file.
func (sp *spool) place(folder string) (name [16]byte, err error) {
	_, _ = rand.Read(name[:])
	if err := makeFolders(folder); err != nil {
		return name, err
	}
	if err := os.Link(sp.file.Name(), bodyPath(folder, name)); err != nil {
		return name, err
	}
	return name, syncFolder(folder)
}

// placing is a body that has its place among a maildrop's files, and no record yet.
type placing struct {
	spool *spool
	name  [16]byte
}

// putBack gives bodies their places once more, should they have lost them: a message may wait for the lock for long, or its
// time be wrong by the clock of the server that compacts meanwhile, which takes the file for left over. Nobody does that while
// the lock is held, so that what is there now stays.
func (w *batch) putBack(folder string) error {
	if len(w.placed) == 0 {
		return nil
	}
	if err := askFor(folder); err != nil {
		return err
	}
	lost := false
	for _, p := range w.placed {
		_, err := os.Lstat(bodyPath(folder, p.name))
		if errors.Is(err, fs.ErrNotExist) {
			lost = true
			err = os.Link(p.spool.file.Name(), bodyPath(folder, p.name))
		}
		if err != nil {
			return err
		}
	}
	if !lost {
		return nil
	}
	return syncFolder(folder)
}

func bodyPath(folder string, name [16]byte) string {
	return filepath.Join(folder, hex.EncodeToString(name[:]))
}

// sweepSpools removes what killed servers left. Other servers may be at work in the folder.
func sweepSpools(folder string, log *slog.Logger) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < staleSpool {
			continue
		}
		if err := sweepSpool(filepath.Join(folder, entry.Name())); err != nil {
			log.Warn("a file that was left over cannot be removed", "file", entry.Name(), "error", err)
		}
	}
	return nil
}

// sweepSpool removes a file unless a server has it locked.
func sweepSpool(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
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
