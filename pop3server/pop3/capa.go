package pop3

// capa is RFC 2449 §5 CAPA: Exchange's set in Exchange's order, of which a client is told what it may use on this connection as
// it is now, and behind it what the settings add. USER and SASL stay the same after login (RFC 2449 §6.2, §6.3); STLS is for
// the AUTHORIZATION state (RFC 2595 §4).
func (s *session) capa(args arguments) error {
	if !args.none() {
		return refuseArguments
	}
	s.ok("")
	s.wire.writeString("TOP\r\nUIDL\r\n") // [MS-STANXPOP3] V0007
	s.capaSASL()
	if s.offersUser() {
		s.wire.writeString("USER\r\n")
	}
	if s.state == authorization && s.offersTLS() {
		s.wire.writeString("STLS\r\n")
	}
	s.capaExtended()
	s.end()
	return nil
}

// capaSASL is RFC 2449 §6.3; there is no line without a mechanism.
func (s *session) capaSASL() {
	offered := s.saslOffered()
	if len(offered) == 0 {
		return
	}
	s.wire.writeString("SASL")
	for _, name := range offered {
		s.wire.writeString(" ")
		s.wire.writeString(string(name))
	}
	s.wire.writeString("\r\n")
}
