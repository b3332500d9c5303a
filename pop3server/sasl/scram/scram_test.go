package scram

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// The exchange of RFC 7677 §3: user "user", password "pencil".
const (
	rfcFirst       = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	rfcServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	rfcServerFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcFinal       = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
	rfcSalt        = "W22ZaJ0SNY7soEsUEjb6gQ=="
)

var fakeKey = []byte("a secret of the directory")

// credentialsOf makes what the server keeps of a password.
func credentialsOf(password string, salt []byte, iterations int) Credentials {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		panic(err)
	}
	keys := Keys{StoredKey: sha256.Sum256(mac(salted, "Client Key")), ServerKey: [32]byte(mac(salted, "Server Key"))}
	return Credentials{Salt: salt, Iterations: iterations, Keys: []Keys{keys}}
}

// accounts are names with credentials.
type accounts map[string]Credentials

func (a accounts) find(name string) (Credentials, bool) {
	c, ok := a[strings.ToLower(name)]
	return c, ok
}

// rfcCredentials are those of the user of RFC 7677 §3.
var rfcCredentials = sync.OnceValue(func() Credentials {
	salt, _ := base64.StdEncoding.DecodeString(rfcSalt)
	return credentialsOf("pencil", salt, 4096)
})

// rfcAccounts has the user of RFC 7677 §3.
func rfcAccounts() accounts { return accounts{"user": rfcCredentials()} }

// permit lets "user" in as himself.
func permit(authzid string, _ int) error {
	if authzid != "" && authzid != "user" {
		return fmt.Errorf("%w: may not act for another", sasl.ErrFailed)
	}
	return nil
}

// plain are the options of an exchange without TLS, with the user of RFC 7677 §3.
func plain() Options {
	return Options{Policy: binding.Allow, Lookup: rfcAccounts().find, Canonical: strings.ToLower, FakeKey: fakeKey,
		FakeIterations: 4096, Authorize: permit}
}

// plus are the options of an exchange with -PLUS.
func plus() Options {
	o := plain()
	o.Plus, o.OffersPlus = true, true
	o.Bindings = map[string][]byte{"tls-exporter": bytes.Repeat([]byte{7}, 32), "tls-server-end-point": []byte("hash")}
	return o
}

// fixed makes an exchange whose server nonce is that of RFC 7677 §3.
func fixed(o Options) sasl.Mechanism {
	m := New(o).(*exchange)
	m.makeNonce = func() string { return rfcServerNonce }
	return m
}

// fails calls Next and wants a failure of a kind, without challenge, after which nothing goes on.
func fails(t *testing.T, m sasl.Mechanism, message string, kind error) {
	t.Helper()
	challenge, done, err := m.Next([]byte(message))
	if challenge != nil || done || !errors.Is(err, kind) {
		t.Errorf("Next = %q, %v, %v; want %v", challenge, done, err, kind)
	}
	for _, further := range []string{rfcFirst, rfcFinal, ""} {
		if challenge, done, err := m.Next([]byte(further)); challenge != nil || done || !errors.Is(err, sasl.ErrMalformed) {
			t.Errorf("after a failure, Next(%q) = %q, %v, %v", further, challenge, done, err)
		}
	}
}

// answers calls Next and gives the challenge, which must not end the exchange.
func answers(t *testing.T, m sasl.Mechanism, message string) string {
	t.Helper()
	challenge, done, err := m.Next([]byte(message))
	if challenge == nil || done || err != nil {
		t.Fatalf("Next = %q, %v, %v; want a challenge", challenge, done, err)
	}
	return string(challenge)
}

func TestExchangeOfRFC7677(t *testing.T) {
	for _, initial := range []bool{true, false} {
		m := fixed(plain())
		if !initial {
			if challenge, done, err := m.Next(nil); challenge == nil || len(challenge) != 0 || done || err != nil {
				t.Fatalf("Next(nil) = %q, %v, %v; want an empty challenge", challenge, done, err)
			}
		}
		if got := answers(t, m, rfcFirst); got != rfcServerFirst {
			t.Errorf("server-first-message %s", got)
		}
		if got := answers(t, m, rfcFinal); got != rfcServerFinal {
			t.Errorf("server-final-message %s", got)
		}
		if challenge, done, err := m.Next([]byte{}); challenge != nil || !done || err != nil {
			t.Errorf("at the end, Next = %q, %v, %v", challenge, done, err)
		}
		fails(t, m, "", sasl.ErrMalformed)
	}
}

