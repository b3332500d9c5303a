package ntlm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/popservice/popservice/pop3server/sasl"
)

// Offsets of the fields in AUTHENTICATE.
const (
	atLM          = 12
	atNT          = 20
	atDomain      = 28
	atUser        = 36
	atWorkstation = 44
	atKey         = 52
)

func set16(at int, value uint16) func([]byte) []byte {
	return func(m []byte) []byte {
		binary.LittleEndian.PutUint16(m[at:], value)
		return m
	}
}

func set32(at int, value uint32) func([]byte) []byte {
	return func(m []byte) []byte {
		binary.LittleEndian.PutUint32(m[at:], value)
		return m
	}
}

// setField points a field elsewhere.
func setField(at int, length uint16, offset uint32) func([]byte) []byte {
	return func(m []byte) []byte { return set32(at+4, offset)(set16(at, length)(m)) }
}

// TestFields changes the AUTHENTICATE of a client without MIC, which is right otherwise.
func TestFields(t *testing.T) {
	for name, test := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"unchanged":                   {func(m []byte) []byte { return m }, nil},
		"other signature":             {func(m []byte) []byte { m[6] = 'Q'; return m }, sasl.ErrMalformed},
		"signature without NUL":       {func(m []byte) []byte { m[7] = 'X'; return m }, sasl.ErrMalformed},
		"type 1":                      {set32(8, 1), sasl.ErrMalformed},
		"type 4":                      {set32(8, 4), sasl.ErrMalformed},
		"MaxLen is ignored":           {set16(atNT+2, 0xffff), nil},
		"octets behind":               {func(m []byte) []byte { return append(m, 1, 2, 3) }, nil},
		"no LM response":              {setField(atLM, 0, 0), nil},
		"no LM response, at the end":  {func(m []byte) []byte { return setField(atLM, 0, uint32(len(m)))(m) }, nil},
		"no LM response, past end":    {func(m []byte) []byte { return setField(atLM, 0, uint32(len(m))+1)(m) }, sasl.ErrMalformed},
		"no LM response, far away":    {setField(atLM, 0, 0xffffffff), sasl.ErrMalformed},
		"LM response far away":        {set32(atLM+4, 0xffffffff), sasl.ErrMalformed},
		"sum over 32 bits":            {setField(atLM, 0x40, 0xffffffd0), sasl.ErrMalformed},
		"NT response past end":        {set16(atNT, 0xffff), sasl.ErrMalformed},
		"domain past end":             {set16(atDomain, 0xfffe), sasl.ErrMalformed},
		"user past end":               {set16(atUser, 0xfffe), sasl.ErrMalformed},
		"workstation one past end":    {func(m []byte) []byte { m[atWorkstation]++; return m }, sasl.ErrMalformed},
		"session key past end":        {set16(atKey, 16), sasl.ErrMalformed},
		"user is in the fixed part":   {setField(atUser, 2, 62), sasl.ErrMalformed},
		"LM response is the message":  {setField(atLM, 72, 0), sasl.ErrMalformed},
		"user is the domain":          {copyOctets(atUser, atDomain, 8), sasl.ErrMalformed},
		"LM is part of NT response":   {copyOctets(atLM+4, atNT+4, 4), sasl.ErrMalformed},
		"workstation begins too soon": {func(m []byte) []byte { m[atWorkstation+4]--; return m }, sasl.ErrMalformed},
		"anonymous":                   {anonymous, sasl.ErrFailed},
		"LM alone":                    {setField(atNT, 0, 0), sasl.ErrFailed},
		"version 1":                   {set16(atNT, 24), sasl.ErrFailed},
		"NT response of 23 octets":    {set16(atNT, 23), sasl.ErrMalformed},
		"NT response of 25 octets":    {set16(atNT, 25), sasl.ErrMalformed},
		"NT response of 47 octets":    {set16(atNT, 47), sasl.ErrMalformed},
		"NT response without the end": {set16(atNT, 48), sasl.ErrMalformed},
		"other RespType":              {inResponse(16, 2), sasl.ErrMalformed},
		"other HiRespType":            {inResponse(17, 2), sasl.ErrMalformed},
		"another user":                {setField(atUser, 2, 72+24), sasl.ErrMalformed}, // overlaps the NT response
		"half of a character":         {func(m []byte) []byte { m[atUser]--; return m }, sasl.ErrMalformed},
		"half of a surrogate pair":    {inUser(1, 0xd8), sasl.ErrMalformed},
		"no user":                     {set16(atUser, 0), sasl.ErrFailed},
		"other flags of the client":   {set32(60, 0), nil},
		"ANONYMOUS flag":              {set32(60, uint32(negotiateAnonymous)), sasl.ErrFailed},
		"name of domain cut":          {func(m []byte) []byte { m[atDomain] -= 2; return m }, sasl.ErrFailed},
		"name of user cut":            {func(m []byte) []byte { m[atUser] -= 2; return m }, sasl.ErrFailed},
		"longest":                     {func(m []byte) []byte { return append(m, make([]byte, 16384-len(m))...) }, nil},
		"too long":                    {func(m []byte) []byte { return append(m, make([]byte, 16385-len(m))...) }, sasl.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			options, logins := server("Password")
			c := alice()
			err := play(t, options, c.negotiate(), func(negotiate, challenge []byte) []byte {
				return test.change(c.authenticate(negotiate, challenge))
			})
			if !errors.Is(err, test.want) || len(*logins) != 0 != (err == nil) {
				t.Errorf("error is %v, want %v; logins %v", err, test.want, *logins)
			}
		})
	}
}

