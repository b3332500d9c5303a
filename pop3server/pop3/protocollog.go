package pop3

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"time"
)

// newSessionID makes a name for a session, which is different from those of other sessions and servers.
func newSessionID() string { return rand.Text()[:8] }

// newProtocolLogger makes the logger of the protocol logs out of the server's. Its lines are told apart by their "log" field.
func newProtocolLogger(log *slog.Logger) *slog.Logger {
	return slog.New(everyLevel{log.Handler().WithAttrs([]slog.Attr{slog.String("log", "protocol")})})
}

// everyLevel is a handler whose lines are written whatever the level of the log is.
type everyLevel struct{ slog.Handler }

func (everyLevel) Enabled(context.Context, slog.Level) bool { return true }

// protocolLog logs what a session's client and the server say to each other (Exchange's ProtocolLogEnabled): a line for each
// command and its reply's status line. Nothing is logged that could be a secret, and nothing of mail. What the server says
// unasked, such as that it closes an idle connection, has an empty command. All methods do nothing if the log is nil.
type protocolLog struct {
	session *session
	since   time.Time // of the command, or of the reply before what is said unasked
	command string
	status  []byte // the first line of the reply, as far as it is there
	ended   bool   // the status line is
	octets  int64  // of the reply
}

// received begins a line, before the command's arguments are wiped.
func (p *protocolLog) received(c command) {
	if p != nil {
		p.since, p.command = time.Now(), loggedCommand(c)
	}
}

// receivedResponse begins the line of a client's response within a SASL exchange, all of which are secrets.
func (p *protocolLog) receivedResponse() {
	if p != nil {
		p.since, p.command = time.Now(), maskedText
	}
}

// sent takes note of a part of the reply. RFC 1939 §3: the first line of it is the status line, of at most 512 octets.
func (p *protocolLog) sent(part []byte) {
	if p == nil {
		return
	}
	p.octets += int64(len(part))
	if p.ended {
		return
	}
	line, _, ended := bytes.Cut(part, []byte{'\n'})
	line = line[:min(len(line), maxStatusOctets-len(p.status))]
	p.status, p.ended = append(p.status, line...), ended
}

// answered writes the line, if there is anything to write.
func (p *protocolLog) answered() {
	if p == nil || p.command == "" && p.octets == 0 {
		return
	}
	now := time.Now()
	s := p.session
	s.server.protocol.LogAttrs(context.Background(), slog.LevelInfo, "command",
		slog.String("session", s.id), slog.Any("remote", s.remote), slog.String("mailbox", s.record.ID),
		slog.String("command", p.command), slog.String("reply", loggedReply(p.status)), slog.Int64("octets", p.octets),
		slog.Float64("milliseconds", float64(now.Sub(p.since).Microseconds())/1000))
	p.since, p.command, p.status, p.ended, p.octets = now, "", p.status[:0], false, 0
}
