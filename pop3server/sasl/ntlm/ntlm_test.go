package ntlm

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
	"github.com/popservice/popservice/pop3server/sasl/ntlm/nthash"
)

// change gives alice with changes.
func change(change func(*client)) client {
	c := alice()
	change(&c)
	return c
}

func TestClients(t *testing.T) {
	none := ""
	for name, c := range map[string]client{
		"Windows without MIC":       alice(),
		"Windows":                   alice().withMIC(),
		"KEY_EXCH and SIGN":         change(func(c *client) { c.flags = signingFlags }).withMIC(),
		"KEY_EXCH and SEAL":         change(func(c *client) { c.flags = signingFlags&^negotiateSign | negotiateSeal }).withMIC(),
		"KEY_EXCH without SIGN":     change(func(c *client) { c.flags = signingFlags &^ negotiateSign }).withMIC(),
		"client gives KEY_EXCH up":  change(func(c *client) { c.flags, c.authFlags = signingFlags, dropKeyExchange }).withMIC(),
		"client gives SIGN up":      change(func(c *client) { c.flags, c.authFlags = signingFlags, dropSign }).withMIC(),
		"client claims a KEY_EXCH":  change(func(c *client) { c.authFlags = claimKeyExchange }),
		"curl":                      change(func(c *client) { c.flags, c.noVersion = curlFlags, true }),
		"OEM with MIC":              change(func(c *client) { c.flags = curlFlags }).withMIC(),
		"no Version":                change(func(c *client) { c.noVersion = true }),
		"MIC that nobody speaks of": change(func(c *client) { c.mic = true }),
		"flags without the MIC's":   alice().with(avFlags, []byte{4, 0, 0, 0}),
		"no trailer":                change(func(c *client) { c.noTrailer = true }),
		"domain left out of hash":   change(func(c *client) { c.hashedDomain = &none }),
		"no domain":                 change(func(c *client) { c.user, c.domain = "alice@example.com", "" }),
		"domain in lower case":      change(func(c *client) { c.domain = "example" }),
		"user in mixed case":        change(func(c *client) { c.user = "aLiCe" }),
		"Unicode": change(func(c *client) {
			c.user, c.domain, c.password = "jürgen.世界.🙂", "Bücher", "Grüße, 世界 🙂"
		}),
		"UTF-8 in OEM as curl hashes": change(func(c *client) {
			c.user, c.flags, c.noVersion, c.upper = "jürgen.õ.世界", curlFlags, true, upperASCII
		}),
		"36 hours late":  change(func(c *client) { c.clock = serverTime.Add(-36 * time.Hour) }),
		"36 hours early": change(func(c *client) { c.clock = serverTime.Add(36 * time.Hour) }),
		"longest names": change(func(c *client) {
			c.user, c.domain = string(bytes.Repeat([]byte{'u'}, 256)), string(bytes.Repeat([]byte{'d'}, 256))
		}),
		"unknown pairs, twice": alice().with(99, []byte("x")).with(99, nil).with(avTimestamp, nil),
	} {
		t.Run(name, func(t *testing.T) {
			options, logins := server(c.password)
			if err := exchange(t, options, c); err != nil {
				t.Error(err)
			}
			if want := []login{{c.user, c.domain, 0}}; !slices.Equal(*logins, want) {
				t.Errorf("logins %v, want %v", *logins, want)
			}
		})
	}
}

func dropKeyExchange(f flags) flags  { return f &^ negotiateKeyExchange }
func dropSign(f flags) flags         { return f &^ negotiateSign }
func claimAnonymous(f flags) flags   { return f | negotiateAnonymous }
func claimKeyExchange(f flags) flags { return f | negotiateKeyExchange | negotiateSign }

func upperASCII(s string) string {
	octets := []byte(s)
	for i, octet := range octets {
		if 'a' <= octet && octet <= 'z' {
			octets[i] -= 'a' - 'A'
		}
	}
	return string(octets)
}

