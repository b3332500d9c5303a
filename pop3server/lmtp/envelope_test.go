package lmtp

import (
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

func TestSubaddresses(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.SubaddressSeparator, s.MaxRecipients = "+", 10 })
	c := f.greet(t)
	for address, reply := range map[string]string{
		"alice+news@example.com":  "250",
		"ALICE+a+b@Example.com":   "250",
		"sales+x@example.com":     "250",       // an alias
		"alice+@example.com":      "250",       // an empty tag
		"+alice@example.com":      "550 5.1.1", // no local part is left
		"alice-news@example.com":  "550 5.1.1",
		"nobody+x@example.com":    "550 5.1.1",
		"disabled+x@example.com":  "550 5.2.1",
		"alice+x@example.org":     "550 5.1.1",
		"alice@example.com+x":     "550 5.1.1",
		`"alice+x y"@example.com`: "250",
	} {
		c.say("MAIL FROM:<>\r\nRCPT TO:<" + address + ">\r\nRSET\r\n")
		c.expect("250", reply, "250")
	}
	c.script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<Alice+News@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250 2.0.0 <Alice+News@example.com>`)
	text := f.messages(t, alice)[0]
	for _, want := range []string{"\r\nDelivered-To: Alice+News@example.com\r\n", "\tfor <Alice+News@example.com>; "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in text %q", want, text)
		}
	}
}

// A mailbox or an alias that has the tag in its own address comes first, and of two without it the longer one.
func TestSubaddressOfAMailboxOfItsOwn(t *testing.T) {
	f := start(t, nil)
	own := record("alice+own@example.com")
	known := map[string]directory.Record{alice.Address: alice, own.Address: own}
	f.Lookup = func(name string) (directory.Record, bool) { r, ok := known[name]; return r, ok }
	f.change(func(s *Settings) { s.SubaddressSeparator = "+" })
	for address, want := range map[string]string{
		own.Address: own.ID, "alice+own+x@example.com": own.ID, "alice+x@example.com": alice.ID,
	} {
		s := &session{server: f.Server, settings: f.now()}
		if got, refusal := s.find(address); refusal != nil || got.ID != want {
			t.Errorf("%s: %s, %v", address, got.Address, refusal)
		}
	}
}

func TestSubaddressesAreOffByDefault(t *testing.T) {
	start(t, nil).greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice+news@example.com>
		S: 550 5.1.1`)
}

// While part of the directory cannot be read, an address with a tag could be a mailbox of its own.
func TestSubaddressWhileTheDirectoryIsNotComplete(t *testing.T) {
	f := start(t, nil)
	f.change(func(s *Settings) { s.SubaddressSeparator, f.partial = "+", true })
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<alice+news@example.com>
		S: 451 4.3.0`)
}

func TestEnvelopeSyntax(t *testing.T) {
	c := start(t, nil).greet(t)
	for command, reply := range map[string]string{
		"MAIL FROM:<a@b> SIZE=10 BODY=7BIT":       "250 2.1.0",
		"mail from: <@x,@y:a@b> smtputf8 size=0":  "250 2.1.0",
		"MAIL FROM:<a@[IPv6:2001:db8::1]>":        "250 2.1.0",
		"MAIL FROM:<ü@b> SMTPUTF8":                "250 2.1.0",
		"MAIL FROM:<ü@b>":                         "553 5.6.7",
		"MAIL FROM:a@b":                           "501 5.1.7",
		"MAIL FROM:<a>":                           "501 5.1.7",
		"MAIL FROM:<a@b":                          "501 5.1.7",
		"MAIL FROM:<a@b>SIZE=1":                   "501 5.1.7",
		"MAIL FROM:<@x a@b>":                      "501 5.1.7",
		"MAIL FROM:<a b@c>":                       "501 5.1.7",
		`MAIL FROM:<"a@b>`:                        "501 5.1.7",
		`MAIL FROM:<"a"b@c>`:                      "501 5.1.7",
		"MAIL FROM:<a@b c>":                       "501 5.1.7",
		"MAIL FROM:<a@>":                          "501 5.1.7",
		"MAIL FROM:<" + long(320) + "@b>":         "501 5.1.7",
		"MAIL TO:<a@b>":                           "501 5.5.4",
		"MAIL":                                    "501 5.5.4",
		"MAIL FROM:<a@b> SIZE=1 SIZE=1":           "501 5.5.4",
		"MAIL FROM:<a@b> SIZE=":                   "501 5.5.4",
		"MAIL FROM:<a@b> SIZE=-1":                 "501 5.5.4",
		"MAIL FROM:<a@b> SMTPUTF8=1":              "501 5.5.4",
		"MAIL FROM:<a@b> SIZE=100001":             "552 5.3.4",
		"MAIL FROM:<a@b> SIZE=999999999999999999": "552 5.3.4",
		"MAIL FROM:<> SIZE=99999999999999999999":  "552 5.3.4",
		// What is not announced is not taken.
		"MAIL FROM:<a@b> BODY=BINARYMIME": "501 5.5.4",
		"MAIL FROM:<a@b> RET=HDRS":        "555 5.5.4",
		"MAIL FROM:<a@b> REQUIRETLS":      "555 5.5.4",
		"RCPT TO:<alice@example.com>":     "503 5.5.1",
	} {
		c = c.again()
		c.say(command + "\r\n")
		c.expect(reply)
	}
	for command, reply := range map[string]string{
		"RCPT TO:<alice@example.com>":              "250 2.1.5",
		"rcpt to: <alice@example.com> ":            "250 2.1.5",
		"RCPT TO:<>":                               "501 5.1.3",
		"RCPT TO:alice@example.com":                "501 5.1.3",
		"RCPT TO:<Postmaster>":                     "501 5.1.3",
		"RCPT FROM:<a@b>":                          "501 5.5.4",
		"RCPT TO:<alice@example.com> NOTIFY=NEVER": "555 5.5.4",
		"RCPT TO:<ü@example.com>":                  "553 5.6.7",
		"DATA x":                                   "501 5.5.4",
		"MAIL FROM:<>":                             "503 5.5.1",
	} {
		c = c.again()
		c.say("MAIL FROM:<>\r\n" + command + "\r\n")
		c.expect("250", reply)
	}
}

func long(octets int) string { return strings.Repeat("x", octets) }

// A mailbox that is no more has no mail, whatever its record is kept for.
func TestPurgedMailbox(t *testing.T) {
	f := start(t, nil)
	f.Lookup = func(name string) (directory.Record, bool) {
		return record(name, func(r *directory.Record) { r.State = directory.Purged }), true
	}
	f.greet(t).script(`C: MAIL FROM:<>
		S: 250
		C: RCPT TO:<gone@example.com>
		S: 550 5.1.1`)
}

func TestMailbox(t *testing.T) {
	r := record("alice@example.com", func(r *directory.Record) {
		r.Quota, r.Adopt = directory.Quota{IssueWarning: 5, ProhibitReceive: 7}, true
	})
	want := maildrop.Mailbox{
		ID: r.ID, Owner: r.Owner, Adopt: true, Address: "alice@example.com", IssueWarning: 5, ProhibitReceive: 7,
	}
	if got := mailbox(r); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
