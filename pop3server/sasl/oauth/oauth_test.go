package oauth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/sasl"
)

var errToken, errMailbox = errors.New("test: bad token"), errors.New("test: not this mailbox")

// issued is the token that the tests' Validate takes; auth is the end of a message with it.
const (
	issued = "a.good.token"
	auth   = "auth=Bearer " + issued + "\x01\x01"
)

// options take the token issued, which is user's, for the mailbox user and for none.
var options = Options{
	Validate: func(token string) (string, error) {
		if token != issued {
			return "", errToken
		}
		return "user", nil
	},
	Authorize: func(subject, authzid string) error {
		if subject != "user" || (authzid != "" && authzid != "user") {
			return errMailbox
		}
		return nil
	},
	Discovery: "https://example.com/.well-known/openid-configuration",
	Scope:     "example_scope",
}

// login runs one exchange with one message, whose token is taken, and gives what was asked, as "token/authzid".
func login(t *testing.T, mechanism func(Options) sasl.Mechanism, text string) (asked string, done bool) {
	t.Helper()
	m := mechanism(Options{
		Validate: func(token string) (string, error) { asked = token; return "user", nil },
		Authorize: func(subject, authzid string) error {
			if subject != "user" {
				t.Errorf("authorizes %q, want the subject of the token", subject)
			}
			asked += "/" + authzid
			return nil
		},
	})
	message := []byte(text)
	challenge, done, err := m.Next(message)
	clear(message)
	if err != nil || (challenge == nil) != done {
		t.Errorf("Next = %q, %v, %v; want done, or the challenge of a failure", challenge, done, err)
	}
	if _, _, err := m.Next([]byte{}); err == nil || (done || asked == "") && !errors.Is(err, sasl.ErrMalformed) {
		t.Errorf("the next Next gives %v, want ErrMalformed", err)
	}
	return asked, done
}

