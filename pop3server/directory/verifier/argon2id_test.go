package verifier

import (
	"errors"
	"strings"
	"testing"
)

// Made by the reference implementation: phc-winner-argon2, src/test.c.
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestReference(t *testing.T) {
	v, err := Parse(reference)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Matches([]byte("password")) || v.Matches([]byte("passwort")) {
		t.Error("the reference implementation thinks otherwise")
	}
}

// cheap is a verifier that costs little, so that tests are quick.
func cheap(password string) Verifier {
	v := Verifier{memoryKiB: 8, passes: 1, lanes: 1, salt: []byte("somesalt")}
	v.hash = v.derive([]byte(password), 32)
	return v
}

func TestDeriveAndMatch(t *testing.T) {
	text := Derive([]byte("open sesame"))
	if !strings.HasPrefix(text, "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$") || text == Derive([]byte("open sesame")) {
		t.Errorf("%s: wrong form, or the salt is not random", text)
	}
	v, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"open sesame": true, "open sesam": false, "": false} {
		if v.Matches([]byte(password)) != want {
			t.Errorf("Matches(%q) is not %v", password, want)
		}
	}
}

func TestParseRoundTrip(t *testing.T) {
	text := cheap("x").String()
	for _, form := range []string{text, strings.TrimPrefix(text, scheme)} {
		v, err := Parse(form)
		if err != nil || v.String() != text {
			t.Errorf("Parse(%s) = %s, %v", form, v, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := cheap("x").String()
	for name, text := range map[string]string{
		"nothing":        "",
		"a password":     "hunter2",
		"another scheme": strings.ReplaceAll(good, "argon2id", "argon2i"),
		"a version":      strings.Replace(good, "v=19", "v=16", 1),
		"no memory":      strings.Replace(good, "m=8", "m=0", 1),
		"a short salt":   strings.Replace(good, "c29tZXNhbHQ", "c29tZQ", 1),
		"a short hash":   good[:strings.LastIndexByte(good, '$')+1] + "AAAA",
		"a bad hash":     good[:len(good)-1] + "!",
		"another field":  good + "$",
		"spare digits":   strings.Replace(good, "m=8", "m=08", 1),
		"a sign":         strings.Replace(good, "t=1", "t=+1", 1),
	} {
		if _, err := Parse(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseRefusesWhatCostsTooMuch(t *testing.T) {
	good := cheap("x").String()
	for _, cost := range []string{"m=262145,t=1,p=1", "m=8,t=17,p=1", "m=8,t=1,p=17"} {
		text := strings.Replace(good, "m=8,t=1,p=1", cost, 1)
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), "costs too much") {
			t.Errorf("%s: %v", cost, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(cheap("x").String())
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := Parse(text); err == nil && v.String() != scheme+strings.TrimPrefix(text, scheme) {
			t.Errorf("Parse(%q) gives %s", text, v)
		}
	})
}
