package portable

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"
)

// Quoting is how an mbox marks a line of text that begins with "From ".
type Quoting string

const (
	// MboxRD puts a ">" in front of "From ", ">From ", ">>From " and so on, so that all are found again.
	MboxRD Quoting = "mboxrd"
	// MboxO puts one in front of "From " alone.
	MboxO Quoting = "mboxo"
)

// unquote gives how many ">" a line had before it was quoted.
func (q Quoting) unquote(n int64) int64 {
	if n == 0 || q == MboxO && n > 1 {
		return n
	}
	return n - 1
}

// Mbox is a Source.
type Mbox struct {
	file     *os.File
	quoting  Quoting
	messages []Message
	spans    []span
}

// span is where a message's text stands.
type span struct{ from, to int64 }

// OpenMbox reads an mbox once to find its messages. Unique-ids are made of what the messages are, unless the mbox was
// written by MboxWriter, and has them. progress is told how many octets are read of how many.
func OpenMbox(path string, quoting Quoting, progress func(done, all int64)) (*Mbox, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m := &Mbox{file: file, quoting: quoting}
	if err := m.index(progress); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return m, nil
}

func (m *Mbox) index(progress func(done, all int64)) error {
	info, err := m.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a file: an mbox is read twice")
	}
	x := &indexer{mbox: m, modified: info.ModTime().UTC().Truncate(time.Second)}
	in := bufio.NewReaderSize(m.file, bufferOctets)
	for begins := true; ; {
		part, err := in.ReadSlice('\n')
		if len(part) > 0 {
			if err := x.take(part, begins); err != nil {
				return err
			}
			begins = part[len(part)-1] == '\n'
			progress(x.at, info.Size())
		}
		if errors.Is(err, io.EOF) {
			x.end()
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// indexer finds the messages of an mbox.
type indexer struct {
	mbox     *Mbox
	modified time.Time
	at       int64 // how much of the file was taken

	sum   hash.Hash
	lines int  // of the message, as far as its header goes
	text  bool // its header is over
	blank int  // octets of the last line, if it is empty; it may be the one that ends the message
	own   ownFields
}

// take takes a line, or a part of one that is too long for the buffer.
func (x *indexer) take(part []byte, begins bool) error {
	before := x.at
	x.at += int64(len(part))
	if begins {
		if received, ok := x.separates(part, before); ok {
			x.begin(part, before, received)
			return nil
		}
	}
	if x.sum == nil {
		if len(bytes.TrimSpace(part)) == 0 {
			return nil // in front of the first message
		}
		return errors.New(`not an mbox: it does not begin with "From "`)
	}
	if x.blank > 0 { // it was not the end of the message
		x.sum.Write([]byte("\n"))
		x.text, x.blank = true, 0
	}
	if begins && len(bytes.TrimRight(part, "\r\n")) == 0 {
		x.blank = len(part)
		return nil
	}
	x.sum.Write(part)
	if begins && !x.text {
		x.header(part)
	}
	return nil
}

// separates tells whether a line stands in front of a message. The very first one does, though its date cannot be read.
func (x *indexer) separates(line []byte, at int64) (received time.Time, ok bool) {
	const longest = 1 << 10
	received, ok = parseFrom(string(line[:min(len(line), longest)]))
	if !ok && at == 0 && bytes.HasPrefix(line, []byte(fromMark)) {
		return x.modified, true
	}
	return received, ok
}

// begin ends the message before, if any, and begins one. Its number is its name.
func (x *indexer) begin(line []byte, before int64, received time.Time) {
	x.finish(before)
	x.sum, x.lines, x.text, x.own = sha256.New(), 0, false, ownFields{}
	x.sum.Write(line)
	name := fmt.Sprintf("message %d at octet %d", len(x.mbox.messages)+1, before)
	x.mbox.messages = append(x.mbox.messages, Message{Received: received, Name: name})
	x.mbox.spans = append(x.mbox.spans, span{x.at, x.at})
}

// header reads a line of the header: whether the message was seen, and what MboxWriter has put in front of it.
func (x *indexer) header(line []byte) {
	text := strings.TrimRight(string(line), "\r\n")
	x.own.take(x.lines, text, x.at)
	x.lines++
	if name, value, ok := strings.Cut(text, ":"); ok && strings.EqualFold(name, "Status") && strings.Contains(value, "R") {
		x.last().Seen = true
	}
}

func (x *indexer) last() *Message { return &x.mbox.messages[len(x.mbox.messages)-1] }

func (x *indexer) end() { x.finish(x.at) }

// finish ends a message at a place. The empty line in front of it belongs to the mbox.
func (x *indexer) finish(at int64) {
	if x.sum == nil {
		return
	}
	message, place := x.last(), &x.mbox.spans[len(x.mbox.spans)-1]
	place.to = at - int64(x.blank)
	x.blank = 0
	message.UID = hex.EncodeToString(x.sum.Sum(nil)[:16])
	if x.own.complete() {
		message.UID, message.Seen, place.from = x.own.uid, x.own.seen, x.own.end
	}
}

// Messages implements Source.
func (m *Mbox) Messages() []Message { return m.messages }

// Open implements Source.
func (m *Mbox) Open(i int) (io.ReadCloser, error) {
	s := m.spans[i]
	return io.NopCloser(newLineReader(io.NewSectionReader(m.file, s.from, s.to-s.from), m.quoting.unquote, false)), nil
}

// Close implements Source.
func (m *Mbox) Close() error { return m.file.Close() }