// The mechanism must not keep the response: the caller overwrites it.
func TestResponsesAreNotRetained(t *testing.T) {
	m := fixed(plain())
	for _, message := range []string{rfcFirst, rfcFinal} {
		response := []byte(message)
		if _, _, err := m.Next(response); err != nil {
			t.Fatal(err)
		}
		clear(response)
	}
	if _, done, err := m.Next([]byte{}); !done || err != nil {
		t.Errorf("Next = %v, %v", done, err)
	}
}

func TestEndMustBeEmpty(t *testing.T) {
	m := fixed(plain())
	answers(t, m, rfcFirst)
	answers(t, m, rfcFinal)
	fails(t, m, "=", sasl.ErrMalformed)
}

func TestServerNonceIsNew(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		challenge := answers(t, New(plain()), rfcFirst)
		nonce, _, _ := strings.Cut(strings.TrimPrefix(challenge, "r=rOprNGfwEbeRWgbNEkqO"), ",")
		random, err := base64.StdEncoding.DecodeString(nonce)
		if err != nil || len(random) < 18 || seen[nonce] {
			t.Fatalf("server's nonce %q", nonce)
		}
		seen[nonce] = true
	}
}

// Both messages of one exchange are of no use in another.
func TestReplay(t *testing.T) {
	m := New(plain())
	answers(t, m, rfcFirst)
	fails(t, m, rfcFinal, sasl.ErrFailed)
}

func TestWrongOrder(t *testing.T) {
	fails(t, fixed(plain()), rfcFinal, sasl.ErrMalformed)
	fails(t, fixed(plain()), "", sasl.ErrMalformed)
	m := fixed(plain())
	answers(t, m, rfcFirst)
	fails(t, m, rfcFirst, sasl.ErrMalformed)
	m = fixed(plain())
	answers(t, m, rfcFirst)
	fails(t, m, "", sasl.ErrMalformed)
	m = fixed(plain())
	_, _, _ = m.Next(nil)
	if _, done, err := m.Next(nil); done || !errors.Is(err, sasl.ErrMalformed) {
		t.Errorf("Next(nil) twice: %v, %v", done, err)
	}
}

// Whoever may not log in gets no server-final-message, though the proof is right.
func TestAuthorizeDecides(t *testing.T) {
	refused := errors.New("refused")
	o := plain()
	asked := ""
	o.Authorize = func(authzid string, matched int) error {
		asked = fmt.Sprintf("%d/%s", matched, authzid)
		return refused
	}
	m := fixed(o)
	answers(t, m, rfcFirst)
	fails(t, m, rfcFinal, refused)
	if asked != "0/" {
		t.Errorf("asked for %q", asked)
	}
}

// Any of a user's passwords will do, and the server proves that it knows that very one.
func TestSeveralPasswords(t *testing.T) {
	salt := rfcCredentials().Salt
	c := credentialsOf("pen", salt, 4096)
	c.Keys = append(c.Keys, rfcCredentials().Keys[0], credentialsOf("paper", salt, 4096).Keys[0])
	o := plain()
	o.Lookup = accounts{"user": c}.find
	matched := -1
	o.Authorize = func(_ string, index int) error {
		matched = index
		return nil
	}
	m := fixed(o)
	answers(t, m, rfcFirst)
	if final := answers(t, m, rfcFinal); final != rfcServerFinal || matched != 1 {
		t.Errorf("the server proves %q by password %d", final, matched)
	}
	o.Lookup = accounts{"user": Credentials{Salt: salt, Iterations: 4096}}.find
	m = fixed(o)
	answers(t, m, rfcFirst)
	fails(t, m, rfcFinal, sasl.ErrFailed)
}

func TestAuthorizeIsNotAskedWithoutProof(t *testing.T) {
	o := plain()
	o.Authorize = func(string, int) error {
		t.Error("asked")
		return nil
	}
	m := fixed(o)
	answers(t, m, rfcFirst)
	fails(t, m, strings.Replace(rfcFinal, "p=dH", "p=eH", 1), sasl.ErrFailed)
}

// A name without credentials is answered as one that has some, the same each time and in each spelling, and cannot log in.
func TestUnknownUser(t *testing.T) {
	fields := func(first string) []string { return strings.Split(answers(t, fixed(plain()), first), ",") }
	nobody := fields("n,,n=nobody,r=abc")
	if len(nobody) != 3 || nobody[0] != "r=abc"+rfcServerNonce || len(nobody[1]) != len("s="+rfcSalt) || nobody[2] != "i=4096" {
		t.Errorf("an unknown name is answered %q", nobody)
	}
	if again := fields("n,,n=NoBody,r=abc"); again[1] != nobody[1] {
		t.Errorf("another spelling is answered %q, not %q", again, nobody)
	}
	if other := fields("n,,n=nobody2,r=abc"); other[1] == nobody[1] {
		t.Errorf("two names have the salt %q", other[1])
	}
	if user := fields("n,,n=USER,r=abc"); user[1] != "s="+rfcSalt {
		t.Errorf("a known name in capitals is answered %q", user)
	}
	m := fixed(plain())
	first := answers(t, m, "n,,n=nobody,r=abc")
	fails(t, m, proofOf(Credentials{}, "n=nobody,r=abc", first, "c=biws"), sasl.ErrFailed)
}