func TestRefusals(t *testing.T) {
	onePast := []byte{99, 0, 3, 0, 1, 2}
	other, tooLong := "OTHER", string(make([]byte, 257))
	for name, test := range map[string]struct {
		client client
		want   error
	}{
		"wrong password":                {change(func(c *client) { c.password = "password" }), sasl.ErrFailed},
		"empty password":                {change(func(c *client) { c.password = "" }), sasl.ErrFailed},
		"other domain in hash":          {change(func(c *client) { c.hashedDomain = &other }), sasl.ErrFailed},
		"user not in upper":             {change(func(c *client) { c.upper = func(s string) string { return s } }), sasl.ErrFailed},
		"proof's first bit":             {change(func(c *client) { c.proof = func(p []byte) { p[0] ^= 1 } }), sasl.ErrFailed},
		"proof's last bit":              {change(func(c *client) { c.proof = func(p []byte) { p[15] ^= 0x80 } }), sasl.ErrFailed},
		"proof of zeros":                {change(func(c *client) { c.proof = func(p []byte) { clear(p) } }), sasl.ErrFailed},
		"stale":                         {change(func(c *client) { c.clock = serverTime.Add(-36*time.Hour - 1000) }), sasl.ErrFailed},
		"from the future":               {change(func(c *client) { c.clock = serverTime.Add(36*time.Hour + 1000) }), sasl.ErrFailed},
		"time of zero":                  {change(func(c *client) { c.clock = time.Unix(-11644473600, 0) }), sasl.ErrFailed},
		"anonymous by its flag":         {change(func(c *client) { c.authFlags = claimAnonymous }), sasl.ErrFailed},
		"guest":                         {change(func(c *client) { c.user = "" }), sasl.ErrFailed},
		"MIC stripped":                  {alice().with(avFlags, []byte{avFlagMIC, 0, 0, 0}), sasl.ErrMalformed},
		"KEY_EXCH that was not offered": {change(func(c *client) { c.authFlags = claimKeyExchange }).withMIC(), sasl.ErrFailed},
		"list without an end":           {change(func(c *client) { c.noEnd = true }), sasl.ErrMalformed},
		"pair one past the end":         {change(func(c *client) { c.noEnd, c.pairs = true, onePast }), sasl.ErrMalformed},
		"pair far past the end":         {change(func(c *client) { c.pairs = []byte{99, 0, 0xff, 0xff} }), sasl.ErrMalformed},
		"half of a pair's head":         {change(func(c *client) { c.noEnd, c.pairs = true, []byte{99, 0, 0} }), sasl.ErrMalformed},
		"flags twice":                   {alice().withMIC().with(avFlags, []byte{0, 0, 0, 0}), sasl.ErrMalformed},
		"flags of 2 octets":             {alice().with(avFlags, []byte{0, 0}), sasl.ErrMalformed},
		"flags of 0 octets":             {alice().with(avFlags, nil), sasl.ErrMalformed},
		"binding twice": {alice().with(avChannelBindings, testBinding[:]).with(avChannelBindings, testBinding[:]),
			sasl.ErrMalformed},
		"binding of 15 octets":  {alice().with(avChannelBindings, testBinding[:15]), sasl.ErrMalformed},
		"binding of 17 octets":  {alice().with(avChannelBindings, make([]byte, 17)), sasl.ErrMalformed},
		"end with a value":      {alice().with(avEOL, []byte{0}), sasl.ErrMalformed},
		"user too long":         {change(func(c *client) { c.user = tooLong }), sasl.ErrMalformed},
		"domain too long":       {change(func(c *client) { c.domain = tooLong }), sasl.ErrMalformed},
		"user too long in OEM":  {change(func(c *client) { c.flags, c.user = curlFlags, tooLong }), sasl.ErrMalformed},
		"OEM is not UTF-8":      {change(func(c *client) { c.flags, c.user = curlFlags, "j\xfcrgen" }), sasl.ErrMalformed},
		"neither character set": {change(func(c *client) { c.flags &^= negotiateUnicode | negotiateOEM }), sasl.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			options, logins := server("Password")
			if err := exchange(t, options, test.client); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if len(*logins) != 0 {
				t.Errorf("logins %v", *logins)
			}
		})
	}
}

func spoilLast(m []byte) { m[len(m)-1] ^= 1 }

