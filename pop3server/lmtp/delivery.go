package lmtp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// data is RFC 5321 §4.1.1.4 DATA.
func (s *session) data(argument string) error {
	switch {
	case argument != "":
		return s.answer(replyArgument)
	case s.message == nil || len(s.message.recipients) == 0: // RFC 2033 §4.2
		return s.answer(replyNoRecipient)
	}
	if _, err := s.wire.out.WriteString("354 End the text with <CRLF>.<CRLF>\r\n"); err != nil {
		return err
	}
	return s.receive(&textReader{in: s.wire.in})
}

// receive has the message's text stored and answers each recipient, in the order of RCPT (RFC 2033 §4.2). All of the text is
// read whatever happens: what is left would be taken for commands. Where the text does not come to its end, no maildrop has it.
func (s *session) receive(text io.Reader) error {
	start := time.Now()
	e := s.envelope(start)
	body := &limitedReader{Reader: text, left: s.settings.MaxMessageOctets}
	boxes, of := s.maildrops(e)
	results, err := s.server.Store.Deliver(context.Background(), boxes, body)
	if err != nil {
		results = slices.Repeat([]error{err}, len(boxes))
	}
	log := s.server.Log.With("delivery", e.id, "remote", e.remote.String(), "octets", body.octets)
	if _, err := io.Copy(io.Discard, text); err != nil {
		log.Info("message was not sent to its end", "reason", err)
		return err
	}
	s.server.metrics.octets.Add(float64(body.octets))
	s.server.metrics.seconds.Observe(time.Since(start).Seconds())
	s.log(log, boxes, results)
	s.answerAll(results, of, newReply(250, "2.0.0", "Delivered, id "+e.id))
	s.reset()
	return nil
}

// answerAll answers each recipient.
func (s *session) answerAll(results []error, of []int, delivered *reply) {
	for i, recipient := range s.message.recipients {
		r := s.settings.replyTo(results[of[i]])
		if r == nil {
			r = delivered
		}
		s.server.metrics.replies.WithLabelValues(r.status).Inc()
		s.write(r.to(recipient.address))
	}
}

// maildrops gives each maildrop once, and for each RCPT which of them is meant: who is written to under two of their
// addresses wants one copy. Each RCPT still gets its reply.
func (s *session) maildrops(e envelope) (boxes []maildrop.Recipient, of []int) {
	known := make(map[string]int, len(s.message.recipients))
	for _, r := range s.message.recipients {
		i, ok := known[r.record.ID]
		if !ok {
			i = len(boxes)
			known[r.record.ID] = i
			boxes = append(boxes, maildrop.Recipient{Mailbox: mailbox(r.record), Trace: e.trace(r.address),
				Check: func() error { return s.stillTakes(r) }})
		}
		of = append(of, i)
	}
	return boxes, of
}

// refusal is a reply as an error.
type refusal struct{ *reply }

func (r refusal) Error() string { return r.text }

// stillTakes looks a recipient up once more when the text has come, which may be long after RCPT: a mailbox that is no more,
// and whose mail has been removed, gets none.
func (s *session) stillTakes(r recipient) error {
	record, refused := s.find(r.address)
	switch {
	case refused != nil:
		return refusal{refused}
	case record.ID != r.record.ID || record.Owner != r.record.Owner:
		return refusal{replyMoved}
	}
	return nil
}

// mailbox gives the maildrop of a mailbox.
func mailbox(record directory.Record) maildrop.Mailbox {
	return maildrop.Mailbox{
		ID: record.ID, Owner: record.Owner, Adopt: record.Adopt, Address: record.Address,
		IssueWarning: record.Quota.IssueWarning, ProhibitReceive: record.Quota.ProhibitReceive,
	}
}

// log writes one line for each maildrop; nothing in it is from the message.
func (s *session) log(log *slog.Logger, boxes []maildrop.Recipient, results []error) {
	for i, box := range boxes {
		if err := results[i]; err != nil {
			s.logRefusal(log, "message refused", box.Mailbox, err)
			continue
		}
		log.Info("message delivered", "mailbox", box.ID)
	}
}

// logRefusal logs why a maildrop got nothing. That it belongs to another owner is no fault of the sender and stays as it is
// until somebody does something about it, so it is told loudly.
func (s *session) logRefusal(log *slog.Logger, message string, box maildrop.Mailbox, err error) {
	log = log.With("mailbox", box.ID, "status", s.settings.replyTo(err).status)
	if !errors.Is(err, maildrop.ErrForeignOwner) {
		log.Warn(message, "error", err)
		return
	}
	s.server.metrics.foreign.Inc()
	owner := "" // not known
	var foreign *maildrop.ForeignOwnerError
	if errors.As(err, &foreign) {
		owner = foreign.Owner
	}
	log.Error("maildrop belongs to another owner; its mail is deferred until the mailbox's owner is the same or may adopt it",
		"mailboxOwner", box.Owner, "maildropOwner", owner)
}
