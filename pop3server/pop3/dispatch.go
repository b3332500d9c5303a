package pop3

import (
	"errors"
	"time"

	"github.com/popservice/popservice/pop3server/config"
)

// The first bad commands in a row are answered at once, each further one later than the one before it, so that a client that
// guesses or is broken does not spin.
const (
	badAtOnce = 4
	badStep   = 100 * time.Millisecond
	badMost   = 2 * time.Second
)

// handler carries out a command. It sends the positive reply itself and gives nil, or gives a *refusal, which is sent for it.
// Any other error ends the session without a reply.
type handler struct {
	run    func(*session, arguments) error
	states state
}

// commands are those of RFC 1939, RFC 2449 (CAPA), RFC 2595 (STLS), RFC 5034 (AUTH) and RFC 6856 (UTF8, LANG).
// [MS-STANXPOP3] V0012: there is no APOP.
var commands = map[string]handler{
	"USER": {(*session).userCommand, authorization},
	"PASS": {(*session).pass, authorization},
	"AUTH": {(*session).auth, authorization},
	"STLS": {(*session).stls, authorization},
	"CAPA": {(*session).capa, authorization | transaction},
	"QUIT": {(*session).quit, authorization | transaction},
	"STAT": {(*session).stat, transaction},
	"LIST": {(*session).scan, transaction},
	"RETR": {(*session).retr, transaction},
	"DELE": {(*session).dele, transaction},
	"NOOP": {(*session).noop, transaction},
	"RSET": {(*session).rset, transaction},
	"TOP":  {(*session).top, transaction},
	"UIDL": {(*session).uidl, transaction},
	"UTF8": {(*session).utf8Command, authorization},
	"LANG": {(*session).lang, authorization | transaction},
}

// extensions are the commands that are known only where the settings have the capability.
var extensions = map[string]config.Capability{"UTF8": config.CapabilityUTF8, "LANG": config.CapabilityLang}

// knows tells whether there is such a command under the settings.
func (s *session) knows(keyword string) bool {
	capability, extended := extensions[keyword]
	return !extended || s.settings.has(capability)
}

// execute carries out a command line and sends the reply to it. Its error ends the session; a refusal has been sent.
func (s *session) execute(line []byte) error {
	started := time.Now()
	s.log.commands++
	c, err := parseCommand(line)
	s.protocol.received(c)
	if err == nil {
		err = s.carryOut(c)
	} else {
		err = refuseControl
	}
	s.server.metrics.observe(string(c.keyword), resultOf(err), time.Since(started))
	err = s.conclude(err)
	s.protocol.answered()
	return err
}

// carryOut finds the handler and runs it, if the state allows.
func (s *session) carryOut(c command) error {
	keyword := string(c.keyword)
	// RFC 1939 §7 PASS: valid immediately after USER only.
	if keyword != "PASS" {
		s.user = ""
	}
	h, ok := commands[keyword]
	switch {
	case !ok || !s.knows(keyword):
		return refuseUnknown
	case h.states&s.state == 0: // RFC 1939 §3; [MS-STANXPOP3] C0002, C0003
		return refuseState
	}
	return h.run(s, c.argument)
}

// conclude sends the reply that a refusal asks for and counts bad commands in a row, which a good one ends.
func (s *session) conclude(err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		s.bad = 0
		return err
	}
	if r.faulty {
		r = s.countBad(r)
	}
	s.refuse(r)
	if r.closing != "" {
		return r
	}
	return nil
}

// countBad counts a bad command and gives what to answer: the refusal, after a while, or that there have been too many.
func (s *session) countBad(r *refusal) *refusal {
	s.bad++
	if s.bad >= s.settings.Limits.MaxBadCommands {
		return refuseBadCommands
	}
	if late := s.bad - badAtOnce; late > 0 {
		s.pause(min(time.Duration(late)*s.server.badStep, badMost))
	}
	return r
}

// resultOf is the label of a command's outcome in the metrics.
func resultOf(err error) string {
	switch {
	case err == nil || errors.Is(err, errQuit):
		return "ok"
	case errors.As(err, new(*refusal)):
		return "refused"
	}
	return "failed"
}