func TestMIC(t *testing.T) {
	for name, test := range map[string]struct {
		client client
		spoil  func([]byte)
		want   bool
	}{
		"right":                   {alice().withMIC(), func([]byte) {}, true},
		"right, with KEY_EXCH":    {change(func(c *client) { c.flags = signingFlags }).withMIC(), func([]byte) {}, true},
		"first bit":               {alice().withMIC(), func(m []byte) { m[72] ^= 1 }, false},
		"last bit":                {alice().withMIC(), func(m []byte) { m[87] ^= 0x80 }, false},
		"zeros":                   {alice().withMIC(), func(m []byte) { clear(m[72:88]) }, false},
		"another Version":         {alice().withMIC(), func(m []byte) { m[64] ^= 1 }, false},
		"another workstation":     {alice().withMIC(), spoilLast, false},
		"another session key":     {change(func(c *client) { c.flags = signingFlags }).withMIC(), spoilLast, false},
		"none":                    {alice(), func([]byte) {}, false},
		"none, but says so twice": {change(func(c *client) { c.mic = true }), func([]byte) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			options, _ := server("Password")
			options.RequireMIC = true
			err := play(t, options, test.client.negotiate(), func(negotiate, challenge []byte) []byte {
				m := test.client.authenticate(negotiate, challenge)
				test.spoil(m)
				return m
			})
			if (err == nil) != test.want || err != nil && !errors.Is(err, sasl.ErrFailed) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestChannelBinding(t *testing.T) {
	clients := map[string]client{
		"absent": alice(),
		"zero":   alice().with(avChannelBindings, make([]byte, 16)),
		"right":  alice().with(avChannelBindings, testBinding[:]),
		"wrong":  alice().with(avChannelBindings, otherBinding[:]),
	}
	for _, test := range []struct {
		policy     binding.Policy
		connection binding.Digest
		good       []string
	}{
		{binding.None, testBinding, []string{"absent", "zero", "right", "wrong"}},
		{binding.Allow, testBinding, []string{"absent", "zero", "right"}},
		{binding.Require, testBinding, []string{"right"}},
		{binding.None, binding.Digest{}, []string{"absent", "zero", "right", "wrong"}},
		{binding.Allow, binding.Digest{}, []string{"absent", "zero"}},
		{binding.Require, binding.Digest{}, nil},
		{"", testBinding, []string{"right"}}, // no policy is the strictest
	} {
		for name, c := range clients {
			options, _ := server("Password")
			options.Policy, options.Binding = test.policy, test.connection
			err := exchange(t, options, c)
			if good := slices.Contains(test.good, name); good != (err == nil) {
				t.Errorf("%s with %x: %s binding: error is %v", test.policy, test.connection, name, err)
			}
			if err != nil && !errors.Is(err, binding.ErrMismatch) {
				t.Errorf("error is %v, want ErrMismatch too", err)
			}
		}
	}
}

func TestSeveralHashes(t *testing.T) {
	passwords := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}
	for want, password := range passwords {
		options, logins := server(passwords...)
		err := exchange(t, options, change(func(c *client) { c.password = password }).withMIC())
		if err != nil || len(*logins) != 1 || (*logins)[0].matched != want {
			t.Errorf("password %s: error %v, logins %v", password, err, *logins)
		}
	}
	options, _ := server(passwords...)
	if err := exchange(t, options, alice()); !errors.Is(err, sasl.ErrFailed) {
		t.Errorf("another password: %v", err)
	}
	options, _ = server()
	if err := exchange(t, options, alice()); !errors.Is(err, sasl.ErrFailed) {
		t.Errorf("unknown user: %v", err)
	}
}

// A user with the same password twice is the first.
func TestFirstHashMatches(t *testing.T) {
	options, logins := server("x", "Password", "Password")
	if err := exchange(t, options, alice()); err != nil || (*logins)[0].matched != 1 {
		t.Errorf("error %v, logins %v", err, *logins)
	}
}

// The work is the same for users with few hashes and for unknown ones, and nobody can know what it is done with.
func TestPadding(t *testing.T) {
	seen := map[nthash.Hash]bool{{}: true}
	for n := range candidates + 2 {
		hashes := make([]nthash.Hash, n)
		for i := range hashes {
			hashes[i] = nthash.Of("Password")
		}
		all := padded(hashes)
		if len(all) != max(n, candidates) || !slices.Equal(all[:n], hashes) {
			t.Errorf("%d hashes became %d", n, len(all))
		}
		for _, hash := range all[n:] {
			if seen[hash] {
				t.Errorf("hash %x is not random", hash)
			}
			seen[hash] = true
		}
	}
}

func TestHashesAreAskedForOnce(t *testing.T) {
	options, _ := server()
	var asked []login
	options.Hashes = func(user, domain string) []nthash.Hash {
		asked = append(asked, login{user: user, domain: domain})
		return nil
	}
	_ = exchange(t, options, alice())
	if want := []login{{user: "alice", domain: "EXAMPLE"}}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}

func TestAuthorizeDecides(t *testing.T) {
	denied := errors.New("denied")
	options, _ := server("Password")
	options.Authorize = func(string, string, int) error { return denied }
	m := New(options)
	c := alice()
	challenge, _, _ := m.Next(c.negotiate())
	rest, done, err := m.Next(c.authenticate(c.negotiate(), challenge))
	if rest != nil || done || !errors.Is(err, denied) {
		t.Errorf("Next = %x, %v, %v; want the error of Authorize", rest, done, err)
	}
	if _, done, err := m.Next(c.authenticate(c.negotiate(), challenge)); done || !errors.Is(err, sasl.ErrFailed) {
		t.Errorf("Next after an error = %v, %v; want ErrFailed", done, err)
	}
}

func TestNoInitialResponse(t *testing.T) {
	options, logins := server("Password")
	m := New(options)
	challenge, done, err := m.Next(nil)
	if challenge == nil || len(challenge) != 0 || done || err != nil {
		t.Fatalf("Next(nil) = %q, %v, %v; want an empty challenge", challenge, done, err)
	}
	c := alice().withMIC()
	challenge, _, err = m.Next(c.negotiate())
	if err != nil {
		t.Fatal(err)
	}
	if _, done, err := m.Next(c.authenticate(c.negotiate(), challenge)); !done || err != nil || len(*logins) != 1 {
		t.Errorf("Next(AUTHENTICATE) = %v, %v; want done", done, err)
	}
}

func TestWrongOrder(t *testing.T) {
	c := alice()
	options, _ := server("Password")
	challenge, _, _ := New(options).Next(c.negotiate())
	authenticate := c.authenticate(c.negotiate(), challenge)
	for name, messages := range map[string][][]byte{
		"AUTHENTICATE first":       {authenticate},
		"AUTHENTICATE second":      {nil, authenticate},
		"CHALLENGE":                {challenge},
		"CHALLENGE second":         {c.negotiate(), challenge},
		"NEGOTIATE twice":          {c.negotiate(), c.negotiate()},
		"empty":                    {{}},
		"empty second":             {nil, {}},
		"empty third":              {c.negotiate(), {}},
		"no response to CHALLENGE": {c.negotiate(), nil},
		"none twice":               {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			options, logins := server("Password")
			m := New(options)
			for i, message := range messages {
				challenge, done, err := m.Next(message)
				if i < len(messages)-1 {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				refused(t, m, challenge, done, err)
				if !errors.Is(err, sasl.ErrMalformed) {
					t.Errorf("error is %v, want ErrMalformed", err)
				}
			}
			if _, done, err := m.Next(authenticate); done || err == nil || len(*logins) != 0 {
				t.Errorf("goes on after an error: %v, %v", done, err)
			}
		})
	}
}

// Who has overheard an exchange cannot log in with it: the next one has another challenge.
func TestReplay(t *testing.T) {
	c := alice().withMIC()
	options, _ := server("Password")
	options.Rand = nil
	var overheard []byte
	err := play(t, options, c.negotiate(), func(negotiate, challenge []byte) []byte {
		overheard = c.authenticate(negotiate, challenge)
		return bytes.Clone(overheard)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = play(t, options, c.negotiate(), func([]byte, []byte) []byte { return bytes.Clone(overheard) })
	if !errors.Is(err, sasl.ErrFailed) {
		t.Errorf("error is %v, want ErrFailed", err)
	}
}

// The caller overwrites each response after the call.
func TestRetainsNoResponse(t *testing.T) {
	options, _ := server("Password")
	m := New(options)
	c := alice().withMIC()
	negotiate := c.negotiate()
	challenge, _, err := m.Next(negotiate)
	if err != nil {
		t.Fatal(err)
	}
	clear(negotiate)
	if _, done, err := m.Next(c.authenticate(c.negotiate(), challenge)); !done || err != nil {
		t.Errorf("Next(AUTHENTICATE) = %v, %v; want done", done, err)
	}
}

func TestNoRandomness(t *testing.T) {
	options, _ := server("Password")
	options.Rand = bytes.NewReader(serverChallenge[:7])
	m := New(options)
	if challenge, done, err := m.Next(alice().negotiate()); challenge != nil || done || err == nil {
		t.Errorf("Next = %x, %v, %v; want an error", challenge, done, err)
	}
}

func TestDefaults(t *testing.T) {
	options, _ := server("Password")
	options.Now, options.Rand = nil, nil
	if err := exchange(t, options, change(func(c *client) { c.clock = time.Now() })); err != nil {
		t.Error(err)
	}
	var challenges [2][]byte
	for i := range challenges {
		challenges[i], _, _ = New(options).Next(alice().negotiate())
	}
	if bytes.Equal(challenges[0][24:32], challenges[1][24:32]) {
		t.Errorf("challenge %x twice", challenges[0][24:32])
	}
}
