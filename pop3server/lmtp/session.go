package lmtp

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// session is one connection's part in go-smtp. Its methods are called from the connection's goroutine, except LMTPData:
// after BDAT that has one of its own, and Reset may come meanwhile.
type session struct {
	server   *Server
	settings Settings
	conn     *conn
	greeted  *smtp.Conn
	protocol *smtp.Server // this connection's own

	mu      sync.Mutex
	message *message   // nil between two messages
	last    *reception // the last text that was received, or is being received
}

// message is what the client has said about a message before its text.
type message struct {
	from       string
	utf8       bool
	octets     int64 // as declared, 0 if not
	recipients []recipient
}

// recipient is one RCPT that was accepted.
type recipient struct {
	address string // as the client gave it
	record  directory.Record
}

var _ smtp.LMTPSession = (*session)(nil)

// Mail implements smtp.Session.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	if malformed(from) {
		return replyBadSender
	}
	// RFC 5321 §4.1.4: no MAIL within a mail transaction. go-smtp would go on with the recipients of the one before.
	if s.get() != nil {
		return replyUnderWay
	}
	if !s.conn.begin() {
		return replyShuttingDown
	}
	// go-smtp has checked the declared size. It would refuse a text of exactly the allowed size, and answer once for
	// all recipients after BDAT, so the text's size is checked by LMTPData.
	s.protocol.MaxMessageBytes = 0
	s.set(&message{from: from, utf8: opts.UTF8, octets: opts.Size})
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(address string, _ *smtp.RcptOptions) error {
	record, found := s.server.Lookup(address)
	var reply *smtp.SMTPError
	switch {
	case !found && !s.server.Complete():
		reply = replyNoDirectory
	case !found:
		reply = replyUnknown
	case record.State != directory.Enabled:
		reply = replyDisabled
	default:
		reply = s.checkQuota(record)
	}
	if reply != nil {
		s.server.metrics.replies.WithLabelValues(enhanced(reply)).Inc()
		return reply
	}
	s.message.recipients = append(s.message.recipients, recipient{address, record})
	return nil
}

// checkQuota refuses a message before its text is sent, where it is known by now that it does not fit.
func (s *session) checkQuota(record directory.Record) *smtp.SMTPError {
	usage, err := s.server.Store.Usage(context.Background(), mailbox(record))
	limit := record.Quota.ProhibitReceive
	if err == nil && limit > 0 && (usage.StorageOctets >= limit || usage.StorageOctets+s.message.octets > limit) {
		err = maildrop.ErrOverQuota
	}
	if err != nil {
		s.server.Log.Warn("recipient refused", "mailbox", record.ID, "error", err)
	}
	return s.settings.replyTo(err)
}

func mailbox(record directory.Record) maildrop.Mailbox {
	return maildrop.Mailbox{ID: record.ID, Owner: record.Owner, Adopt: record.Adopt, Address: record.Address,
		IssueWarning: record.Quota.IssueWarning, ProhibitReceive: record.Quota.ProhibitReceive}
}

// Data implements smtp.Session; in LMTP mode it is not called.
func (s *session) Data(io.Reader) error { return replyInternal }

// LMTPData implements smtp.LMTPSession. All of the text is read whatever happens: what is left would be taken for commands.
func (s *session) LMTPData(text io.Reader, status smtp.StatusCollector) error {
	defer s.receive(text)()
	message := s.get()
	if message == nil { // reset before it began
		return replyInternal
	}
	start := time.Now()
	e := s.envelope(message, start)
	body := &limitedReader{Reader: text, left: s.settings.MaxMessageOctets}
	boxes, of := message.maildrops(e)
	results, err := s.server.Store.Deliver(context.Background(), boxes, body)
	if err != nil {
		results = slices.Repeat([]error{err}, len(boxes))
	}
	_, _ = io.Copy(io.Discard, text)
	s.server.metrics.octets.Add(float64(body.octets))
	s.server.metrics.seconds.Observe(time.Since(start).Seconds())
	s.log(e, body.octets, boxes, results)
	for i, recipient := range message.recipients {
		reply := s.settings.replyTo(results[of[i]])
		if reply == nil {
			reply = newReply(250, smtp.EnhancedCode{2, 0, 0}, "Delivered, id "+e.id)
		}
		s.server.metrics.replies.WithLabelValues(enhanced(reply)).Inc()
		status.SetStatus(recipient.address, reply)
	}
	return replyInternal // for a recipient without a status, to whom go-smtp would say that the message was taken
}

func (s *session) envelope(m *message, now time.Time) envelope {
	return envelope{
		id: newID(), from: m.from, helo: s.greeted.Hostname(), remote: s.conn.RemoteAddr(),
		hostname: s.settings.Hostname, utf8: m.utf8, received: now,
	}
}

// maildrops gives each maildrop once, and for each RCPT which of them is meant: who is written to under two of their
// addresses wants one copy. Each RCPT still gets its reply.
func (m *message) maildrops(e envelope) (boxes []maildrop.Recipient, of []int) {
	for _, r := range m.recipients {
		i := slices.IndexFunc(boxes, func(b maildrop.Recipient) bool { return b.ID == r.record.ID })
		if i < 0 {
			i = len(boxes)
			boxes = append(boxes, maildrop.Recipient{Mailbox: mailbox(r.record), Trace: e.trace(r.address)})
		}
		of = append(of, i)
	}
	return boxes, of
}

// log writes one line for each maildrop; nothing in it is from the message.
func (s *session) log(e envelope, octets int64, boxes []maildrop.Recipient, results []error) {
	log := s.server.Log.With("delivery", e.id, "remote", e.remote.String(), "octets", octets)
	for i, box := range boxes {
		if err := results[i]; err != nil {
			reply := s.settings.replyTo(err)
			log.Warn("message refused", "mailbox", box.ID, "status", enhanced(reply), "error", err)
			continue
		}
		log.Info("message delivered", "mailbox", box.ID)
	}
}

// Reset implements smtp.Session.
func (s *session) Reset() {
	s.settle()
	s.protocol.MaxMessageBytes = s.settings.MaxMessageOctets // what LHLO tells and MAIL checks
	s.set(nil)
	s.conn.end()
}

// Logout implements smtp.Session. No delivery outlives its connection, so that a drain waits for all of them.
func (s *session) Logout() error {
	s.settle()
	return nil
}

func (s *session) set(m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.message = m
}

func (s *session) get() *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.message
}

var errTooLarge = errors.New("message is larger than allowed")

// limitedReader counts octets, and fails with errTooLarge when there are more than allowed.
type limitedReader struct {
	io.Reader
	left   int64
	octets int64
}

func (r *limitedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.octets += int64(n)
	if r.left -= int64(n); r.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
