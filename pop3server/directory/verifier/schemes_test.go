package verifier

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// parsed gives a verifier that must be one.
func parsed(t *testing.T, text string) Verifier {
	t.Helper()
	v, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// bcrypt looks at 72 octets and at no more; a longer password must not match by those.
func TestBcryptDoesNotMatchByPrefix(t *testing.T) {
	v := parsed(t, "{BLF-CRYPT}$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui")
	for password, want := range map[string]bool{
		seventyTwo: true, seventyTwo + "chars after 72 are ignored": false, seventyTwo[:71]: false,
	} {
		if v.Matches([]byte(password)) != want {
			t.Errorf("%d octets: not %v", len(password), want)
		}
	}
	if text, err := DeriveAs(Bcrypt, []byte(seventyTwo+"x")); err == nil {
		t.Errorf("73 octets: %s", text)
	}
}

// crypt(3) takes C strings, bcrypt repeats them with their NUL, and HMAC fills its key up with NULs.
func TestNULMatchesNothing(t *testing.T) {
	v := parsed(t, "{BLF-CRYPT}$2y$04$2S9lA7hXS7I7FmxjI4PSjeS7oe2.SRd7Ds56jafeoVWdgsNRwFV7i")
	if !v.Matches([]byte("pässwörd")) || v.Matches([]byte("pässwörd\x00pässwörd")) {
		t.Error("a password and its repetition are the same to bcrypt")
	}
	for _, scheme := range []Scheme{Bcrypt, SHA512Crypt, SCRAMSHA256} {
		if text, err := DeriveAs(scheme, []byte("a\x00b")); err == nil {
			t.Errorf("%s of a NUL: %s", scheme, text)
		}
	}
}

// The cost of SHA-512 crypt grows with the password.
func TestSHA512CryptBoundsPasswords(t *testing.T) {
	v, err := deriveSHA512Crypt([]byte(strings.Repeat("x", 512)))
	if err != nil || !v.matches([]byte(strings.Repeat("x", 512))) || v.matches([]byte(strings.Repeat("x", 513))) {
		t.Errorf("512 octets: %v", err)
	}
	if text, err := DeriveAs(SHA512Crypt, []byte(strings.Repeat("x", 513))); err == nil {
		t.Errorf("513 octets: %s", text)
	}
}

func TestBcryptRefuses(t *testing.T) {
	good := "$2y$05$ldWE4u9AaGx/SmBC37KXJedt55huKGuxfmvJ/HBD8fU2QuwVjjiTi"
	parsed(t, good)
	for name, text := range map[string]string{
		"the wrong version": strings.Replace(good, "$2y$", "$2x$", 1),
		"no version":        strings.Replace(good, "$2y$", "$2$", 1),
		"another version":   strings.Replace(good, "$2y$", "$2c$", 1),
		"a short cost":      strings.Replace(good, "$05$", "$5$", 1),
		"a signed cost":     strings.Replace(good, "$05$", "$+5$", 1),
		"a cost of spaces":  strings.Replace(good, "$05$", "$ 5$", 1),
		"no dollar":         strings.Replace(good, "$05$", "$05.", 1),
		"a salt of others":  strings.Replace(good, "ldWE", "ld+E", 1),
		"a hash of others":  strings.Replace(good, "jjiTi", "jji!i", 1),
		"stray bits":        strings.Replace(good, "jjiTi", "jjiTj", 1),
		"a line end":        good[:59] + "\n",
		"cut":               good[:59],
		"more":              good + ".",
	} {
		if _, err := Parse(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSHA512CryptRefuses(t *testing.T) {
	hash := "OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."
	parsed(t, "$6$rounds=10000$saltstringsaltst$"+hash)
	for name, text := range map[string]string{
		"SHA-256 crypt":    "$5$rounds=10000$saltstringsaltst$" + hash,
		"a long salt":      "$6$rounds=10000$saltstringsaltstr$" + hash,
		"a short salt":     "$6$sal$" + hash,
		"no salt":          "$6$$" + hash,
		"no hash":          "$6$saltsalt",
		"an empty hash":    "$6$saltsalt$",
		"a short hash":     "$6$saltsalt$" + hash[1:],
		"a long hash":      "$6$saltsalt$" + hash + ".",
		"stray bits":       "$6$saltsalt$" + hash[:85] + "2",
		"another field":    "$6$saltsalt$" + hash + "$",
		"a salt of others": "$6$salt+salt$" + hash,
		"a hash of others": "$6$saltsalt$" + "+" + hash[1:],
		"no rounds":        "$6$rounds=$saltsalt$" + hash,
		"a sign":           "$6$rounds=+5000$saltsalt$" + hash,
		"spare digits":     "$6$rounds=05000$saltsalt$" + hash,
		"a parameter":      "$6$rounds=5000,rounds=1000000000$saltsalt$" + hash,
		"another name":     "$6$round=5000$saltsalt$" + hash,
	} {
		if _, err := Parse(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSCRAMRefuses(t *testing.T) {
	const salt, key = "QLqV0MtdIDFWJF3FNOq9pA==", "E06VWIcUpMQDDUlHTRx4HOec7bnt6uIEOBAxH89Lwek="
	parsed(t, "{SCRAM-SHA-256}4096,"+salt+","+key+","+key)
	for name, body := range map[string]string{
		"three fields":     "4096," + salt + "," + key,
		"five fields":      "4096," + salt + "," + key + "," + key + ",",
		"no iterations":    "," + salt + "," + key + "," + key,
		"a sign":           "+4096," + salt + "," + key + "," + key,
		"spare digits":     "04096," + salt + "," + key + "," + key,
		"too many digits":  "99999999999999999999," + salt + "," + key + "," + key,
		"no salt":          "4096,," + key + "," + key,
		"a short salt":     "4096,QLqV0Mtd," + key + "," + key,
		"a short key":      "4096," + salt + "," + key + "," + salt,
		"another base64":   "4096," + salt + "," + strings.TrimSuffix(key, "=") + "," + key,
		"stray bits":       "4096," + salt + "," + key + "," + strings.Replace(key, "wek=", "wel=", 1),
		"a line end":       "4096," + salt + "," + key + ",\n" + key,
		"PostgreSQL's way": "4096:" + salt + "$" + key + ":" + key,
	} {
		if _, err := Parse("{SCRAM-SHA-256}" + body); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSSHA512AndNTRefuse(t *testing.T) {
	encode := func(octets int) string { return base64.StdEncoding.EncodeToString(make([]byte, octets)) }
	parsed(t, "{SSHA512}"+encode(64+4))
	parsed(t, "{SSHA512}"+encode(64+64))
	for name, text := range map[string]string{
		"a short hash":   "{SSHA512}" + encode(63),
		"a short salt":   "{SSHA512}" + encode(64+3),
		"a long salt":    "{SSHA512}" + encode(64+65),
		"hexadecimal":    "{SSHA512}" + strings.Repeat("0", 136) + "=",
		"NT, cut":        "{NT}a4f49c406510bdcab6824ee7c30fd8",
		"NT, odd":        "{NT}a4f49c406510bdcab6824ee7c30fd85",
		"NT, more":       "{NT}a4f49c406510bdcab6824ee7c30fd85200",
		"NT, no digit":   "{NT}g4f49c406510bdcab6824ee7c30fd852",
		"NT without {}":  "a4f49c406510bdcab6824ee7c30fd852",
		"LM and NT hash": "{NT}aad3b435b51404eeaad3b435b51404ee:a4f49c406510bdcab6824ee7c30fd852",
	} {
		if _, err := Parse(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The vector of RFC 7677 §3.
func TestSCRAMGivesWhatTheMechanismNeeds(t *testing.T) {
	v := parsed(t, "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"+
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
	s, ok := v.SCRAM()
	encode := base64.StdEncoding.EncodeToString
	if !ok || s.Iterations != 4096 || encode(s.Salt) != "W22ZaJ0SNY7soEsUEjb6gQ==" ||
		encode(s.StoredKey[:]) != "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" ||
		encode(s.ServerKey[:]) != "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=" {
		t.Errorf("%x, %v", s, ok)
	}
}

// A verifier whose keys are of two passwords is of neither.
func TestSCRAMChecksBothKeys(t *testing.T) {
	a := scram{salt: []byte("saltsalt"), iterations: minSCRAMIterations}
	a.storedKey, a.serverKey = a.derive([]byte("a"))
	b := a
	_, b.serverKey = a.derive([]byte("b"))
	if !a.matches([]byte("a")) || b.matches([]byte("a")) || b.matches([]byte("b")) {
		t.Error("only one key is compared")
	}
}

func TestNewSCRAM(t *testing.T) {
	s, ok := parsed(t, DeriveSCRAM([]byte("x"))).SCRAM()
	if !ok || len(s.Salt) != 16 || s.Iterations != SCRAMIterations {
		t.Errorf("%d octets, %d iterations, %v", len(s.Salt), s.Iterations, ok)
	}
}

// Clients prepare passwords with SASLprep before they hash them (RFC 4013 §3 has the examples).
func TestSCRAMPreparesPasswords(t *testing.T) {
	for raw, want := range map[string]string{
		"user": "user", "USER": "USER", "I\u00adX": "IX", "\u00aa": "a", "\u2168": "IX", "a\u00a0b": "a b", "a\u0308": "ä",
		"\u0007":       "\u0007",       // prohibited: as it is
		"\u0627\u0031": "\u0627\u0031", // bidirectional: as it is
		"\u00ad":       "\u00ad",       // nothing would be left
		"\xff":         "\xff",         // no UTF-8
	} {
		if got := prepare([]byte(raw)); got != want {
			t.Errorf("%q becomes %q, not %q", raw, got, want)
		}
	}
	v := parsed(t, DeriveSCRAM([]byte("pa\u0308ss")))
	if !v.Matches([]byte("päss")) || v.Matches([]byte("pass")) {
		t.Error("the composed form does not match, or another one does")
	}
}

func TestNTHash(t *testing.T) {
	hash, ok := parsed(t, "{NT}a4f49c406510bdcab6824ee7c30fd852").NTHash()
	if !ok || hash != [16]byte{0xa4, 0xf4, 0x9c, 0x40, 0x65, 0x10, 0xbd, 0xca, 0xb6, 0x82, 0x4e, 0xe7, 0xc3, 0x0f, 0xd8, 0x52} {
		t.Errorf("%x, %v", hash, ok)
	}
}

// What is not UTF-8 becomes U+FFFD on its way to UTF-16, whatever it was.
func TestNTTakesUTF8Alone(t *testing.T) {
	v := parsed(t, ntTextOf(t, "\ufffd"))
	if !v.Matches([]byte("\ufffd")) || v.Matches([]byte("\xff")) {
		t.Error("a fault is taken for the character that stands for it")
	}
	if text, err := DeriveAs(NT, []byte("\xff")); err == nil {
		t.Errorf("made %s", text)
	}
	if v := parsed(t, ntTextOf(t, "\U0001f511")); !v.Matches([]byte("\U0001f511")) {
		t.Error("a character beyond the first 65536 does not match")
	}
}

// ntTextOf makes an NT verifier.
func ntTextOf(t *testing.T, password string) string {
	t.Helper()
	text, err := DeriveAs(NT, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What is cheaper than the verifiers that are made here would tell by its time that there is a user.
func TestIsArgon2id(t *testing.T) {
	const end = "$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaA"
	for text, want := range map[string]bool{
		Derive([]byte("secret")):                         true,
		"{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1" + end: true,
		"{ARGON2ID}$argon2id$v=19$m=47104,t=1,p=1" + end: true,
		"{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1" + end:     false,
		"{NT}" + strings.Repeat("0", 32):                 false,
	} {
		v, err := Parse(text)
		if err != nil || v.IsArgon2id() != want {
			t.Errorf("%s: %v, %v; want %v", text, v.IsArgon2id(), err, want)
		}
	}
}