func decode(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Messages as the documents have them.
func TestExamples(t *testing.T) {
	for _, test := range []struct {
		name, message, asked string
		mechanism            func(Options) sasl.Mechanism
	}{
		{"RFC 7628 §4.1", "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRx" +
			"bVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB",
			"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==/user@example.com", NewBearer},
		{"Google", "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0" +
			"Q2cBAQ==", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg/someuser@example.com", NewXOAuth2},
		{"Microsoft", "dXNlcj1UZXN0VXNlckBjb250b3NvLmNvbQFhdXRoPUJlYXJlciBhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5egEB",
			"abcdefghijklmnopqrstuvwxyz/TestUser@contoso.com", NewXOAuth2},
	} {
		t.Run(test.name, func(t *testing.T) {
			if asked, done := login(t, test.mechanism, decode(t, test.message)); asked != test.asked || !done {
				t.Errorf("asked for %q, done %v; want %q", asked, done, test.asked)
			}
		})
	}
}

func TestBearerMessages(t *testing.T) {
	name, token := strings.Repeat("n", maxName), strings.Repeat("t", MaxToken)
	for _, test := range []struct{ name, message, asked string }{
		{"no authzid", "n,,\x01auth=Bearer tok\x01\x01", "tok/"},
		{"client knows channel bindings", "y,,\x01auth=Bearer tok\x01\x01", "tok/"},
		{"escapes", "n,a=a=2Cb=3D2C@x,\x01auth=Bearer tok\x01\x01", "tok/a,b=2C@x"},
		{"UTF-8", "n,a=üser@x,\x01auth=Bearer tok\x01\x01", "tok/üser@x"},
		{"scheme in other case", "n,,\x01auth=bEARER tok\x01\x01", "tok/"},
		{"several spaces", "n,,\x01auth=Bearer   tok\x01\x01", "tok/"},
		{"other keys", "n,,\x01host=h\x01port=110\x01new=a\tb\r\n=\x01auth=Bearer tok\x01\x01", "tok/"},
		{"host that is not this server", "n,,\x01host=elsewhere\x01port=-1\x01auth=Bearer tok\x01\x01", "tok/"},
		{"all of b64token", "n,,\x01auth=Bearer aZ09-._~+/==\x01\x01", "aZ09-._~+/==/"},
		{"longest", "n,a=" + name + ",\x01auth=Bearer " + token + "\x01\x01", token + "/" + name},

		{"empty", "", ""},
		{"single kvsep first", "\x01", ""},
		{"channel binding", "p=tls-exporter,,\x01auth=Bearer tok\x01\x01", ""},
		{"no flag", ",,\x01auth=Bearer tok\x01\x01", ""},
		{"non-standard flag", "F,n,,\x01auth=Bearer tok\x01\x01", ""},
		{"flag in other case", "N,,\x01auth=Bearer tok\x01\x01", ""},
		{"no header", "auth=Bearer tok\x01\x01", ""},
		{"one comma", "n,\x01auth=Bearer tok\x01\x01", ""},
		{"three commas", "n,,,\x01auth=Bearer tok\x01\x01", ""},
		{"authzid without key", "n,user,\x01auth=Bearer tok\x01\x01", ""},
		{"empty authzid", "n,a=,\x01auth=Bearer tok\x01\x01", ""},
		{"other escape", "n,a=a=2cb,\x01auth=Bearer tok\x01\x01", ""},
		{"cut escape", "n,a=a=2,\x01auth=Bearer tok\x01\x01", ""},
		{"control in authzid", "n,a=a\x00b,\x01auth=Bearer tok\x01\x01", ""},
		{"authzid not UTF-8", "n,a=a\xff,\x01auth=Bearer tok\x01\x01", ""},
		{"authzid too long", "n,a=n" + name + ",\x01auth=Bearer tok\x01\x01", ""},
		{"no kvsep in front", "n,,auth=Bearer tok\x01\x01", ""},
		{"one kvsep at the end", "n,,\x01auth=Bearer tok\x01", ""},
		{"something after the end", "n,,\x01auth=Bearer tok\x01\x01x", ""},
		{"end within", "n,,\x01\x01auth=Bearer tok\x01\x01", ""},
		{"three kvsep at the end", "n,,\x01auth=Bearer tok\x01\x01\x01", ""},
		{"no pairs", "n,,\x01\x01", ""},
		{"no auth", "n,,\x01host=h\x01\x01", ""},
		{"auth in other case", "n,,\x01Auth=Bearer tok\x01\x01", ""},
		{"two auth", "n,,\x01auth=Bearer tok\x01auth=Bearer tok\x01\x01", ""},
		{"no key", "n,,\x01=Bearer tok\x01auth=Bearer tok\x01\x01", ""},
		{"no equals sign", "n,,\x01host\x01auth=Bearer tok\x01\x01", ""},
		{"key with a digit", "n,,\x01h1=x\x01auth=Bearer tok\x01\x01", ""},
		{"NUL in a value", "n,,\x01host=\x00\x01auth=Bearer tok\x01\x01", ""},
		{"too many pairs", "n,," + strings.Repeat("\x01a=b", maxPairs) + "\x01auth=Bearer tok\x01\x01", ""},
		{"discovery", "n,,\x01auth=\x01\x01", ""},
		{"scheme alone", "n,,\x01auth=Bearer\x01\x01", ""},
		{"no token", "n,,\x01auth=Bearer \x01\x01", ""},
		{"padding alone", "n,,\x01auth=Bearer ==\x01\x01", ""},
		{"padding within", "n,,\x01auth=Bearer a=b\x01\x01", ""},
		{"other scheme", "n,,\x01auth=Basic dTpw\x01\x01", ""},
		{"two tokens", "n,,\x01auth=Bearer tok tok\x01\x01", ""},
		{"line end after the token", "n,,\x01auth=Bearer tok\r\n\x01\x01", ""},
		{"token too long", "n,,\x01auth=Bearer t" + token + "\x01\x01", ""},
		{"message too long", "n,,\x01host=" + token + token + "\x01auth=Bearer tok\x01\x01", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if asked, done := login(t, NewBearer, test.message); asked != test.asked || done != (test.asked != "") {
				t.Errorf("asked for %.40q, done %v; want %.40q", asked, done, test.asked)
			}
		})
	}
}

func TestXOAuth2Messages(t *testing.T) {
	for _, test := range []struct{ name, message, asked string }{
		{"plain", "user=u@x\x01auth=Bearer tok\x01\x01", "tok/u@x"},
		{"scheme in other case", "user=u@x\x01auth=bearer tok\x01\x01", "tok/u@x"},
		{"UTF-8", "user=ü@x\x01auth=Bearer tok\x01\x01", "tok/ü@x"},
		{"equals sign in the name", "user=a=2Cb\x01auth=Bearer tok\x01\x01", "tok/a=2Cb"},

		{"empty", "", ""},
		{"no user", "auth=Bearer tok\x01\x01", ""},
		{"empty user", "user=\x01auth=Bearer tok\x01\x01", ""},
		{"no auth", "user=u@x\x01\x01", ""},
		{"other order", "auth=Bearer tok\x01user=u@x\x01\x01", ""},
		{"two users", "user=u@x\x01user=v@x\x01auth=Bearer tok\x01\x01", ""},
		{"two auth", "user=u@x\x01auth=Bearer tok\x01auth=Bearer tok\x01\x01", ""},
		{"other key", "user=u@x\x01host=h\x01auth=Bearer tok\x01\x01", ""},
		{"one kvsep at the end", "user=u@x\x01auth=Bearer tok\x01", ""},
		{"OAUTHBEARER's", "n,a=u@x,\x01auth=Bearer tok\x01\x01", ""},
		{"control in the name", "user=u\t@x\x01auth=Bearer tok\x01\x01", ""},
		{"no scheme", "user=u@x\x01auth=tok\x01\x01", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if asked, done := login(t, NewXOAuth2, test.message); asked != test.asked || done != (test.asked != "") {
				t.Errorf("asked for %q, done %v; want %q", asked, done, test.asked)
			}
		})
	}
}

