package pop3

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

const (
	maskedText      = "***" // stands for what may be a secret
	unknownText     = "?"   // stands for a line that is not a command, and may be a secret
	maxStatusOctets = 512   // [MS-STANXPOP3] C0001
	maxWordOctets   = 128   // of a word that the client has chosen
)

// loggedMechanisms are the words behind AUTH that are logged. Any other word there may be a response that lacks the mechanism.
var loggedMechanisms = []string{
	"ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "EXTERNAL", "GSSAPI", "KERBEROS_V4", "LOGIN", "NTLM", "OAUTHBEARER", "PLAIN",
	"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2",
}

// loggedCommand gives what is logged of a command. A user who types may send a password anywhere: what is logged is only what
// a command of that kind has when it is right.
func loggedCommand(c command) string {
	keyword := string(c.keyword)
	_, known := commands[keyword]
	switch {
	case !known && isKeyword(keyword):
		return keyword
	case !known:
		return unknownText
	case c.argument.none():
		return keyword
	}
	return keyword + " " + loggedArguments(keyword, c.argument)
}

// isKeyword tells whether a word that is no command could be one. RFC 1939 §3: keywords have three or four characters.
func isKeyword(word string) bool {
	return (len(word) == 3 || len(word) == 4) && !strings.ContainsFunc(word, func(r rune) bool { return r < 'A' || r > 'Z' })
}

func loggedArguments(keyword string, args arguments) string {
	word, rest := cutWord(args)
	switch keyword {
	case "PASS":
		return maskedText
	case "USER":
		return loggedWord(word) + loggedRest(rest)
	case "AUTH":
		if name := strings.ToUpper(string(word)); slices.Contains(loggedMechanisms, name) {
			return name + loggedRest(rest)
		}
		return maskedText
	}
	if bytes.ContainsFunc(args, notOfNumbers) {
		return maskedText
	}
	return loggedWord(args)
}

// notOfNumbers finds what is in no list of numbers, which is what all other commands have as arguments.
func notOfNumbers(r rune) bool { return (r < '0' || r > '9') && r != ' ' && r != '\t' }

// loggedRest gives what is logged of further arguments.
func loggedRest(rest []byte) string {
	if len(rest) == 0 {
		return ""
	}
	return " " + maskedText
}

// loggedWord makes a client's words fit for the log: not too long, and with what is not printable escaped.
func loggedWord(word []byte) string {
	quoted := strconv.QuoteToGraphic(string(word[:min(len(word), maxWordOctets)]))
	text := quoted[1 : len(quoted)-1]
	if len(word) > maxWordOctets {
		text += "…"
	}
	return text
}

// loggedReply gives what is logged of a status line. Those of the server have no secrets, but a SASL challenge may have one.
func loggedReply(status []byte) string {
	text := strings.TrimSuffix(string(status), "\r")
	if challenge, ok := strings.CutPrefix(text, "+ "); ok && challenge != "" {
		return "+ " + maskedText
	}
	return text
}
