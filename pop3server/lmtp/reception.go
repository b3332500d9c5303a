package lmtp

import (
	"errors"
	"io"
	"runtime"
)

// reception is one run of LMTPData.
type reception struct {
	text io.Reader
	done chan struct{}
}

// receive notes that a text is being received, until the function that it gives is called.
func (s *session) receive(text io.Reader) (end func()) {
	r := &reception{text: text, done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = r
	return func() { close(r.done) }
}

// settle waits until a text that was given up is done with. Otherwise what becomes of it could be taken for what
// becomes of the next message: after BDAT, go-smtp receives a text in a goroutine of its own, which brings its result
// to whatever message the connection is at by then. The text's writer must have been closed.
func (s *session) settle() {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last == nil {
		return
	}
	<-last.done
	if text, ok := last.text.(*io.PipeReader); ok {
		for !isClosed(text) { // the last thing that go-smtp's goroutine does
			runtime.Gosched()
		}
	}
}

func isClosed(text *io.PipeReader) bool {
	_, err := text.Read(make([]byte, 1))
	return errors.Is(err, io.ErrClosedPipe)
}