// copyOctets makes octets of the fixed part the same.
func copyOctets(to, from, n int) func([]byte) []byte {
	return func(m []byte) []byte {
		copy(m[to:to+n], m[from:])
		return m
	}
}

func anonymous(m []byte) []byte { return setField(atUser, 0, 0)(setField(atNT, 0, 0)(m)) }

// inResponse sets an octet of the NT response.
func inResponse(at int, value byte) func([]byte) []byte {
	return func(m []byte) []byte {
		m[int(binary.LittleEndian.Uint32(m[atNT+4:]))+at] = value
		return m
	}
}

// inUser sets an octet of the user's name.
func inUser(at int, value byte) func([]byte) []byte {
	return func(m []byte) []byte {
		m[int(binary.LittleEndian.Uint32(m[atUser+4:]))+at] = value
		return m
	}
}

// With KEY_EXCH the session key has 16 octets.
func TestSessionKeyLength(t *testing.T) {
	for _, length := range []uint16{0, 15, 17} {
		options, _ := server("Password")
		c := change(func(c *client) { c.flags = signingFlags })
		err := play(t, options, c.negotiate(), func(negotiate, challenge []byte) []byte {
			return set16(atKey, length)(append(c.authenticate(negotiate, challenge), 0))
		})
		if !errors.Is(err, sasl.ErrMalformed) {
			t.Errorf("session key of %d octets: %v", length, err)
		}
	}
}

func TestNegotiate(t *testing.T) {
	whole := alice().negotiate()
	for name, test := range map[string]struct {
		message []byte
		good    bool
	}{
		"whole":               {whole, true},
		"flags alone":         {whole[:16], true},
		"longest":             {append(bytes.Clone(whole), make([]byte, 16384-len(whole))...), true},
		"too long":            {append(bytes.Clone(whole), make([]byte, 16385-len(whole))...), false},
		"names are not read":  {append(bytes.Clone(whole[:16]), bytes.Repeat([]byte{0xff}, 16)...), true},
		"no character set":    {append(bytes.Clone(whole[:12]), 4, 0x82, 8, 0), false},
		"other signature":     {append([]byte("NTLMSSQ"), whole[7:]...), false},
		"type 2":              {append(append(bytes.Clone(whole[:8]), 2), whole[9:]...), false},
		"type with high bits": {append(append(bytes.Clone(whole[:11]), 1), whole[12:]...), false},
		"GSS-API token":       {append([]byte("\x60\x48\x06\x06\x2b\x06\x01\x05\x05\x02"), whole...), false},
	} {
		options, _ := server("Password")
		m := New(options)
		challenge, done, err := m.Next(test.message)
		if !test.good {
			refused(t, m, challenge, done, err)
		} else if err != nil || done {
			t.Errorf("%s: %v, %v", name, done, err)
		}
	}
}

// A client decides over nothing that is allocated but its names and the copy of NEGOTIATE.
func TestAllocations(t *testing.T) {
	options, _ := server("Password")
	c := alice()
	for range 3000 {
		c = c.with(99, nil)
	}
	var message []byte
	if err := play(t, options, c.negotiate(), func(negotiate, challenge []byte) []byte {
		message = c.authenticate(negotiate, challenge)
		return bytes.Clone(message)
	}); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = parseAuthenticate(message, windowsFlags) }); n > 30 {
		t.Errorf("a message of %d octets takes %v allocations", len(message), n)
	}
}
