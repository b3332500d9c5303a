package maildrop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// session is a Session of a JournalStore.
type session struct {
	box      *box
	mailbox  Mailbox
	journal  *journal // nil where the maildrop did not exist
	messages []Message
	read     []uint64
	looked   time.Time // when the journal was looked at since the last Rest; zero if it was not
	ahead    readAhead
	closed   bool
	done     func()
}

var _ Session = (*session)(nil)

// Messages implements Session.
func (s *session) Messages() []Message { return s.messages }

// MarkRead implements Session.
func (s *session) MarkRead(m Message) { s.read = append(s.read, m.uid) }

// Body implements Session.
func (s *session) Body(_ context.Context, m Message) (io.ReadCloser, error) {
	isRecent := time.Since(s.looked) < lookEvery
	here, err := s.box.now(m.uid, isRecent)
	if err != nil {
		return nil, err
	}
	here.journal.release()
	if !isRecent {
		s.looked = time.Now()
	}
	body, err := s.body(m)
	if errors.Is(err, syscall.ESTALE) { // the file of this generation is gone from a network file system
		body, err = s.box.bodyNow(m.uid)
	}
	if err == nil {
		return body, nil
	}
	here, gone := s.box.now(m.uid, false)
	if gone != nil { // it was removed meanwhile, and its room given back
		return nil, gone
	}
	here.journal.release()
	return nil, err
}

// lookEvery bounds how long commands that were sent at one time may rely on one look at the journal.
const lookEvery = time.Second

// bodyNow opens a message in the newest journal, which on a network file system may have to be opened anew.
func (b *box) bodyNow(uid uint64) (*bodyFile, error) {
	here, err := b.now(uid, false)
	if err != nil {
		return nil, err
	}
	body, err := b.body(here.journal, here.Message)
	here.journal.release()
	if !errors.Is(err, syscall.ESTALE) {
		return body, err
	}
	b.lookAnew()
	if here, err = b.now(uid, false); err != nil {
		return nil, err
	}
	defer here.journal.release()
	return b.body(here.journal, here.Message)
}

// body opens a message of the snapshot.
func (s *session) body(m Message) (*bodyFile, error) {
	data, err := s.ahead.record(s.journal, m)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return s.box.body(s.journal, m)
	}
	return s.box.parseBody(data, s.journal, m)
}

// Rest implements Session.
func (s *session) Rest() {
	s.looked = time.Time{}
	s.ahead.rest()
}

// lookAnew gives up what is known of the maildrop.
func (b *box) lookAnew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget()
}

// standing is a message where it stands now.
type standing struct {
	Message
	journal *journal
}

// now finds a message in the maildrop as it is now, or as this process has last seen it, where that is good enough.
func (b *box) now(uid uint64, asSeen bool) (standing, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.st == nil || !asSeen {
		if err := b.refresh(); err != nil {
			return standing{}, err
		}
	}
	if b.st != nil {
		if m, ok := b.st.find(uid); ok {
			return standing{m, b.journal.acquire()}, nil
		}
	}
	return standing{}, fmt.Errorf("%w: unique-id %d", ErrVanished, uid)
}

// recordBuffers hold records that are being read.
var recordBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// body opens a message that stands in a journal.
func (b *box) body(j *journal, m Message) (*bodyFile, error) {
	buffer := recordBuffers.Get().(*bytes.Buffer)
	buffer.Reset()
	buffer.Grow(int(m.length))
	data := buffer.AvailableBuffer()[:m.length]
	body, err := b.readBody(data, j, m)
	if err != nil {
		recordBuffers.Put(buffer)
		return nil, err
	}
	body.buffer = buffer
	return body, nil
}

func (b *box) readBody(data []byte, j *journal, m Message) (*bodyFile, error) {
	if _, err := j.file.ReadAt(data, m.offset); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return b.parseBody(data, j, m)
}

