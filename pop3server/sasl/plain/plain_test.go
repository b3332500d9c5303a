package plain

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/sasl"
)

// login runs one exchange with one message and gives what it asked to verify, as "name/password", with "authzid:" in
// front if there is one.
func login(t *testing.T, message []byte) (asked string, done bool, err error) {
	t.Helper()
	m := New(func(authzid, name string, password []byte) error {
		if authzid != "" {
			name = authzid + ":" + name
		}
		asked = name + "/" + string(password)
		return nil
	})
	_, done, err = m.Next(message)
	return asked, done, err
}

func TestMessages(t *testing.T) {
	long := strings.Repeat("x", maxOctets)
	for _, test := range []struct{ name, message, asked string }{
		{"no authzid", "\x00user\x00secret", "user/secret"},
		{"authzid is authcid", "user\x00user\x00secret", "user/secret"},
		{"spaces and UTF-8", "\x00üser\x00 pass wörd ", "üser/ pass wörd "},
		{"longest parts", long + "\x00" + long + "\x00" + long, long + "/" + long},
		{"empty message", "", ""},
		{"no NUL", "user", ""},
		{"one NUL", "user\x00secret", ""},
		{"three NULs", "\x00user\x00sec\x00ret", ""},
		{"NUL at the end", "\x00user\x00secret\x00", ""},
		{"no authcid", "\x00\x00secret", ""},
		{"no password", "\x00user\x00", ""},
		{"other authzid", "boss\x00user\x00secret", "boss:user/secret"},
		{"not UTF-8", "\x00us\xffer\x00secret", ""},
		{"authcid too long", "\x00" + long + "x\x00secret", ""},
		{"password too long", "\x00user\x00" + long + "x", ""},
		{"authzid too long", long + "x\x00user\x00secret", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked, done, err := login(t, []byte(test.message))
			if asked != test.asked || done != (test.asked != "") {
				t.Errorf("asked for %q, done %v, error %v; want %q", asked, done, err, test.asked)
			}
			if !done && !errors.Is(err, sasl.ErrMalformed) {
				t.Errorf("error is %v, want ErrMalformed", err)
			}
		})
	}
}

// Messages as clients put them on the wire.
func TestExamples(t *testing.T) {
	for message, want := range map[string]string{
		"dGVzdAB0ZXN0AHRlc3Q=": "test/test",
		"AHVzZXIAc2VjcmV0":     "user/secret",
	} {
		raw, err := base64.StdEncoding.DecodeString(message)
		if err != nil {
			t.Fatal(err)
		}
		if asked, done, err := login(t, raw); asked != want || !done || err != nil {
			t.Errorf("%s: asked for %q, done %v, error %v; want %q", message, asked, done, err, want)
		}
	}
}

func TestNoInitialResponse(t *testing.T) {
	m := New(func(string, string, []byte) error { return nil })
	challenge, done, err := m.Next(nil)
	if challenge == nil || len(challenge) != 0 || done || err != nil {
		t.Fatalf("Next(nil) = %q, %v, %v; want an empty challenge", challenge, done, err)
	}
	if _, done, err := m.Next([]byte("\x00user\x00secret")); !done || err != nil {
		t.Errorf("Next(message) = %v, %v; want done", done, err)
	}
}

func TestVerifierDecides(t *testing.T) {
	refused := errors.New("refused")
	_, done, err := New(func(string, string, []byte) error { return refused }).Next([]byte("\x00user\x00secret"))
	if done || !errors.Is(err, refused) {
		t.Errorf("Next = %v, %v; want the verifier's error", done, err)
	}
}
