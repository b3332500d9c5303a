package pop3

import (
	"testing"

	"github.com/popservice/popservice/pop3server/config"
)

// RFC 6856 §3 LANG: in both states; without an argument it lists the languages, with one it takes it.
func TestLang(t *testing.T) {
	f := newFixture(t)
	f.extend(config.CapabilityLang)
	f.set(func(s *Settings) { s.Limits.MaxBadCommands = 3 }) // to ask for an unknown language is no bad command
	const english, any = "+OK en Replies are in English.", "+OK i-default Replies are in English."
	const unavailable = "-ERR Language is not available."
	for _, c := range []*client{f.connect(), f.login()} {
		c.script("C: LANG\nS: +OK\nS: en English\nS: i-default English\nS: .")
		for argument, want := range map[string]string{
			"en": english, "EN": english, "i-default": any, "I-Default": any, "*": english,
			"de": unavailable, "en-US": unavailable, "MUL": unavailable, "é": unavailable, "en de": wrongArguments,
		} {
			c.say("LANG " + argument + "\r\n")
			if got := c.line(); got != want {
				t.Errorf("LANG %s gives %q, want %q", argument, got, want)
			}
		}
		c.script("C: QUIT\nS: +OK…")
	}
}
