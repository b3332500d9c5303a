package pop3

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// RFC 1939 §5, §7: a whole session, with both kinds of sizes. [MS-STANXPOP3] §2.1.4, §2.1.5: storage by default.
func TestTransaction(t *testing.T) {
	for mode, sizes := range map[config.SizeMode][5]string{
		config.StorageSize: {"120", "5120", "5360", "240", "120"}, config.ExactSize: {"17", "5019", "5053", "34", "17"},
	} {
		total := sizes[2:]
		f := newFixture(t)
		f.set(func(s *Settings) { s.Size = mode })
		f.deliver(alice, "A: b\r\n\r\nfirst\r\n\r\n", "A: b\r\n\r\n"+strings.Repeat("x", 5009)+"\r\n", "A: b\r\n\r\nfirst\r\n\r\n")
		c := f.login()
		c.script(`C: STAT
			S: +OK 3 ` + total[0] + `
			C: LIST
			S: +OK 3 ` + total[0] + `
			S: 1 ` + sizes[0] + `
			S: 2 ` + sizes[1] + `
			S: 3 ` + sizes[0] + `
			S: .
			C: LIST 2
			S: +OK 2 ` + sizes[1] + `
			C: UIDL
			S: +OK
			S: 1 1
			S: 2 2
			S: 3 3
			S: .
			C: DELE 2
			S: +OK
			C: DELE 2
			S: -ERR Message is marked as deleted.
			C: RETR 2
			S: -ERR Message is marked as deleted.
			C: TOP 2 0
			S: -ERR Message is marked as deleted.
			C: LIST 2
			S: -ERR Message is marked as deleted.
			C: UIDL 2
			S: -ERR Message is marked as deleted.
			C: STAT
			S: +OK 2 ` + total[1] + `
			C: LIST
			S: +OK 2 ` + total[1] + `
			S: 1 ` + sizes[0] + `
			S: 3 ` + sizes[0] + `
			S: .
			C: UIDL
			S: +OK
			S: 1 1
			S: 3 3
			S: .
			C: RSET
			S: +OK
			C: STAT
			S: +OK 3 ` + total[0] + `
			C: DELE 1
			S: +OK
			C: DELE 2
			S: +OK
			C: STAT
			S: +OK 1 ` + total[2] + `
			C: QUIT
			S: +OK POP3 server signing off.`)
		c.expectClosed()
		f.expectReason("quit")
		f.expectMessages(alice, "3")
	}
}

func TestEmptyMaildrop(t *testing.T) {
	newFixture(t).login().script(`C: STAT
		S: +OK 0 0
		C: LIST
		S: +OK 0 0
		S: .
		C: UIDL
		S: +OK
		S: .
		C: RETR 1
		S: -ERR There is no such message.`)
}

// RFC 1939 §3: a line that begins with "." gets one more.
func TestDotStuffing(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, ".: x\r\n\r\n.\r\n..\r\n...\r\na.\r\n.a\r\n\r\n.")
	f.login().script(`C: RETR 1
		S: +OK
		S: ..: x
		S:
		S: ..
		S: ...
		S: ....
		S: a.
		S: ..a
		S:
		S: ..
		S: .
		C: TOP 1 1
		S: +OK
		S: ..: x
		S:
		S: ..
		S: .
		C: NOOP
		S: +OK`)
}

func TestTop(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\nC: d\r\n\r\none\r\n\r\nthree\r\n", "A: only\r\n")
	header := "S: +OK\nS: A: b\nS: C: d\nS:\n"
	f.login().script("C: TOP 1 0\n" + header + "S: .\n" +
		"C: TOP 1 1\n" + header + "S: one\nS: .\n" +
		"C: TOP 1 2\n" + header + "S: one\nS:\nS: .\n" +
		"C: TOP 1 3\n" + header + "S: one\nS:\nS: three\nS: .\n" +
		"C: TOP 1 4\n" + header + "S: one\nS:\nS: three\nS: .\n" +
		"C: TOP 1 99999999999999999999999999999999\n" + header + "S: one\nS:\nS: three\nS: .\n" +
		"C: TOP 2 5\nS: +OK\nS: A: only\nS:\nS: .\n" +
		"C: NOOP\nS: +OK")
}