// Not even who knows what the fake keys are can log in: that the name is unknown decides.
func TestUnknownUserWithTheRightProof(t *testing.T) {
	o := plain()
	find := o.Lookup
	o.Lookup = func(name string) (Credentials, bool) {
		c, _ := find(name)
		return c, false
	}
	m := fixed(o).(*exchange)
	m.step = func(e *exchange, r []byte) ([]byte, bool, error) {
		challenge, done, err := e.answerFirst(r)
		e.credentials, _ = find("user")
		e.serverFirst = rfcServerFirst
		return challenge, done, err
	}
	answers(t, m, rfcFirst)
	fails(t, m, rfcFinal, sasl.ErrFailed)
}

func TestFakeKeyIsRequired(t *testing.T) {
	o := plain()
	o.FakeKey = fakeKey[:15]
	fails(t, fixed(o), rfcFirst, sasl.ErrFailed)
}

func TestFakeSalt(t *testing.T) {
	a, b := FakeSalt([]byte("one key"), "name"), FakeSalt([]byte("another key"), "name")
	if len(a) != saltOctets || bytes.Equal(a, b) || !bytes.Equal(a, FakeSalt([]byte("one key"), "name")) {
		t.Errorf("fake salts %x, %x", a, b)
	}
}

// proofOf makes the client-final-message of a password with these credentials' ClientKey, which is not known here: the
// StoredKey stands in for it, so that the proof is well formed, and wrong.
func proofOf(c Credentials, bare, serverFirst, channelBinding string) string {
	nonce, _, _ := strings.Cut(serverFirst, ",")
	without := channelBinding + "," + nonce
	var key [32]byte // of a user who does not exist
	if len(c.Keys) > 0 {
		key = c.Keys[0].StoredKey
	}
	proof := mac(key[:], bare+","+serverFirst+","+without)
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof)
}

// finalOf makes the client-final-message of a password.
func finalOf(password, bare, serverFirst, input, extensions string) string {
	fields := strings.Split(serverFirst, ",")
	salt, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(fields[1], "s="))
	salted, _ := pbkdf2.Key(sha256.New, password, salt, 4096, sha256.Size)
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(input)) + "," + fields[0] + extensions
	signature := hmac.New(sha256.New, stored[:])
	signature.Write([]byte(bare + "," + serverFirst + "," + without))
	proof := signature.Sum(nil)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof)
}

// What a client may write otherwise than the RFC's example.
func TestForms(t *testing.T) {
	for _, test := range []struct{ name, header, bare, extensions string }{
		{"as in the example", "n,,", "n=user,r=abc", ""},
		{"a client that could bind", "y,,", "n=user,r=abc", ""},
		{"authzid", "n,a=user,", "n=user,r=abc", ""},
		{"extensions", "n,,", "n=user,r=abc,x=1,Y==", ",z=?"},
		{"the longest nonce", "n,,", "n=user,r=" + strings.Repeat("x", 512), ""},
		{"printable characters", "n,,", "n=user,r=!~=\"r=", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := fixed(plain())
			first := answers(t, m, test.header+test.bare)
			answers(t, m, finalOf("pencil", test.bare, first, test.header, test.extensions))
			if _, done, err := m.Next([]byte{}); !done || err != nil {
				t.Errorf("Next = %v, %v", done, err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", maxNameOctets)
	for name, want := range map[string]string{
		"user": "user", "a=2Cb=3Dc": "a,b=c", "=3D2C": "=2C", "ü": "ü", "=2C": ",", long: long, "two words": "two words",
	} {
		o := plain()
		asked := ""
		o.Lookup = func(name string) (Credentials, bool) { asked = name; return Credentials{}, false }
		answers(t, New(o), "n,a="+name+",n="+name+",r=abc")
		if asked != want {
			t.Errorf("%s is read as %q, not %q", name, asked, want)
		}
	}
	for _, name := range []string{"", "=", "a=", "a=2", "a=2c", "a=3d", "=3d", "==2C", "a=2Cb=", "=41", long + "x",
		"a\x00b", "\xff"} {
		fails(t, New(plain()), "n,,n="+name+",r=abc", sasl.ErrMalformed)
		fails(t, New(plain()), "n,a="+name+",n=user,r=abc", sasl.ErrMalformed)
	}
}
