package pop3

import (
	"strconv"

	"github.com/popservice/popservice/pop3server/maildrop"
)

// refusal is a negative reply. RFC 1939 §3 wants status lines of at most 512 octets ([MS-STANXPOP3] C0001); all of these are
// constant texts and none quotes the client. Each says why, as far as that is no help to an intruder (V0001).
type refusal struct {
	text string
	code string // see respcode.go; most have none
	// faulty: the client has sent what no client should; too many in a row end the session.
	faulty bool
	// closing is the reason for which the connection is closed after the reply ([MS-STANXPOP3] C0005); empty if it is not.
	closing string
}

func (r *refusal) Error() string { return r.text }

// Exchange's texts, where they are known, so that clients and people recognize them.
var (
	refuseState      = &refusal{text: "Command is not valid in this state.", faulty: true}
	refuseTooLong    = &refusal{text: "Protocol error. Connection is closed. 10", closing: "command too long"}
	refuseMechanism  = &refusal{text: "Protocol error. 14", faulty: true}
	refuseCredential = &refusal{text: "Logon failure: unknown user name or bad password.", code: codeAuth}
	refuseCanceled   = &refusal{text: "The AUTH protocol exchange was canceled by the client.", faulty: true}
)

// Our own texts.
var (
	refuseUnknown    = &refusal{text: "Command is not recognized.", faulty: true}
	refuseArguments  = &refusal{text: "Command arguments are not valid.", faulty: true}
	refuseControl    = &refusal{text: "Command has a control character.", faulty: true}
	refuseBase64     = &refusal{text: "Response is not valid base64.", faulty: true}
	refuseNumber     = &refusal{text: "There is no such message."}
	refuseDeleted    = &refusal{text: "Message is marked as deleted."}
	refuseVanished   = &refusal{text: "Message is no longer in the mailbox."}
	refuseDamaged    = &refusal{text: "Message is damaged. Ask the administrator.", code: codePermanent}
	refuseUnreadable = &refusal{text: "Message cannot be read now. Try again later.", code: codeTemporary}
	refuseUTF8       = &refusal{text: "Message has a header that is not ASCII. Use UTF8 before login.", code: codeUTF8}
	refuseForeign    = &refusal{text: "Mailbox cannot be opened. Ask the administrator.", code: codePermanent}
	refuseMailbox    = &refusal{text: "Mailbox cannot be opened now. Try again later.", code: codeTemporary}
	refuseLoginDelay = &refusal{text: "Mailbox was logged on to recently. Try again later.", code: codeLoginDelay}
	refuseBusy       = &refusal{text: "Server is too busy to check the password. Try again later.", code: codeTemporary}
	refuseCrowded    = &refusal{
		text: "Server is too busy for a response of this length. Connection is closed.", code: codeTemporary,
		closing: "too many long responses",
	}
	refuseUnavailable = &refusal{text: "Login cannot be checked now. Try again later.", code: codeTemporary}
	refuseCertificate = &refusal{text: "TLS is not available."}
	refuseLanguage    = &refusal{text: "Language is not available."}
	refuseInjection   = &refusal{
		text: "Protocol error. Connection is closed.", closing: "commands behind STLS",
	}
	refuseFailedLogins = &refusal{
		text: "Logon failure: unknown user name or bad password. Connection is closed.", code: codeAuth,
		closing: "too many failed logins",
	}
	refuseBadCommands = &refusal{
		text: "Too many bad commands. Connection is closed.", closing: "too many bad commands",
	}
	refuseConnections = &refusal{
		text: "Too many connections. Try again later.", code: codeTemporary, closing: "too many connections",
	}
	refuseMailboxConnections = &refusal{
		text: "Too many connections to this mailbox. Try again later.", code: codeTemporary,
		closing: "too many connections to the mailbox",
	}
	refuseIdle     = &refusal{text: "Connection is closed. Idle timeout.", closing: "idle"}
	refuseShutdown = &refusal{
		text: "Server is shutting down. Connection is closed.", code: codeTemporary, closing: "shutdown",
	}
	// RFC 1939 §6 QUIT has this text.
	refuseUpdate = &refusal{text: "some deleted messages not removed", code: codeTemporary, closing: "update failed"}
)

// ok sends a positive reply; the text may be empty.
func (s *session) ok(text string) {
	s.wire.writeString("+OK")
	if text != "" {
		s.wire.writeString(" ")
		s.wire.writeString(text)
	}
	s.wire.writeString("\r\n")
}

// okNumbers sends a positive reply with two numbers, or begins a multi-line one.
func (s *session) okNumbers(a, b int64) {
	s.wire.writeString("+OK ")
	s.numbers(a, b)
}

// numbers sends a line with two numbers.
func (s *session) numbers(a, b int64) {
	var space [48]byte
	line := strconv.AppendInt(space[:0], a, 10)
	line = strconv.AppendInt(append(line, ' '), b, 10)
	s.wire.write(append(line, '\r', '\n'))
}

// numberUID sends a line with a message's number and its unique-id.
func (s *session) numberUID(n int64, m maildrop.Message) {
	var space [112]byte
	line := m.AppendUID(append(strconv.AppendInt(space[:0], n, 10), ' '))
	s.wire.write(append(line, '\r', '\n'))
}

// end ends a multi-line reply (RFC 1939 §3).
func (s *session) end() { s.wire.writeString(".\r\n") }

// refuse sends a negative reply.
func (s *session) refuse(r *refusal) { s.wire.writeString(r.line(s.settings)) }