// Cut anywhere, a message is none.
func TestCutMessages(t *testing.T) {
	for _, test := range []struct {
		mechanism func(Options) sasl.Mechanism
		message   string
	}{
		{NewBearer, "n,a=u@x,\x01host=h\x01auth=Bearer tok\x01\x01"},
		{NewXOAuth2, "user=u@x\x01auth=Bearer tok\x01\x01"},
	} {
		for length := range len(test.message) {
			if asked, done := login(t, test.mechanism, test.message[:length]); asked != "" || done {
				t.Errorf("%q: asked for %q, done %v", test.message[:length], asked, done)
			}
		}
	}
}

// failures are messages that fail for different reasons.
var failures = []struct {
	name            string
	bearer, xoauth2 string
	want            error
}{
	{"malformed", "n,,", "user=", sasl.ErrMalformed},
	{"bad token", "n,,\x01auth=Bearer bad\x01\x01", "user=user\x01auth=Bearer bad\x01\x01", errToken},
	{"other mailbox", "n,a=boss,\x01" + auth, "user=boss\x01" + auth, errMailbox},
}

// The client gets the same challenge whatever failed, has one response to it, and then nothing more helps.
func TestFailures(t *testing.T) {
	const bearerChallenge = `{"status":"invalid_token","scope":"example_scope",` +
		`"openid-configuration":"https://example.com/.well-known/openid-configuration"}` // RFC 7628 §4.3
	const xoauth2Challenge = `{"status":"401","schemes":"bearer","scope":"example_scope"}`
	for _, test := range failures {
		t.Run(test.name, func(t *testing.T) {
			checkFailure(t, NewBearer(options), test.bearer, bearerChallenge, "\x01", test.want)
			checkFailure(t, NewXOAuth2(options), test.xoauth2, xoauth2Challenge, "", test.want)
		})
	}
}

