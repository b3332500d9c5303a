package verifier

import (
	"strings"
	"testing"
)

func TestDeriveBeside(t *testing.T) {
	for name, test := range map[string]struct {
		derive  func([]byte) string
		beside  func(string, []byte) string
		foreign []string
	}{
		"ARGON2ID": {Derive, DeriveBeside, []string{"", "nonsense", DeriveSCRAM([]byte("x")),
			"{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZWhhc2hzb21laGFzaA"}},
		"SCRAM-SHA-256": {DeriveSCRAM, DeriveSCRAMBeside, []string{"", "nonsense", Derive([]byte("x"))}},
	} {
		first := test.derive([]byte("one"))
		second := test.beside(first, []byte("two"))
		if saltOf(first) != saltOf(second) || first == second {
			t.Errorf("%s: %s and %s", name, first, second)
		}
		for i, password := range []string{"one", "two", "three"} {
			verifiers := []Verifier{parsed(t, first), parsed(t, second)}
			if got, want := Match(verifiers, []byte(password)), []int{0, 1, -1}[i]; got != want {
				t.Errorf("%s: %s matches %d, want %d", name, password, got, want)
			}
		}
		for _, foreign := range test.foreign {
			made := test.beside(foreign, []byte("two"))
			if !parsed(t, made).Matches([]byte("two")) || foreign != "" && saltOf(made) == saltOf(foreign) {
				t.Errorf("%s: beside %q comes %q", name, foreign, made)
			}
		}
	}
}

func TestMatchAmongAll(t *testing.T) {
	one := Derive([]byte("one"))
	verifiers := []Verifier{
		{}, parsed(t, one), parsed(t, "{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZWhhc2hzb21laGFzaA"),
		parsed(t, DeriveBeside(one, []byte("two"))), parsed(t, DeriveSCRAM([]byte("three"))),
	}
	for password, want := range map[string]int{"one": 1, "two": 3, "three": 4, "": -1, "four": -1} {
		if got := Match(verifiers, []byte(password)); got != want {
			t.Errorf("%q matches %d, want %d", password, got, want)
		}
	}
	if got := Match(nil, []byte("one")); got != -1 {
		t.Errorf("nothing matches %d", got)
	}
}

// saltOf gives a verifier's salt, with what is in front of it.
func saltOf(text string) string {
	if at := strings.LastIndexByte(text, '$'); at >= 0 {
		return text[:at]
	}
	fields := strings.Split(text, ",")
	return strings.Join(fields[:min(2, len(fields))], ",")
}
