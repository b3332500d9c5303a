package lmtp

import (
	"errors"
	"fmt"

	"github.com/emersion/go-smtp"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

func newReply(code int, enhanced smtp.EnhancedCode, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// The replies, with the enhanced codes of RFC 3463. What a sender's MTA should try again later is 4yz.
var (
	replyShuttingDown   = newReply(421, smtp.EnhancedCode{4, 3, 2}, "The service is shutting down, try again later")
	replyBadSender      = newReply(501, smtp.EnhancedCode{5, 1, 7}, "The sender's address is malformed")
	replyUnderWay       = newReply(503, smtp.EnhancedCode{5, 5, 1}, "There is a message under way, end it or send RSET")
	replyUnknown        = newReply(550, smtp.EnhancedCode{5, 1, 1}, "There is no such mailbox")
	replyDisabled       = newReply(550, smtp.EnhancedCode{5, 2, 1}, "The mailbox is disabled")
	replyOverQuota      = newReply(552, smtp.EnhancedCode{5, 2, 2}, "The mailbox is full")
	replyOverQuotaDefer = newReply(452, smtp.EnhancedCode{4, 2, 2}, "The mailbox is full, try again later")
	replyTooLarge       = newReply(552, smtp.EnhancedCode{5, 3, 4}, "The message is larger than this server takes")
	replyLineTooLong    = newReply(554, smtp.EnhancedCode{5, 6, 0},
		fmt.Sprintf("The message has a line of more than %d octets", maxLineOctets))
	replyNoDirectory = newReply(451, smtp.EnhancedCode{4, 3, 0}, "The list of mailboxes is not complete, try again later")
	replyNoSpace     = newReply(452, smtp.EnhancedCode{4, 3, 1}, "The mail volume is full, try again later")
	replyInternal    = newReply(451, smtp.EnhancedCode{4, 3, 0}, "The mail system failed, try again later")
)

// replyTo gives the reply for an error of the store, nil for none.
func (s Settings) replyTo(err error) *smtp.SMTPError {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, maildrop.ErrOverQuota) && s.OverQuotaReply == config.Defer:
		return replyOverQuotaDefer
	case errors.Is(err, maildrop.ErrOverQuota):
		return replyOverQuota
	case errors.Is(err, maildrop.ErrNoSpace):
		return replyNoSpace
	case errors.Is(err, errTooLarge):
		return replyTooLarge
	case errors.Is(err, smtp.ErrTooLongLine):
		return replyLineTooLong
	}
	return replyInternal
}

// enhanced gives a reply's enhanced status code, such as "5.1.1".
func enhanced(reply *smtp.SMTPError) string {
	code := reply.EnhancedCode
	return fmt.Sprintf("%d.%d.%d", code[0], code[1], code[2])
}
