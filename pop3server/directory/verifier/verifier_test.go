package verifier

import (
	"errors"
	"strings"
	"testing"
)

// Verifiers that other programs made: text, password, and what String gives if it is another text.
var vectors = []struct{ name, text, password, normal string }{
	{"phc-winner-argon2 src/test.c", reference, "password", "{ARGON2ID}" + reference},
	{"doveadm pw", "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$ZZ04Pa4XeQ7XrblsVuuZPQ$jHwSlRxSW9FQBANdimVTKpBCQV0ffVHlCdKl7wYzVtI",
		"open sesame", ""},

	// bcrypt: crypt_blowfish's wrapper.c, and libxcrypt.
	{"crypt_blowfish", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U",
		"{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	{"crypt_blowfish, 8 bits", "{CRYPT}$2y$05$/OK.fbVrR/bpIqNJ5ianF.nRht2l/HRhr6zmCp9vYUvvsqynflf9e", "\xff\xa3345",
		"{BLF-CRYPT}$2y$05$/OK.fbVrR/bpIqNJ5ianF.nRht2l/HRhr6zmCp9vYUvvsqynflf9e"},
	{"libxcrypt, 8 bits", "{blf-crypt}$2b$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e", "\xff\xff\xa3",
		"{BLF-CRYPT}$2b$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e"},
	{"crypt_blowfish, 72 octets", "{BLF-CRYPT}$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui", seventyTwo, ""},
	{"doveadm pw", "{BLF-CRYPT}$2y$05$ldWE4u9AaGx/SmBC37KXJedt55huKGuxfmvJ/HBD8fU2QuwVjjiTi", "open sesame", ""},
	{"doveadm pw -r 4", "{BLF-CRYPT}$2y$04$2S9lA7hXS7I7FmxjI4PSjeS7oe2.SRd7Ds56jafeoVWdgsNRwFV7i", "pässwörd", ""},
	{"doveadm pw -s CRYPT", "{CRYPT}$2y$05$7osGkXKdqEg8e8XkVL4pH.y03bRva7qJ27IRXyHqhX35AsaCJ7fKW", "open sesame",
		"{BLF-CRYPT}$2y$05$7osGkXKdqEg8e8XkVL4pH.y03bRva7qJ27IRXyHqhX35AsaCJ7fKW"},

	// SHA-512 crypt: Drepper's specification, with the salts cut as crypt(3) gives them out, and libxcrypt.
	{"specification", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
		"Hello world!", "{SHA512-CRYPT}$6$saltstring$" +
			"svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
	{"specification, rounds", "{SHA512-CRYPT}$6$rounds=10000$saltstringsaltst$" +
		"OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", "Hello world!", ""},
	{"specification, the usual rounds", "{CRYPT}$6$rounds=5000$toolongsaltstrin$" +
		"lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0", "This is just a test",
		"{SHA512-CRYPT}$6$toolongsaltstrin$" +
			"lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0"},
	{"specification, long password", "{SHA512-CRYPT}$6$rounds=1400$anotherlongsalts$" +
		"POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
		"a very much longer text to encrypt.  This one even stretches over morethan one line.", ""},
	{"specification, short salt", "{SHA512-CRYPT}$6$rounds=77777$short$" +
		"WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0",
		"we have a short salt string but not a short password", ""},
	{"specification, many rounds", "{SHA512-CRYPT}$6$rounds=123456$asaltof16chars..$" +
		"BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1", "a short string", ""},
	{"libxcrypt, 64 octets", "{SHA512-CRYPT}$6$rounds=1000$saltsalt$" +
		"7kAeLFjY7jZl83dDqCBzNCIRKWBde3Y65ATR9nmHprrtQhuxoQVoW9LVn4dY0SZ8SDp0c2E9f7vexklmkhac4/", strings.Repeat("x", 64), ""},
	{"libxcrypt, 65 octets", "{SHA512-CRYPT}$6$rounds=1000$saltsalt$" +
		"CDIpQDQLOycBqxPJ5l4exW2tNOViZ.V9GlYSg4vHTaWQnekQxDU4KhANvfydZJ8Ou0VpteDrW/ceLVlCiuvmV/", strings.Repeat("x", 65), ""},
	{"libxcrypt, 511 octets", "{SHA512-CRYPT}$6$rounds=1000$saltsalt$" +
		"nC35Rjw1qm7lwdxVgg3IU9qZMEaqucKnRYCtC7UyfTbgqAQUZjWQxjc2xeWwMzOTjOEqyGG.T4MAGPm1ptmEK/", strings.Repeat("x", 511), ""},
	{"doveadm pw", "{SHA512-CRYPT}$6$xkLvX6s2GEnjeRW4$" +
		"oXnmd9AxYGGAP2qRcZkTviOhBKGFigrODfzwSSxvsHkiB72Lf1Kpa5qCBGhrBU8r.OwrW7RGPtHbJNJXEDUvH/", "open sesame", ""},

	{"doveadm pw", "{SSHA512}MPbCiQJyJaKPwzG3WvAiL8DfJGc9Xpje0IyM+vUpCUaRMtqlZxqZNkb6sHS8lFD77Ki0JskpcuZSR0XEot/VQu0RAmg=",
		"open sesame", ""},

	{"RFC 7677 §3", "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=," +
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "pencil", ""},
	{"doveadm pw", "{SCRAM-SHA-256}4096,QLqV0MtdIDFWJF3FNOq9pA==,E06VWIcUpMQDDUlHTRx4HOec7bnt6uIEOBAxH89Lwek=," +
		"18QyOVd0iDfcWjT/4DIb/4afS0Sw9bJtXFT9bk1Iktg=", "open sesame", ""},
	{"doveadm pw", "{SCRAM-SHA-256}4096,mUm7/+VfyXc8LsCsdwBJLw==,5x4W8zey2bZ2meFtyPxekDxIV99QmHs9IIOiFfh4ubQ=," +
		"OkxNUasxEiMoGd5HkqGvjyi/RQL5dwTVSbJMIoMNbG8=", "pässwörd", ""},

	{"[MS-NLMP] §4.2.2.1.2", "{NT}A4F49C406510BDCAB6824EE7C30FD852", "Password", "{NT}a4f49c406510bdcab6824ee7c30fd852"},
	{"no password", "{nt}31d6cfe0d16ae931b73c59d7e0c089c0", "", "{NT}31d6cfe0d16ae931b73c59d7e0c089c0"},
}

// seventyTwo is as long a password as bcrypt looks at.
const seventyTwo = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func TestVectors(t *testing.T) {
	for _, vector := range vectors {
		v, err := Parse(vector.text)
		if err != nil {
			t.Errorf("%s: %s: %v", vector.name, vector.text, err)
			continue
		}
		for password, want := range map[string]bool{vector.password: true, vector.password + "x": false,
			vector.password + "\x00": false} {
			if v.Matches([]byte(password)) != want {
				t.Errorf("%s: %s: Matches(%q) is not %v", vector.name, vector.text, password, want)
			}
		}
		if vector.normal == "" {
			vector.normal = vector.text
		}
		if v.String() != vector.normal {
			t.Errorf("%s: %s becomes %s", vector.name, vector.text, v)
		}
	}
}

// Every octet of what stands after the scheme counts: with another one, the text is refused or the password is another.
func TestEveryCharacterCounts(t *testing.T) {
	for _, text := range []string{
		cheap("open sesame").String(),
		"{SSHA512}MPbCiQJyJaKPwzG3WvAiL8DfJGc9Xpje0IyM+vUpCUaRMtqlZxqZNkb6sHS8lFD77Ki0JskpcuZSR0XEot/VQu0RAmg=",
		"{SCRAM-SHA-256}4096,QLqV0MtdIDFWJF3FNOq9pA==,E06VWIcUpMQDDUlHTRx4HOec7bnt6uIEOBAxH89Lwek=," +
			"18QyOVd0iDfcWjT/4DIb/4afS0Sw9bJtXFT9bk1Iktg=",
	} {
		for i := strings.IndexByte(text, '}') + 1; i < len(text); i++ {
			changed := []byte(text)
			changed[i] ^= 1
			if v, err := Parse(string(changed)); err == nil && v.Matches([]byte("open sesame")) {
				t.Errorf("%s: octet %d may be another", text, i)
			}
			if v, err := Parse(text[:i]); err == nil && v.Matches([]byte("open sesame")) {
				t.Errorf("%s: may be cut at octet %d", text, i)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const unsalted = "hHDN078e+F1fCSvOWuWvl85QggSBv0OyQTgH/sN+J4W1M6ZdTH1xaVsUHYHrzUtsTe9ChOYGfwud3DGLGyMCBQ=="
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"nothing":          {"", ErrFormat},
		"a password":       {"hunter2", ErrFormat},
		"a dollar":         {"$", ErrFormat},
		"another scheme":   {"{PBKDF2}$1$abc$1000$def", ErrFormat},
		"a scheme alone":   {"{SSHA512}", ErrFormat},
		"an empty scheme":  {"{}" + reference, ErrFormat},
		"an open scheme":   {"{ARGON2ID" + reference, ErrFormat},
		"two schemes":      {"{ARGON2ID}{ARGON2ID}" + reference, ErrFormat},
		"the wrong scheme": {"{SSHA512}" + reference, ErrFormat},
		"not of crypt(3)":  {"{CRYPT}" + reference, ErrFormat},
		"DES crypt":        {"{CRYPT}rl.3StKT.4T8M", ErrFormat},
		"MD5 crypt":        {"$1$abcdefgh$irWbblnpmw.5z7wgBnprh0", ErrFormat},
		"too long":         {"{SSHA512}" + strings.Repeat("A", maxTextOctets), ErrFormat},
		"unsalted":         {"{SHA512}" + unsalted, ErrUnsalted},
		"unsalted, lower":  {"{sha512}hHDN", ErrUnsalted},
		"unsalted SSHA512": {"{SSHA512}" + unsalted, ErrUnsalted},
		"MD5":              {"{PLAIN-MD5}5f4dcc3b5aa765d61d8327deb882cf99", ErrUnsalted},
		"cleartext":        {"{PLAIN}hunter2", ErrCleartext},
	} {
		v, err := Parse(test.text)
		if !errors.Is(err, test.want) || v.form != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s is quoted: %v", name, err)
		}
	}
}

func TestParseRefusesWhatCostsTooMuch(t *testing.T) {
	argon, sha := cheap("x").String(), strings.Repeat("/", 85)+"."
	blow := "$saltsaltsaltsaltsaltsu" + strings.Repeat("/", 30) + "."
	scram := ",QLqV0MtdIDFWJF3FNOq9pA==,E06VWIcUpMQDDUlHTRx4HOec7bnt6uIEOBAxH89Lwek=,18QyOVd0iDfcWjT/4DIb/4afS0Sw9bJtXFT9bk1Iktg="
	for text, want := range map[string]error{
		strings.Replace(argon, "m=8,t=1,p=1", "m=262145,t=1,p=1", 1): ErrCost,
		strings.Replace(argon, "m=8,t=1,p=1", "m=8,t=17,p=1", 1):     ErrCost,
		strings.Replace(argon, "m=8,t=1,p=1", "m=262144,t=5,p=1", 1): ErrCost,
		strings.Replace(argon, "m=8,t=1,p=1", "m=262144,t=4,p=1", 1): nil,
		strings.Replace(argon, "m=8,t=1,p=1", "m=65537,t=16,p=1", 1): ErrCost,
		strings.Replace(argon, "m=8,t=1,p=1", "m=65536,t=16,p=1", 1): nil,
		strings.Replace(argon, "m=8,t=1,p=1", "m=8,t=1,p=17", 1):     ErrCost,
		"$6$rounds=1000001$saltsalt$" + sha:                          ErrCost,
		"$6$rounds=1000000$saltsalt$" + sha:                          nil,
		"$6$rounds=1000$saltsalt$" + sha:                             nil,
		"$6$rounds=999$saltsalt$" + sha:                              ErrFormat,
		"$6$rounds=99999999999999999999$saltsalt$" + sha:             ErrFormat,
		"$2b$15" + blow:                  ErrCost,
		"$2b$31" + blow:                  ErrCost,
		"$2b$14" + blow:                  nil,
		"$2b$04" + blow:                  nil,
		"$2b$03" + blow:                  ErrFormat,
		"{SCRAM-SHA-256}1000001" + scram: ErrCost,
		"{SCRAM-SHA-256}1000000" + scram: nil,
		"{SCRAM-SHA-256}4095" + scram:    ErrFormat,
	} {
		_, err := Parse(text)
		if !errors.Is(err, want) || errors.Is(want, ErrCost) && !strings.Contains(err.Error(), "costs too much: at most ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMethods(t *testing.T) {
	for text, want := range map[string]Methods{
		reference: MethodPassword,
		"{SSHA512}MPbCiQJyJaKPwzG3WvAiL8DfJGc9Xpje0IyM+vUpCUaRMtqlZxqZNkb6sHS8lFD77Ki0JskpcuZSR0XEot/VQu0RAmg=": MethodPassword,
		DeriveSCRAM([]byte("x")):               MethodPassword | MethodSCRAM,
		"{NT}a4f49c406510bdcab6824ee7c30fd852": MethodPassword | MethodNTLM,
	} {
		v, err := Parse(text)
		if err != nil || v.Methods() != want {
			t.Errorf("%s: %b, %v", text, v.Methods(), err)
		}
		if _, ok := v.SCRAM(); ok != want.Has(MethodSCRAM) {
			t.Errorf("%s: SCRAM is %v", text, ok)
		}
		if _, ok := v.NTHash(); ok != want.Has(MethodNTLM) {
			t.Errorf("%s: NTHash is %v", text, ok)
		}
	}
}

func TestZeroVerifier(t *testing.T) {
	var v Verifier
	if v.Matches(nil) || v.Matches([]byte("x")) || v.String() != "" || v.Methods() != 0 {
		t.Errorf("the zero Verifier matches, or is %q, or serves %b", v, v.Methods())
	}
}

func TestDeriveAs(t *testing.T) {
	for _, scheme := range Schemes() {
		text, err := DeriveAs(scheme, []byte("open sesame"))
		again, _ := DeriveAs(scheme, []byte("open sesame"))
		if err != nil || (text == again) != (scheme == NT) || !strings.HasPrefix(text, "{"+string(scheme)+"}") {
			t.Errorf("%s: %q, %q, %v", scheme, text, again, err)
		}
		v, err := Parse(text)
		if err != nil || v.String() != text || !v.Matches([]byte("open sesame")) || v.Matches([]byte("open sesamf")) {
			t.Errorf("%s: %s, %v", scheme, v, err)
		}
	}
	if text, err := DeriveAs("PLAIN", []byte("hunter2")); err == nil {
		t.Errorf("PLAIN: %q", text)
	}
}

// FuzzParse reads texts: one that is accepted is bounded and has one normal form, which means the same; and errors are
// those of this package, so that they quote nothing.
func FuzzParse(f *testing.F) {
	for _, vector := range vectors {
		f.Add(vector.text)
	}
	f.Add(cheap("x").String())
	f.Add("{SHA512}hHDN")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse(text)
		if err != nil {
			checkError(t, text, err)
			return
		}
		again, err := Parse(v.String())
		if err != nil || again.String() != v.String() || again.Methods() != v.Methods() || len(text) > maxTextOctets {
			t.Errorf("Parse(%q) gives %s, and that %s, %v", text, v, again, err)
		}
		if !v.Methods().Has(MethodPassword) {
			t.Errorf("Parse(%q) serves %b", text, v.Methods())
		}
		if _, body := cutScheme(v.String()); !strings.HasSuffix(strings.ToLower(text), strings.ToLower(body)) &&
			!strings.Contains(text, "rounds=5000$") {
			t.Errorf("Parse(%q) gives %s", text, v)
		}
	})
}

func checkError(t *testing.T, text string, err error) {
	t.Helper()
	for _, known := range []error{ErrFormat, ErrUnsalted, ErrCleartext, ErrCost} {
		if errors.Is(err, known) && len(err.Error()) < 200 {
			return
		}
	}
	t.Errorf("Parse(%q): %v", text, err)
}
