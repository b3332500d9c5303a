package verifier

import (
	"strings"
	"testing"
	"time"
)

func TestCost(t *testing.T) {
	for _, scheme := range Schemes() {
		text, err := DeriveAs(scheme, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		v, dear := parsed(t, text), scheme != NT && scheme != SSHA512
		if cost := Cost([]Verifier{v}); (cost > 0) != dear || v.IsCheap() == dear {
			t.Errorf("%s takes %s, and is cheap: %t", scheme, cost, v.IsCheap())
		}
	}
	if v := cheap("x"); !v.IsCheap() {
		t.Errorf("%s is not cheap", v)
	}
}

// Cost estimates what Match takes: verifiers with one salt and one cost take one hash.
func TestCostOfSeveral(t *testing.T) {
	first, other, scram := Derive([]byte("x")), Derive([]byte("x")), parsed(t, DeriveSCRAM([]byte("x")))
	one, beside := parsed(t, first), parsed(t, DeriveBeside(first, []byte("y")))
	single, between := Cost([]Verifier{one}), Cost([]Verifier{scram})
	for name, test := range map[string]struct {
		verifiers []Verifier
		want      time.Duration
	}{
		"none":                     {nil, 0},
		"one salt":                 {[]Verifier{one, beside, one}, single},
		"one salt, another scheme": {[]Verifier{one, scram, beside}, single + between},
		"two of SCRAM":             {[]Verifier{scram, scram}, 2 * between},
		"two salts":                {[]Verifier{one, parsed(t, other)}, 2 * single},
		"two costs":                {[]Verifier{one, parsed(t, strings.Replace(first, "t=2", "t=4", 1))}, 3 * single},
	} {
		if got := Cost(test.verifiers); (got - test.want).Abs() > time.Microsecond { // each is rounded
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// Two of the dearest that Parse takes fit into what a mailbox's passwords may take, which is two seconds.
func TestCostOfTheDearest(t *testing.T) {
	scram := strings.Replace(DeriveSCRAM([]byte("x")), "}15000,", "}1000000,", 1)
	for _, text := range []string{
		strings.Replace(reference, "m=65536,t=2", "m=262144,t=4", 1),
		strings.Replace(reference, "m=65536,t=2", "m=65536,t=16", 1),
		"$2b$14$saltsaltsaltsaltsaltsu" + strings.Repeat("/", 30) + ".",
		"$6$rounds=1000000$saltsalt$" + strings.Repeat("/", 85) + ".",
		scram,
	} {
		if cost := Cost([]Verifier{parsed(t, text)}); cost < 100*time.Millisecond || cost > time.Second {
			t.Errorf("%s takes %s", text, cost)
		}
	}
}
