package pop3

import "context"

const goodbye = "POP3 server signing off."

// quit is RFC 1939 §4 QUIT in the AUTHORIZATION state, which removes nothing, and §6 QUIT in the TRANSACTION state.
func (s *session) quit(args arguments) error {
	if !args.none() {
		return refuseArguments
	}
	if s.state == transaction {
		if err := s.update(); err != nil {
			return err
		}
	}
	s.ok(goodbye)
	return errQuit
}

// update is the UPDATE state: it removes the messages that are marked as deleted, and no other one ([MS-STANXPOP3] V0006).
// Nothing but a QUIT leads here, and a server that shuts down waits for it.
func (s *session) update() error {
	if s.list.marked == 0 {
		return nil
	}
	if !s.server.beginUpdate(s) {
		return refuseShutdown
	}
	// The client may be gone and the server may be cutting sessions: neither stops what QUIT has begun.
	err := s.mail.Delete(context.WithoutCancel(s.ctx), s.list.removals())
	if err != nil {
		s.server.options.Log.Error("cannot remove messages", "mailbox", s.record.ID, "messages", s.list.marked, "error", err)
		return refuseUpdate
	}
	s.log.deleted = s.list.marked
	return nil
}
