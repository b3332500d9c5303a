package lmtp

import (
	"context"
	"strings"
	"time"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

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

// mail is RFC 5321 §4.1.1.2 MAIL.
func (s *session) mail(argument string) error {
	switch {
	case s.helo == "":
		return s.answer(replySayHello)
	case s.message != nil: // RFC 5321 §4.1.4
		return s.answer(replyUnderWay)
	}
	m, refusal := s.parseMail(argument)
	if refusal != nil {
		return s.answer(refusal)
	}
	if !s.conn.begin() {
		return errDraining
	}
	s.message = m
	return s.answer(replySender)
}

// parseMail reads MAIL's argument, or says what is wrong with it.
func (s *session) parseMail(argument string) (*message, *reply) {
	path, ok := cutKeyword(argument, "FROM:")
	if !ok {
		return nil, replyArgument
	}
	from, rest, ok := cutPath(path)
	if !ok {
		return nil, replyBadSender
	}
	parameters, ok := parseParameters(rest)
	if !ok {
		return nil, replyArgument
	}
	m := &message{from: from}
	for keyword, value := range parameters {
		if refusal := s.setParameter(m, keyword, value); refusal != nil {
			return nil, refusal
		}
	}
	if !m.utf8 && !isASCII(from) { // RFC 6531 §3.5
		return nil, replyNeedsUTF8
	}
	return m, nil
}

// setParameter takes over a parameter of MAIL, or says what is wrong with it.
func (s *session) setParameter(m *message, keyword, value string) *reply {
	var ok bool
	switch keyword {
	case "SIZE": // RFC 1870 §6
		if m.octets, ok = parseSize(value); ok && m.octets > s.settings.MaxMessageOctets {
			return replyTooLarge
		}
	case "BODY": // RFC 6152 §3; the octets are kept as they are either way
		ok = strings.EqualFold(value, "7BIT") || strings.EqualFold(value, "8BITMIME")
	case "SMTPUTF8": // RFC 6531 §3.4
		m.utf8, ok = true, value == ""
	default:
		return replyParameter
	}
	if !ok {
		return replyArgument
	}
	return nil
}

// rcpt is RFC 5321 §4.1.1.3 RCPT.
func (s *session) rcpt(argument string) error {
	if s.message == nil {
		return s.answer(replyNoSender)
	}
	path, ok := cutKeyword(argument, "TO:")
	if !ok {
		return s.answer(replyArgument)
	}
	address, rest, ok := cutPath(path)
	switch {
	case !ok || address == "":
		return s.answer(replyBadRecipient)
	case rest != "" && strings.Trim(rest, " ") != "": // no extension that adds a parameter is offered
		return s.answer(replyParameter)
	case !s.message.utf8 && !isASCII(address):
		return s.answer(replyNeedsUTF8)
	case len(s.message.recipients) >= s.settings.MaxRecipients: // RFC 5321 §4.5.3.1.10
		return s.answer(replyTooManyRecipients)
	}
	return s.answer(s.addRecipient(address))
}

// addRecipient adds a recipient, or says why there can be none.
func (s *session) addRecipient(address string) *reply {
	record, refusal := s.find(address)
	if refusal == nil {
		refusal = s.checkQuota(record)
	}
	if refusal != nil {
		s.server.metrics.replies.WithLabelValues(refusal.status).Inc()
		return refusal
	}
	s.message.recipients = append(s.message.recipients, recipient{address, record})
	return replyRecipient
}

// find finds the mailbox that an address means, or says why it cannot have mail.
func (s *session) find(address string) (directory.Record, *reply) {
	record, found := s.server.Lookup(address)
	switch {
	case !found && !s.server.Complete(): // an address with a tag could be a mailbox that is not known yet
		return record, replyNoDirectory
	case !found:
		record, found = s.findWithoutTag(address)
	}
	switch {
	case !found || record.State == directory.Purged:
		return record, replyUnknown
	case record.State != directory.Enabled:
		return record, replyDisabled
	}
	return record, nil
}

// findWithoutTag finds the mailbox to whose address a tag was added (RFC 5233 §1). Where the separator stands there several
// times, the longest address that is one has the mail.
func (s *session) findWithoutTag(address string) (directory.Record, bool) {
	separator := s.settings.SubaddressSeparator
	at := strings.LastIndexByte(address, '@')
	for end := at; separator != "" && end > 0; {
		if end = strings.LastIndex(address[:end], separator); end <= 0 {
			break
		}
		if record, found := s.server.Lookup(address[:end] + address[at:]); found {
			return record, true
		}
	}
	return directory.Record{}, false
}

// checkQuota refuses a message before its text is sent, where it is known by now that it does not fit.
func (s *session) checkQuota(record directory.Record) *reply {
	box := mailbox(record)
	usage, err := s.server.Store.Usage(context.Background(), box)
	limit := box.ProhibitReceive
	if err == nil && limit > 0 && (usage.StorageOctets >= limit || usage.StorageOctets+s.message.octets > limit) {
		err = maildrop.ErrOverQuota
	}
	if err != nil {
		s.logRefusal(s.server.Log.With("remote", s.conn.RemoteAddr().String()), "recipient refused", box, err)
	}
	return s.settings.replyTo(err)
}

func (s *session) envelope(now time.Time) envelope {
	return envelope{
		id: newID(), from: s.message.from, helo: s.helo, remote: s.conn.RemoteAddr(), hostname: s.settings.Hostname,
		utf8: s.message.utf8, tls: s.tls != nil, received: now,
	}
}
