package verifier

// cheapPasses is what argon2id may cost to be cheap: passes over 1 KiB, of which a core makes some 1,300 in a millisecond.
const cheapPasses = 1024

// IsArgon2id tells whether a check is one of ARGON2ID, and takes as long as one of what Derive makes at least.
func (v Verifier) IsArgon2id() bool {
	a, ok := v.form.(argon2id)
	return ok && a.cost() >= newMemoryKiB*newPasses
}

// IsCheap tells whether a check takes less than a millisecond of a core, and next to no memory.
func (v Verifier) IsCheap() bool {
	switch form := v.form.(type) {
	case argon2id:
		return form.cost() <= cheapPasses
	case nil, ssha512, ntHash:
		return true
	}
	return false
}

func (v argon2id) cost() uint64 { return uint64(v.memoryKiB) * uint64(v.passes) }