// However a message is cut into parts, what is sent is its lines, stuffed; and TOP gives the first of them.
func TestTransferInParts(t *testing.T) {
	line := rapid.StringMatching(`[.a\r]{0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		header, body := rapid.SliceOfN(rapid.StringMatching(`[.a]{1,3}`), 0, 3).Draw(t, "header"), rapid.SliceOf(line).Draw(t, "body")
		for i := range body {
			body[i] = strings.ReplaceAll(body[i], "\r", "x")
		}
		lines := append(append(header, ""), body...)
		text := strings.Join(lines, "\r\n") + "\r\n"
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		count := rapid.IntRange(0, 5).Draw(t, "lines")
		var w wire
		dots := &dotWriter{wire: &w}
		top := &topWriter{to: dots, lines: int64(count)}
		for _, part := range []string{text[:cut], text[cut:]} {
			if _, err := top.Write([]byte(part)); errors.Is(err, errTopDone) {
				break
			}
		}
		dots.end()
		want := ""
		for _, l := range lines[:min(len(lines), len(header)+1+count)] {
			if strings.HasPrefix(l, ".") {
				want += "."
			}
			want += l + "\r\n"
		}
		if got := string(*w.out); got != want+".\r\n" {
			t.Fatalf("%q gives %q, want %q", text, got, want+".\r\n")
		}
	})
}

// [MS-STANXPOP3] C0004: a session works on what was there at login. What another session removes cannot be fetched any more;
// the numbers and the listings stay.
func TestMessageVanishes(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: 1\r\n\r\n", "A: 2\r\n\r\n")
	c, other := f.login(), f.login()
	other.script("C: DELE 1\nS: +OK\nC: QUIT\nS: +OK…")
	f.deliver(alice, "A: 3\r\n\r\n")
	c.script(`C: RETR 1
		S: -ERR Message is no longer in the mailbox.
		C: TOP 1 0
		S: -ERR Message is no longer in the mailbox.
		C: LIST
		S: +OK 2 224
		S: 1 112
		S: 2 112
		S: .
		C: UIDL 1
		S: +OK 1 1
		C: RETR 3
		S: -ERR There is no such message.
		C: RETR 2
		S: +OK
		S: A: 2
		S:
		S: .
		C: DELE 1
		S: +OK
		C: DELE 2
		S: +OK
		C: QUIT
		S: +OK POP3 server signing off.`)
	f.expectReason("quit")
	f.expectMessages(alice, "3")
}

// RFC 1939 §6 QUIT: what could not be removed is told, and the connection is closed.
func TestUpdateFails(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\n\r\n")
	f.store.remove = func() error { return errors.New("volume is gone") }
	c := f.login()
	c.script("C: DELE 1\nS: +OK\nC: QUIT\nS: -ERR some deleted messages not removed")
	c.expectClosed()
	f.expectReason("update failed")
	f.expectMessages(alice, "1")
	if !strings.Contains(f.log.String(), "volume is gone") {
		t.Error("the log does not say why")
	}
}

// A QUIT without marks does not touch the store.
func TestQuitWithoutMarks(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\n\r\n")
	f.store.remove = func() error { return errors.New("touched") }
	c := f.login()
	c.script("C: DELE 1\nS: +OK\nC: RSET\nS: +OK\nC: QUIT\nS: +OK POP3 server signing off.")
}

// RFC 1939 §6: a session that ends in any other way than by QUIT removes nothing.
func TestNothingIsRemovedWithoutQuit(t *testing.T) {
	for name, end := range map[string]func(*client){
		"client leaves":            func(*client) {},
		"QUIT without a line end":  func(c *client) { c.say("QUIT") },
		"QUIT without its LF":      func(c *client) { c.say("QUIT\r") },
		"QUIT with an argument":    func(c *client) { c.say("QUIT now\r\n") },
		"QUIT behind a long line":  func(c *client) { c.say(strings.Repeat("x", 600) + "\r\nQUIT\r\n") },
		"QUIT within another line": func(c *client) { c.say("NOOP\rQUIT\r\n") },
	} {
		f := newFixture(t)
		f.deliver(alice, "A: b\r\n\r\n")
		c := f.login()
		c.script("C: DELE 1\nS: +OK")
		end(c)
		_ = c.Close()
		eventually(t, "end of the session", func() bool { return f.Sessions() == 0 })
		f.expectMessages(alice, "1")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// A client that is gone after QUIT does not stop what QUIT has begun.
func TestQuitIsCarriedOutForAClientThatHasLeft(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\n\r\n")
	c := f.login()
	c.say("DELE 1\r\nQUIT\r\n")
	_ = c.Close()
	eventually(t, "end of the session", func() bool { return f.Sessions() == 0 })
	f.expectMessages(alice)
}

func TestMessageCannotBeOpened(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\n\r\n")
	f.store.body = func(_ maildrop.Message, body io.ReadCloser) (io.ReadCloser, error) {
		return nil, errors.Join(body.Close(), os.ErrPermission)
	}
	f.login().script("C: RETR 1\nS: -ERR Message cannot be read now. Try again later.\nC: NOOP\nS: +OK")
}

// brokenBody fails, or ends, in the midst of a message.
type brokenBody struct {
	io.Reader
	io.Closer
}

// Once a reply has begun, the only way to tell of an error is to break it off: its end would make a part look whole.
func TestMessageBreaksOff(t *testing.T) {
	for name, rest := range map[string]io.Reader{"error": failingReader{}, "end": strings.NewReader("")} {
		f := newFixture(t)
		f.deliver(alice, "A: b\r\n\r\nbody\r\n")
		f.store.body = func(_ maildrop.Message, body io.ReadCloser) (io.ReadCloser, error) {
			return brokenBody{io.MultiReader(io.LimitReader(body, 10), rest), body}, nil
		}
		c := f.login()
		c.say("RETR 1\r\nQUIT\r\n")
		text, err := io.ReadAll(c.in)
		if string(text) != "+OK\r\nA: b\r\n\r\nbo" || err != nil {
			t.Errorf("%s: got %q, %v", name, text, err)
		}
		_ = c.Close()
		f.expectReason("message cannot be read")
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("volume is gone") }

// A panic ends its own session alone, and gives back what that had.
func TestPanicEndsOneSession(t *testing.T) {
	f := newFixture(t)
	f.deliver(alice, "A: b\r\n\r\n")
	other := f.login()
	f.store.body = func(maildrop.Message, io.ReadCloser) (io.ReadCloser, error) { panic("on purpose") }
	c := f.login()
	c.say("RETR 1\r\n")
	_, _ = io.ReadAll(c.in)
	eventually(t, "end of the session", func() bool { return f.Sessions() == 1 })
	if n := f.opened(); n != 1 {
		t.Errorf("%d sessions are counted for the mailbox, want 1", n)
	}
	other.script("C: NOOP\nS: +OK")
}

// Damage of a large message never looks like its end: the connection is dropped instead.
func TestDamageIsNoEnd(t *testing.T) {
	f := newFixture(t)
	root := t.TempDir()
	store, err := maildrop.New(root, maildrop.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f.store.Store = store
	lines := strings.Repeat("a line\r\n", 20_000)
	f.deliver(alice, "A: b\r\n\r\n"+lines+">\r\n"+lines)
	files, err := filepath.Glob(filepath.Join(root, "*", "*", "b", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[bytes.Index(data, []byte("\n>\r\n"))+1] = '.' // a bit of '>' is turned
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := f.login()
	c.say("RETR 1\r\n")
	if text, _ := io.ReadAll(c.in); bytes.Contains(text, []byte("\n.\r\n")) {
		t.Error("the client is told of an end")
	}
	f.expectReason("message cannot be read")
}
