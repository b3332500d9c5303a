package authn

import (
	"strings"
	"unicode"
)

// maxLoggedRunes is how much of a user name stands in the log.
const maxLoggedRunes = 64

// sanitize makes a user name, which anybody may have sent, fit for the log: short, and printable.
func sanitize(name string) string {
	runes := []rune(strings.ToValidUTF8(name, "?"))
	if len(runes) > maxLoggedRunes {
		runes = append(runes[:maxLoggedRunes], '…')
	}
	return strings.Map(printable, string(runes))
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}
