package pop3

import (
	"io"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

const notASCII = "-ERR Message has a header that is not ASCII. Use UTF8 before login."

// RFC 6856 §2.1 UTF8: no arguments, before login alone, and no STLS after it.
func TestUTF8Command(t *testing.T) {
	f := newFixture(t)
	f.useTLS()
	f.extend(config.CapabilityUTF8)
	c := f.connect()
	c.script("C: UTF8 on\nS: " + wrongArguments)
	c.expectCapabilities("TOP UIDL SASL PLAIN USER STLS UTF8 USER")
	c.script("C: UTF8\nS: +OK\nC: utf8\nS: +OK\nC: STLS\nS: " + wrongState)
	c.expectCapabilities("TOP UIDL SASL PLAIN USER UTF8 USER")
	c.login()
	c.script("C: UTF8\nS: " + wrongState)
	c = f.connectSTLS() // the other way round
	c.script("C: UTF8\nS: +OK")
}

// RFC 6856 §2.1: who has not said UTF8 is sent no header that is not ASCII; §5 has the response code. All else stays: sizes,
// bodies, DELE, and other messages. Without UTF8 in the settings, everything is sent as it is.
func TestMessagesInUTF8(t *testing.T) {
	const header, body = "Subject: Grüße\r\nA: b", "ASCII"
	withCode := strings.Replace(notASCII, "-ERR ", "-ERR [UTF8] ", 1)
	sent := "+OK\nS: Subject: Grüße\nS: A: b\nS:\nS: ASCII\nS: ."
	for name, test := range map[string]struct {
		capabilities []config.Capability
		first, want  string
	}{
		"not set":      {nil, "", sent},
		"not asked":    {[]config.Capability{config.CapabilityUTF8}, "", notASCII},
		"with a code":  {[]config.Capability{config.CapabilityUTF8, config.CapabilityRespCodes}, "", withCode},
		"asked":        {[]config.Capability{config.CapabilityUTF8}, "C: UTF8\nS: +OK", sent},
		"another mode": {[]config.Capability{config.CapabilityRespCodes, config.CapabilityLang}, "", sent},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.extend(test.capabilities...)
			f.set(func(s *Settings) { s.Size = config.ExactSize })
			f.deliver(alice, header+"\r\n\r\n"+body+"\r\n", "A: b\r\n\r\nGrüße\r\n")
			c := f.connect()
			c.script(test.first)
			c.login()
			c.script("C: LIST\nS: +OK 2 50\nS: 1 33\nS: 2 17\nS: .\nC: RETR 1\nS: " + test.want + "\nC: TOP 1 1\nS: " + test.want)
			c.script("C: RETR 2\nS: +OK\nS: A: b\nS:\nS: Grüße\nS: .\nC: DELE 1\nS: +OK\nC: QUIT\nS: +OK…")
			c.expectClosed()
			f.expectReason("quit")
			f.expectMessages(alice, "2")
		})
	}
}

// The header is looked at to its end and no further, however long it is and however the store cuts it.
func TestHeaderIsCheckedToItsEnd(t *testing.T) {
	f := newFixture(t)
	f.extend(config.CapabilityUTF8)
	long := strings.Repeat("A: "+strings.Repeat("b", 70)+"\r\n", 4000)
	f.deliver(alice, long+"B: é\r\n\r\n", long+"\r\né\r\n", "A: \xff\r\n\r\n")
	f.store.body = func(_ maildrop.Message, body io.ReadCloser) (io.ReadCloser, error) {
		return brokenBody{smallReader{body}, body}, nil
	}
	c := f.login()
	c.script("C: RETR 1\nS: " + notASCII + "\nC: TOP 1 0\nS: " + notASCII + "\nC: TOP 3 0\nS: " + notASCII)
	c.say("RETR 2\r\nNOOP\r\n")
	for line := c.line(); line != "."; line = c.line() {
		if strings.HasPrefix(line, "-ERR") {
			t.Fatal(line)
		}
	}
	c.expect("+OK")
}

// smallReader gives seven octets at a time.
type smallReader struct{ io.Reader }

func (r smallReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 7)]) }

// Damage that is found in the header can still be told, for the reply has not begun.
func TestHeaderCannotBeRead(t *testing.T) {
	f := newFixture(t)
	f.extend(config.CapabilityUTF8)
	f.deliver(alice, "A: b\r\n\r\n")
	f.store.body = func(_ maildrop.Message, body io.ReadCloser) (io.ReadCloser, error) {
		return brokenBody{failingReader{}, body}, nil
	}
	f.login().script("C: RETR 1\nS: -ERR Message cannot be read now. Try again later.\nC: NOOP\nS: +OK")
}

// RFC 6856 §2.2: names and passwords are UTF-8, be UTF8 said or not; what is none is rejected.
func TestNamesInUTF8(t *testing.T) {
	const name = "grüße@example.com"
	f := newFixture(t)
	f.options.Login = passwords{name: "gehëim", alice: "not \xff UTF-8"}.begin
	login := func(c *client, name, password string) string {
		c.script("C: USER " + name + "\nS: +OK")
		c.say("PASS " + password + "\r\n")
		return c.line()
	}
	for _, utf8 := range []bool{false, true} {
		want := loggedOn
		if utf8 {
			f.extend(config.CapabilityUTF8)
			want = logonFailure
		}
		if got := login(f.connect(), name, "gehëim"); got != loggedOn {
			t.Errorf("UTF8 %v: %s", utf8, got)
		}
		if got := login(f.connect(), alice, "not \xff UTF-8"); got != want {
			t.Errorf("UTF8 %v: a password that is not UTF-8 gives %q, want %q", utf8, got, want)
		}
	}
	if got := login(f.connect(), "a\xff@example.com", "x"); got != logonFailure {
		t.Errorf("a name that is not UTF-8 gives %q", got)
	}
}
