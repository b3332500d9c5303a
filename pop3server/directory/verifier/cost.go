package verifier

import (
	"fmt"
	"math/bits"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// How much of each scheme a core makes in a millisecond, roughly: what a check costs is estimated, so that it can be bounded.
const (
	argon2idPerMillisecond = 1300 // passes over 1 KiB
	scramPerMillisecond    = 6000 // iterations
	cryptPerMillisecond    = 2000 // rounds
	bcryptPerMillisecond   = 20   // of 2^cost
)

// cheapest is what a check may take that is not worth being made elsewhere.
const cheapest = time.Millisecond

// IsArgon2id tells whether a check is one of ARGON2ID, and takes as long as one of what Derive makes at least.
func (v Verifier) IsArgon2id() bool {
	a, ok := v.form.(argon2id)
	return ok && a.work() >= newMemoryKiB*newPasses
}

// IsCheap tells whether a check takes less than a millisecond of a core, and next to no memory.
func (v Verifier) IsCheap() bool { return v.cost() < cheapest }

// maxCost is what all passwords of a mailbox may take together. The dearest verifier that Parse takes needs half of it.
const maxCost = 2 * time.Second

// Affordable refuses a verifier with which the check of a mailbox's passwords would take too long: whoever had such a mailbox
// could keep all others from logging in.
func Affordable(others []Verifier, v Verifier) error {
	if Cost(append(slices.Clip(others), v)) > maxCost {
		return fmt.Errorf("%w: with those before it, checking a password would take more than %v: "+
			"give the mailbox fewer verifiers, or cheaper ones", ErrCost, maxCost)
	}
	return nil
}

// Cost is how long a core takes for Match, roughly.
func Cost(verifiers []Verifier) (sum time.Duration) {
	var last argon2id
	for _, v := range verifiers {
		a, ok := v.form.(argon2id)
		if ok && a.sameHash(last) {
			continue
		}
		if ok {
			last = a
		}
		sum += v.cost()
	}
	return sum
}

func (v Verifier) cost() time.Duration {
	switch form := v.form.(type) {
	case argon2id:
		return milliseconds(form.work(), argon2idPerMillisecond)
	case scram:
		return milliseconds(uint64(form.iterations), scramPerMillisecond) //nolint:gosec // above 0
	case sha512Crypt:
		return milliseconds(form.rounds, cryptPerMillisecond)
	case blowfish:
		cost, _ := bcrypt.Cost([]byte(form)) // it has been parsed
		return milliseconds(1<<(uint(cost)%bits.UintSize), bcryptPerMillisecond)
	}
	return 0
}

func milliseconds(work, each uint64) time.Duration {
	return time.Duration(work) * time.Millisecond / time.Duration(each) //nolint:gosec // bounded by what Parse takes
}

func (v argon2id) work() uint64 { return uint64(v.memoryKiB) * uint64(v.passes) }
