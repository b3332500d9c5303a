package pop3

import "strings"

// language is the only one that replies are in. RFC 6856 §3 wants i-default (RFC 2277 §4.5) too, which is English here.
const language = "en"

// languages are the names under which it may be asked for, and those by which it is answered to them. "*" asks for what the
// server prefers.
var languages = map[string]string{language: language, "i-default": "i-default", "*": language}

// lang is RFC 6856 §3 LANG: it lists the languages of replies or takes one of them, and names the one that was taken.
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
	taken, ok := languages[strings.ToLower(string(wanted))] // RFC 4647 §2: without regard to case
	if !ok {
		return refuseLanguage
	}
	s.ok(taken + " Replies are in English.")
	return nil
}