// parseBody opens a message whose record this is.
func (b *box) parseBody(data []byte, j *journal, m Message) (*bodyFile, error) {
	r, err := parseHead(data, seal{j.salt, m.offset})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	mr, ok := r.(*messageRecord)
	p, _ := parsePrefix(data)
	if !ok || mr.uid != m.uid || p.length != m.length {
		return nil, fmt.Errorf("%w: another record stands in its place", ErrDamaged)
	}
	inline := data[p.head : p.head+mr.inline]
	if crc32.Checksum(inline, castagnoli) != mr.inlineCRC {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	body := &bodyFile{inline: inline}
	if mr.flags&flagFile != 0 {
		body.crc, body.left = mr.fileCRC, mr.octets-int64(mr.inline)
		if body.file, err = os.Open(bodyPath(b.path("b"), mr.file)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return body, nil
}

// bodyFile reads a body: what stands in the journal, and then what stands in a file.
type bodyFile struct {
	inline []byte
	file   *os.File // nil if there is none
	left   int64    // octets of the file that have not been read
	sum    uint32
	crc    uint32
	buffer *bytes.Buffer
}

// Read implements io.Reader. The last octets of a file are given only if all of it is right.
func (f *bodyFile) Read(p []byte) (int, error) {
	if len(f.inline) > 0 {
		n := copy(p, f.inline)
		f.inline = f.inline[n:]
		return n, nil
	}
	if f.file == nil || f.left == 0 {
		return 0, io.EOF
	}
	n, err := f.file.Read(p[:min(int64(len(p)), f.left)])
	f.sum = crc32.Update(f.sum, castagnoli, p[:n])
	f.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("%w: its file is too short", ErrDamaged)
	case err == nil && f.left == 0 && f.sum != f.crc:
		return 0, fmt.Errorf("%w: the checksum of its file is wrong", ErrDamaged)
	}
	return n, err
}

// fileBuffers hold parts of files on their way out.
var fileBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// WriteTo implements io.WriterTo: what stands in the journal is not copied again.
func (f *bodyFile) WriteTo(w io.Writer) (int64, error) {
	written, err := w.Write(f.inline)
	f.inline = f.inline[written:]
	if err != nil || f.file == nil {
		return int64(written), err
	}
	buffer := fileBuffers.Get().(*[32 << 10]byte)
	defer fileBuffers.Put(buffer)
	n, err := io.CopyBuffer(w, struct{ io.Reader }{f}, buffer[:])
	return int64(written) + n, err
}

// Close implements io.Closer.
func (f *bodyFile) Close() error {
	f.inline = nil // which lies in a buffer of others from now on
	if f.buffer != nil {
		if f.buffer.Cap() <= 2*inlineOctets {
			recordBuffers.Put(f.buffer)
		}
		f.buffer = nil
	}
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Delete implements Session.
func (s *session) Delete(_ context.Context, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	uids := make([]uint64, len(messages))
	for i, m := range messages {
		uids[i] = m.uid
	}
	slices.Sort(uids)
	uids = slices.Compact(uids) // a damaged journal may have a number twice
	err := s.box.store.withReserve(func() error {
		return s.box.write(s.unclaimed(), func(st *state, w *batch) error {
			if st.owner != s.mailbox.Owner {
				return nil // the maildrop was given up meanwhile: there is nothing left to be removed
			}
			s.addRead(st, w, uids)
			if live := st.among(uids); len(live) > 0 {
				w.add(&removeRecord{reasonQuit, time.Now().Unix(), setOf(live)})
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("remove messages: %w", classify(err))
	}
	s.read = nil
	s.box.store.compactSoon(s.box.id)
	return nil
}

// unclaimed is the mailbox for what does not make its owner the maildrop's once more.
func (s *session) unclaimed() Mailbox {
	box := s.mailbox
	box.anyone = true
	return box
}

// addRead adds the read marks that are new, of messages that are not to be removed anyway.
func (s *session) addRead(st *state, w *batch, removing []uint64) {
	slices.Sort(s.read)
	fresh := slices.DeleteFunc(slices.Compact(slices.Clone(s.read)), func(uid uint64) bool {
		_, live := st.find(uid)
		_, going := slices.BinarySearch(removing, uid)
		return !live || going || st.seen.contains(uid)
	})
	for spans := range slices.Chunk(setOf(fresh), maxSpans) {
		w.add(&seenRecord{spans})
	}
}

// Close implements Session. Read marks are written without being synced: to lose some by a crash is no harm.
func (s *session) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.Rest()
	defer s.done()
	defer s.journal.release()
	if len(s.read) == 0 {
		return nil
	}
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	err := s.box.writeLocked(s.unclaimed(), false, func(st *state, w *batch) error {
		if st.owner != s.mailbox.Owner {
			return nil
		}
		s.addRead(st, w, nil)
		return nil
	})
	if err != nil {
		return fmt.Errorf("write read marks: %w", err)
	}
	return nil
}
