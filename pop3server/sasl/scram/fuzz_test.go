package scram

import (
	"errors"
	"strings"
	"testing"

	xdg "github.com/xdg-go/scram"

	"github.com/popservice/popservice/pop3server/sasl"
)

// FuzzExchange sends two messages and an end. Whatever they are: nobody is let in but with the proof of RFC 7677 §3, each
// failure is of one of the two kinds, its text is of the mechanism's own and short, and nothing goes on after it.
func FuzzExchange(f *testing.F) {
	f.Add([]byte(rfcFirst), []byte(rfcFinal), []byte{})
	f.Add([]byte("n,a=user,n=us=2Cer,r=abc,x=1"), []byte("c=biws,r=abc"+rfcServerNonce+",x=1,p=AAAA"), []byte("x"))
	f.Add([]byte("p=tls-exporter,,n=user,r=abc"), []byte("c=cD10bHM=,r=abc,p="), []byte{})
	f.Add([]byte("y,,m=x,n=user,r=abc"), []byte(",,,"), []byte{})
	f.Fuzz(func(t *testing.T, first, final, end []byte) {
		for _, o := range []Options{plain(), plus()} {
			m := fixed(o)
			failed := false
			for i, message := range [][]byte{first, final, end} {
				challenge, done, err := m.Next(append([]byte{}, message...))
				judge(t, i, message, challenge, done, err)
				if failed && err == nil {
					t.Fatal("goes on after a failure")
				}
				failed = failed || err != nil
				if done && (string(first) != rfcFirst || string(final) != rfcFinal || o.Plus) {
					t.Fatalf("let in with %q, %q", first, final)
				}
			}
		}
	})
}

// judge looks at one answer.
func judge(t *testing.T, i int, message, challenge []byte, done bool, err error) {
	t.Helper()
	switch {
	case err == nil && i == 0 && !strings.HasPrefix(string(challenge), "r="),
		err == nil && i == 1 && string(challenge) != rfcServerFinal:
		t.Fatalf("answer to %q is %q", message, challenge)
	case done != (err == nil && i == 2):
		t.Fatalf("done is %v after message %d, %v", done, i, err)
	case err != nil && (challenge != nil || !errors.Is(err, sasl.ErrMalformed) && !errors.Is(err, sasl.ErrFailed)):
		t.Fatalf("%q with %v", challenge, err)
	case err != nil && len(err.Error()) > 160:
		t.Fatalf("error of %d octets", len(err.Error()))
	}
}

// FuzzClientFirst reads first messages: what is accepted can be put together again from its parts, and an independent
// implementation, which is less strict, reads the same names from it.
func FuzzClientFirst(f *testing.F) {
	for _, message := range []string{rfcFirst, "y,a=b=2Cc,n=d=3D,r=e,f=g", "p=tls-exporter,,n=user,r=abc", "n,,m=x,n=user,r=abc"} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		m, err := parseClientFirst(message)
		if err != nil {
			return
		}
		if m.header+m.bare != string(message) || !strings.Contains(m.bare, ",r="+m.nonce) {
			t.Fatalf("%q is read as %+v", message, m)
		}
		if m.authcid == "" || len(m.authcid) > maxNameOctets || len(m.authzid) > maxNameOctets || len(m.nonce) > maxNonceOctets {
			t.Fatalf("%q has parts of no bounds: %+v", message, m)
		}
		if m.flag != 'p' {
			compare(t, string(message), m)
		}
	})
}

// compare reads a message with the independent implementation.
func compare(t *testing.T, message string, m clientFirst) {
	t.Helper()
	server, err := xdg.SHA256.NewServer(func(string) (xdg.StoredCredentials, error) { return xdg.StoredCredentials{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	c := server.NewConversation()
	if _, err := c.Step(message); err != nil || c.Username() != m.authcid || c.AuthzID() != m.authzid {
		t.Fatalf("%q is read as %+v here, and there with %q, %q, %v", message, m, c.Username(), c.AuthzID(), err)
	}
}
