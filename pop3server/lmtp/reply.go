package lmtp

import (
	"errors"
	"fmt"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// reply is a reply of one line. What a sender's MTA should try again later is 4yz.
type reply struct {
	code   int
	status string // the enhanced status code (RFC 2034, RFC 3463)
	text   string
	bad    bool // the command was wrong in itself; a connection may have so many of these
}

func newReply(code int, status, text string) *reply {
	return &reply{code: code, status: status, text: text}
}

// newBad makes a reply to a command that no client should send.
func newBad(code int, status, text string) *reply {
	return &reply{code: code, status: status, text: text, bad: true}
}

// String gives the line with its end.
func (r *reply) String() string { return fmt.Sprintf("%d %s %s\r\n", r.code, r.status, r.text) }

// to gives the reply for one recipient (RFC 2033 §4.2).
func (r *reply) to(address string) *reply {
	return newReply(r.code, r.status, fmt.Sprintf("<%s> %s", quote(address), r.text))
}

// Replies to commands as they stand.
var (
	replyReset        = newReply(250, "2.0.0", "Reset")
	replyNoop         = newReply(250, "2.0.0", "Ok")
	replySender       = newReply(250, "2.1.0", "Sender ok")
	replyRecipient    = newReply(250, "2.1.5", "Recipient ok")
	replyChunk        = newReply(250, "2.0.0", "Continue")
	replyCannotVerify = newReply(252, "2.5.0", "Send mail and see")
	replyBye          = newReply(221, "2.0.0", "Bye")
	replyStartTLS     = newReply(220, "2.0.0", "Begin TLS negotiation")

	replyUnknownCommand = newBad(500, "5.5.2", "There is no such command")
	replyNotSMTP        = newBad(500, "5.5.1", "This is LMTP, say LHLO")
	replyLongLine       = newBad(500, "5.5.2", fmt.Sprintf("A command line may have %d octets", maxCommandOctets))
	replyBareLF         = newBad(500, "5.5.2", "A command line ends in CRLF")
	replyUnfit          = newBad(500, "5.5.2", "The command has a control character or is no UTF-8")
	replyArgument       = newBad(501, "5.5.4", "The argument is wrong")
	replyBadSender      = newBad(501, "5.1.7", "The sender's address is malformed")
	replyBadRecipient   = newBad(501, "5.1.3", "The recipient's address is malformed")
	replyNoCommand      = newBad(502, "5.5.1", "The command is not implemented")
	replySayHello       = newBad(503, "5.5.1", "Say LHLO first")
	replyUnderWay       = newBad(503, "5.5.1", "There is a message under way, end it or send RSET")
	replyHasTLS         = newBad(503, "5.5.1", "TLS is there already")
	replyInjected       = newBad(503, "5.5.1", "Nothing may follow STARTTLS before its reply")
	replyParameter      = newBad(555, "5.5.4", "The parameter is not known")

	// A client that sends several commands together gets these when the first of them fails.
	replyNoSender    = newReply(503, "5.5.1", "Say MAIL first")
	replyNoRecipient = newReply(503, "5.5.1", "There is no recipient")
)

// Replies to what cannot be done, or not now.
var (
	replyShuttingDown   = newReply(421, "4.3.2", "The service is shutting down, try again later")
	replyTooMany        = newReply(421, "4.3.2", "Too many connections, try again later")
	replyTooManyOfYours = newReply(421, "4.7.0", "Too many connections from your address, try again later")
	replyTooManyBad     = newReply(421, "4.7.0", "Too many bad commands")
	replyIdle           = newReply(421, "4.4.2", "Nothing came for too long")
	replyNoTLSNow       = newReply(454, "4.7.0", "TLS is not available now, try again later")
	replyNeedsTLS       = newReply(530, "5.7.0", "Say STARTTLS first")

	replyTooManyRecipients = newReply(452, "4.5.3", "Too many recipients, send the rest in another message")
	replyNeedsUTF8         = newReply(553, "5.6.7", "The address takes SMTPUTF8")
	replyUnknown           = newReply(550, "5.1.1", "There is no such mailbox")
	replyDisabled          = newReply(550, "5.2.1", "The mailbox is disabled")
	replyOverQuota         = newReply(552, "5.2.2", "The mailbox is full")
	replyOverQuotaDefer    = newReply(452, "4.2.2", "The mailbox is full, try again later")
	replyTooLarge          = newReply(552, "5.3.4", "The message is larger than this server takes")
	replyMoved             = newReply(451, "4.3.0", "The address has become another mailbox's meanwhile, try again")
	replyNoDirectory       = newReply(451, "4.3.0", "The list of mailboxes is not complete, try again later")
	replyNoSpace           = newReply(452, "4.3.1", "The mail volume is full, try again later")
	replyInternal          = newReply(451, "4.3.0", "The mail system failed, try again later")
)

// replyTo gives the reply for an error of the store, nil for none. What somebody has to put right first, such as a damaged
// volume or a maildrop of another owner, sends no mail back meanwhile.
func (s Settings) replyTo(err error) *reply {
	var refused refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused.reply
	case errors.Is(err, maildrop.ErrOverQuota) && s.OverQuotaReply == config.Defer:
		return replyOverQuotaDefer
	case errors.Is(err, maildrop.ErrOverQuota):
		return replyOverQuota
	case errors.Is(err, maildrop.ErrNoSpace):
		return replyNoSpace
	case errors.Is(err, errTooLarge):
		return replyTooLarge
	}
	return replyInternal
}
