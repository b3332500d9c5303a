package pop3

import "bytes"

// language is the only one that replies are in. RFC 6856 §3 wants i-default (RFC 2277 §4.5) too, which is English here.
const language = "en"

// languages are the names under which it may be asked for. "*" asks for what the server prefers.
var languages = []string{language, "i-default", "*"}

// lang is RFC 6856 §3 LANG: it lists the languages of replies or takes one of them.
func (s *session) lang(args arguments) error {
	if args.none() {
		s.ok("")
		s.wire.writeString("en English\r\ni-default English\r\n")
		s.end()
		return nil
	}
	wanted, ok := args.one()
	if !ok {
		return refuseArguments
	}
	for _, name := range languages { // without regard to case (RFC 4647 §2)
		if bytes.EqualFold(wanted, []byte(name)) {
			s.ok(language + " Replies are in English.")
			return nil
		}
	}
	return refuseLanguage
}
