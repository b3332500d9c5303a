package verifier

import (
	"errors"
	"strings"
	"testing"
)

// Made by the reference implementation: phc-winner-argon2, src/test.c.
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

// cheap is a verifier that costs little, so that tests are quick.
func cheap(password string) Verifier {
	v := argon2id{memoryKiB: 8, passes: 1, lanes: 1, salt: []byte("somesalt")}
	v.hash = v.derive([]byte(password), 32)
	return Verifier{v}
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

func TestUnmatchedCostsAsMuchAsANewOne(t *testing.T) {
	made, err := Parse(Derive([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	a, b := made.form.(argon2id), Unmatched().form.(argon2id)
	if a.memoryKiB != b.memoryKiB || a.passes != b.passes || a.lanes != b.lanes || len(a.hash) != len(b.hash) {
		t.Errorf("%s is not like %s", Unmatched(), made)
	}
	if one, other := Unmatched(), Unmatched(); one.Matches([]byte("x")) || one.String() == other.String() {
		t.Error("a password matches, or salt and hash are not random")
	}
}

func TestArgon2idRefuses(t *testing.T) {
	good := cheap("x").String()
	for name, text := range map[string]string{
		"another function": strings.ReplaceAll(good, "argon2id", "argon2i"),
		"a version":        strings.Replace(good, "v=19", "v=16", 1),
		"no memory":        strings.Replace(good, "m=8", "m=0", 1),
		"a short salt":     strings.Replace(good, "c29tZXNhbHQ", "c29tZQ", 1),
		"a short hash":     good[:strings.LastIndexByte(good, '$')+1] + "AAAA",
		"a bad hash":       good[:len(good)-1] + "!",
		"another field":    good + "$",
		"spare digits":     strings.Replace(good, "m=8", "m=08", 1),
		"a sign":           strings.Replace(good, "t=1", "t=+1", 1),
		"a line end":       strings.Replace(good, "c29tZXNhbHQ", "c29tZXN\nhbHQ", 1),
	} {
		if _, err := Parse(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