func checkFailure(t *testing.T, m sasl.Mechanism, message, challenge, dummy string, want error) {
	t.Helper()
	if got, done, err := m.Next([]byte(message)); string(got) != challenge || done || err != nil {
		t.Fatalf("Next(message) = %q, %v, %v; want %q", got, done, err, challenge)
	}
	if got, done, err := m.Next([]byte(dummy)); got != nil || done || !errors.Is(err, want) ||
		errors.Is(err, sasl.ErrMalformed) != errors.Is(want, sasl.ErrMalformed) {
		t.Fatalf("Next(dummy) = %q, %v, %v; want %v", got, done, err, want)
	}
	for _, late := range []string{dummy, "n,,\x01" + auth, "user=user\x01" + auth} {
		if _, done, err := m.Next([]byte(late)); done || !errors.Is(err, sasl.ErrMalformed) || errors.Is(err, errToken) {
			t.Errorf("%q after the failure: %v, %v; want ErrMalformed", late, done, err)
		}
	}
}

// A good message as the response to a failure is no second try, and the failure is not lost.
func TestOtherResponseToFailure(t *testing.T) {
	for _, response := range []string{"", "\x01\x01", "n,,\x01" + auth} {
		m := NewBearer(options)
		_, _, _ = m.Next([]byte("n,,\x01auth=Bearer bad\x01\x01"))
		if _, done, err := m.Next([]byte(response)); done || !errors.Is(err, sasl.ErrMalformed) || !errors.Is(err, errToken) {
			t.Errorf("%q: %v, %v; want ErrMalformed and the failure", response, done, err)
		}
	}
	m := NewXOAuth2(options)
	_, _, _ = m.Next([]byte("user=user\x01auth=Bearer bad\x01\x01"))
	if _, done, err := m.Next([]byte("\x01")); done || !errors.Is(err, sasl.ErrMalformed) || !errors.Is(err, errToken) {
		t.Errorf("XOAUTH2: %v, %v; want ErrMalformed and the failure", done, err)
	}
}

// A challenge is JSON whatever the configuration says, and has no member for what it does not say.
func TestChallengeWithoutOptions(t *testing.T) {
	o := options
	o.Discovery, o.Scope = "", ""
	challenge, _, _ := NewBearer(o).Next([]byte{})
	if string(challenge) != `{"status":"invalid_token"}` {
		t.Errorf("challenge is %s", challenge)
	}
	o.Scope = "\"\x01\xff"
	if challenge, _, _ = NewXOAuth2(o).Next([]byte{}); !json.Valid(challenge) {
		t.Errorf("challenge is %q, want JSON", challenge)
	}
}

func TestNoInitialResponse(t *testing.T) {
	for _, m := range []sasl.Mechanism{NewBearer(options), NewXOAuth2(options)} {
		challenge, done, err := m.Next(nil)
		if challenge == nil || len(challenge) != 0 || done || err != nil {
			t.Fatalf("Next(nil) = %q, %v, %v; want an empty challenge", challenge, done, err)
		}
		if challenge, done, err := m.Next(nil); len(challenge) == 0 || done || err != nil {
			t.Errorf("a second Next(nil) = %q, %v, %v; want the challenge of a failure", challenge, done, err)
		}
	}
	m := NewBearer(options)
	_, _, _ = m.Next(nil)
	if challenge, done, err := m.Next([]byte("n,a=user,\x01" + auth)); challenge != nil || !done || err != nil {
		t.Errorf("Next(message) = %q, %v, %v; want done", challenge, done, err)
	}
}

// No error quotes what the client sent.
func TestErrorsQuoteNothing(t *testing.T) {
	const secret = "SECRETSECRET"
	for _, message := range []string{
		secret, "n," + secret + ",\x01\x01", "n,,\x01" + secret + "\x01\x01", "n,,\x01" + secret + "=\x01\x01",
		"n,,\x01auth=" + secret + "\x01\x01", "n,,\x01auth=Bearer " + secret + " \x01\x01",
		"user=" + secret + "\x01auth=" + secret + "\x01\x01",
	} {
		for _, m := range []sasl.Mechanism{NewBearer(options), NewXOAuth2(options)} {
			challenge, _, _ := m.Next([]byte(message))
			_, _, err := m.Next([]byte(secret))
			if err == nil || strings.Contains(err.Error()+string(challenge), secret) {
				t.Errorf("%q: error %v, challenge %s", message, err, challenge)
			}
		}
	}
}
