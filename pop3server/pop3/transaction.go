package pop3

import "github.com/popservice/popservice/pop3server/maildrop"

// message gives the message whose number is a command's only argument (RFC 1939 §5).
func (s *session) message(args arguments) (int, maildrop.Message, error) {
	text, ok := args.one()
	if !ok {
		return 0, maildrop.Message{}, refuseArguments
	}
	return s.messageNumbered(text)
}

// messageNumbered gives the message that a text numbers.
func (s *session) messageNumbered(text []byte) (int, maildrop.Message, error) {
	number, ok := parseNumber(text)
	if !ok {
		return 0, maildrop.Message{}, refuseArguments
	}
	m, err := s.list.find(number)
	return number, m, err
}

// stat is RFC 1939 §5 STAT. [MS-STANXPOP3] V0004: nothing follows the size, which is that of the storage by default (§2.1.4).
func (s *session) stat(args arguments) error {
	if !args.none() {
		return refuseArguments
	}
	s.okNumbers(int64(s.list.count()), s.list.octets)
	return nil
}

// scan is RFC 1939 §5 LIST. [MS-STANXPOP3] V0005: nothing follows the size, which is that of the storage by default (§2.1.5).
func (s *session) scan(args arguments) error {
	if args.none() {
		return s.scanAll()
	}
	number, m, err := s.message(args)
	if err != nil {
		return err
	}
	s.okNumbers(int64(number), s.list.size(m))
	return nil
}

func (s *session) scanAll() error {
	s.okNumbers(int64(s.list.count()), s.list.octets)
	s.list.each(func(number int, m maildrop.Message) { s.numbers(int64(number), s.list.size(m)) })
	s.end()
	return nil
}

// uidl is RFC 1939 §7 UIDL. [MS-STANXPOP3] C0007, C0008, C0009: the unique-ids are the store's.
func (s *session) uidl(args arguments) error {
	if args.none() {
		return s.uidlAll()
	}
	number, m, err := s.message(args)
	if err != nil {
		return err
	}
	s.wire.writeString("+OK ")
	s.numberUID(int64(number), m)
	return nil
}

func (s *session) uidlAll() error {
	s.ok("")
	s.list.each(func(number int, m maildrop.Message) { s.numberUID(int64(number), m) })
	s.end()
	return nil
}

// dele is RFC 1939 §5 DELE. A message that somebody else has removed meanwhile can be marked: it will not be there after QUIT.
func (s *session) dele(args arguments) error {
	number, _, err := s.message(args)
	if err != nil {
		return err
	}
	s.list.mark(number)
	s.ok("")
	return nil
}

// noop is RFC 1939 §5 NOOP.
func (s *session) noop(args arguments) error {
	if !args.none() {
		return refuseArguments
	}
	s.ok("")
	return nil
}

// rset is RFC 1939 §5 RSET.
func (s *session) rset(args arguments) error {
	if !args.none() {
		return refuseArguments
	}
	s.list.reset()
	s.ok("")
	return nil
}
