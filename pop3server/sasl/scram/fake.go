package scram

// saltOctets is the length of a fake salt, and of most real ones.
const saltOctets = 16

// FakeSalt gives the salt, of 16 octets, that a name without credentials gets: without the key nobody can tell it from a random
// one, and it is the same each time, as a real one is.
func FakeSalt(key []byte, name string) []byte { return mac(key, "SCRAM salt of "+name)[:saltOctets] }

// candidates is how many keys are tried at least, so that the time of an answer does not tell how many a user has.
const candidates = 16

// padded fills keys up with those of no password.
func padded(keys []Keys) []Keys {
	all := make([]Keys, max(len(keys), candidates))
	copy(all, keys)
	return all
}

// find gives the user's credentials. An unknown user has fake ones, which no proof can match; they are made for known users
// too, so that both take the same time.
func (o *Options) find(authcid string) (c Credentials, known bool) {
	name := authcid
	if o.Canonical != nil {
		name = o.Canonical(authcid)
	}
	fake := Credentials{Salt: FakeSalt(o.FakeKey, name), Iterations: o.FakeIterations, Keys: make([]Keys, 1)}
	if c, known = o.Lookup(authcid); known {
		return c, true
	}
	return fake, false
}
