package lmtp

import (
	"errors"
	"io"
)

var (
	// errGivenUp says that the client has given up a text between two chunks.
	errGivenUp = errors.New("the client has given up the message")
	// errLostTrack says that nobody knows where the next command begins.
	errLostTrack = errors.New("the size of a chunk cannot be read")
)

// bdat is RFC 3030 §2 BDAT. A chunk follows its command whatever is said to it.
func (s *session) bdat(argument string) error {
	octets, last, ok := parseChunk(argument)
	switch {
	case !ok:
		return s.loseTrack()
	case s.message == nil || len(s.message.recipients) == 0:
		if err := s.wire.skip(octets); err != nil {
			return err
		}
		return s.answer(replyNoRecipient)
	}
	err := s.receive(&chunkReader{session: s, left: octets, last: last})
	if errors.Is(err, errGivenUp) {
		s.reset()
		return nil
	}
	return err
}

// loseTrack ends a connection on which octets of a chunk would be taken for commands.
func (s *session) loseTrack() error {
	s.write(replyArgument)
	return errLostTrack
}

// chunkReader is a message's text in chunks. Who reads it makes the dialogue go on where one chunk has ended and the next one
// is wanted; a chunk is answered when it has been read.
type chunkReader struct {
	*session
	left int64 // of this chunk
	last bool
	err  error
}

// Read implements io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	for r.left == 0 && r.err == nil {
		r.err = r.more()
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.wire.in.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.err = unexpected(err)
	return n, r.err
}

// more answers a chunk and waits for the next one; io.EOF says that there is none. The client may say something else first.
func (r *chunkReader) more() error {
	if r.last {
		return io.EOF
	}
	err := r.answer(replyChunk)
	for err == nil {
		var c command
		if c, err = r.next(); err != nil {
			break
		}
		switch c.verb {
		case "BDAT":
			return r.begin(c.argument)
		case "RSET", "LHLO", "QUIT":
			r.pending = &c
			return errGivenUp
		case "NOOP", "VRFY":
			err = r.do(c)
		default:
			err = r.answer(replyUnderWay)
		}
	}
	return unexpected(err)
}

// begin begins a chunk.
func (r *chunkReader) begin(argument string) error {
	octets, last, ok := parseChunk(argument)
	if !ok {
		return r.loseTrack()
	}
	r.left, r.last = octets, last
	return nil
}
