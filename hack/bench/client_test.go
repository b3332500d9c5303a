package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serve gives a client to which a text is sent, cut into pieces of so many octets.
func serve(t *testing.T, text string, piece, buffer int) *client {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	if err := near.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, far) }() // what the client sends
	go func() {
		for rest := text; rest != ""; {
			n := min(piece, len(rest))
			if _, err := io.WriteString(far, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		_ = far.Close()
	}()
	return &client{conn: near, buffer: make([]byte, buffer)}
}

func TestTransfersFindsEachEndHoweverTheOctetsCome(t *testing.T) {
	text := strings.Repeat("+OK\r\nSubject: a.b\r\n\r\nx.\r\n..\r\ny\r\n.z\r\n.\r\n", 3)
	for piece := 1; piece <= len(text); piece++ {
		c := serve(t, text+"+OK\r\nno end\r\n..\r\n", piece, 64)
		if n, err := c.transfers(3); err != nil || n < int64(len(text)) {
			t.Fatalf("in pieces of %d: %d octets, %v; want at least %d", piece, n, err, len(text))
		}
		if _, err := c.transfers(1); err == nil {
			t.Fatalf("in pieces of %d: a fourth message has an end", piece)
		}
	}
}

func TestListCountsLinesHoweverTheOctetsCome(t *testing.T) {
	for text, want := range map[string]int{"+OK\r\n.\r\n": 0, "+OK two\r\n1 10\r\n2 20\r\n.\r\n": 2} {
		for piece := 1; piece <= len(text); piece++ {
			c := serve(t, text, piece, 32)
			if got, err := c.list("LIST\r\n"); err != nil || got != want {
				t.Fatalf("%q in pieces of %d: %d lines, %v; want %d", text, piece, got, err, want)
			}
		}
	}
	if _, err := serve(t, "-ERR no\r\n", 100, 32).list("LIST\r\n"); err == nil {
		t.Error("a refusal counts as a list")
	}
}

func TestMessagesAreAsTheClientExpectsThem(t *testing.T) {
	for _, octets := range []int{64, smallOctets, largeOctets} {
		b := box{name: "a", octets: octets}
		text := string(message(b, 7))
		if text != string(message(b, 7)) {
			t.Errorf("%d octets: the same message comes out differently", octets)
		}
		if octets >= smallOctets && (len(text) < octets*7/8 || len(text) > octets*9/8+lineOctets+2) {
			t.Errorf("%d octets were asked for, there are %d", octets, len(text))
		}
		bare := strings.ReplaceAll(text, "\r\n", "")
		if !strings.HasSuffix(text, "\r\n") || strings.Contains(text, "\n.") || strings.ContainsAny(bare, "\r\n") {
			t.Errorf("%d octets: line ends are wrong, or a line begins with a dot", octets)
		}
	}
}

func TestRatioSaysHowMuchBetterPop3dIs(t *testing.T) {
	r := &row{Less: true, Target: 2, Limit: 3}
	r.Pop3d.Values, r.Dovecot.Values = []float64{5, 1, 2}, []float64{8, 4}
	r.conclude()
	if r.Pop3d.Median != 2 || r.Dovecot.Median != 6 || r.Ratio != 3 || !r.Met {
		t.Errorf("got %+v", r)
	}
	r.Limit = 1
	if r.conclude(); r.Met {
		t.Error("a limit that is exceeded counts as met")
	}
}
