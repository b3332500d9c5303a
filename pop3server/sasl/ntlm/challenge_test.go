package ntlm

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func TestChallengeFlags(t *testing.T) {
	const always = challengeFlags | targetTypeDomain
	const unicodeAlways = always | negotiateUnicode
	for name, test := range map[string]struct{ requested, want flags }{
		"Unicode alone":         {negotiateUnicode, unicodeAlways},
		"Unicode and OEM":       {negotiateUnicode | negotiateOEM, unicodeAlways},
		"OEM alone":             {negotiateOEM, always | negotiateOEM},
		"Windows":               {windowsFlags, 0xa2898205},
		"Windows with SIGN":     {signingFlags, 0xe2898215},
		"curl":                  {curlFlags, 0x00898206},
		"SIGN":                  {negotiateUnicode | negotiateSign, unicodeAlways | negotiateSign},
		"KEY_EXCH without SIGN": {negotiateUnicode | negotiateKeyExchange, unicodeAlways},
		"KEY_EXCH with SEAL": {negotiateUnicode | negotiateKeyExchange | negotiateSeal,
			unicodeAlways | negotiateKeyExchange | negotiateSeal},
		"everything": {^flags(0), unicodeAlways | grantedFlags | negotiateKeyExchange},
	} {
		got := testTarget.challenge(test.requested, [8]byte{}, 0)
		if wire := flags(binary.LittleEndian.Uint32(got.message[20:])); got.flags != test.want || wire != test.want {
			t.Errorf("%s: flags %08x, on the wire %08x; want %08x", name, got.flags, wire, test.want)
		}
	}
}

func TestTargets(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, test := range map[string]struct {
		target    Target
		requested flags
		kind      flags
		wire      []byte
		pairs     string // as id=value
	}{
		"all names": {testTarget, negotiateUnicode, targetTypeDomain, utf16LE("EXAMPLE"),
			"2=EXAMPLE 1=POP1 4=example.com 3=pop1.example.com 7 0"},
		"OEM": {testTarget, negotiateOEM, targetTypeDomain, []byte("EXAMPLE"),
			"2=EXAMPLE 1=POP1 4=example.com 3=pop1.example.com 7 0"},
		"no domain": {Target{NetBIOSComputer: "POP1"}, negotiateUnicode, targetTypeServer, utf16LE("POP1"), "2=POP1 1=POP1 7 0"},
		"no names":  {Target{}, negotiateUnicode, targetTypeServer, nil, "2= 1= 7 0"},
		"long": {Target{NetBIOSComputer: long}, negotiateUnicode, targetTypeServer, utf16LE(long[:255]),
			"2=" + long[:255] + " 1=" + long[:255] + " 7 0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.target.challenge(test.requested, [8]byte(serverChallenge), 0x0102030405060708)
			if !got.flags.any(test.kind) || got.flags.any((targetTypeDomain|targetTypeServer)&^test.kind) {
				t.Errorf("flags are %08x", got.flags)
			}
			f, ok := parseField(got.message, 12)
			if !ok || !bytes.Equal(got.message[f.start:f.end], test.wire) {
				t.Errorf("target is %q, want %q", got.message[f.start:f.end], test.wire)
			}
			f, ok = parseField(got.message, 40)
			if pairs := describe(got.message[f.start:f.end]); !ok || pairs != test.pairs {
				t.Errorf("pairs are %q, want %q", pairs, test.pairs)
			}
			if !bytes.Equal(got.message[48:56], make([]byte, 8)) {
				t.Errorf("Version that was not asked for: %x", got.message[48:56])
			}
			nonce := append(bytes.Clone(serverChallenge), make([]byte, 8)...) // and Reserved
			if int(f.end) != len(got.message) || !bytes.Equal(got.message[24:40], nonce) {
				t.Errorf("message is %x", got.message)
			}
		})
	}
}

// describe writes the server's own pairs down.
func describe(list []byte) string {
	var words []string
	for len(list) >= 4 {
		id, value := list[0], list[4:4+int(list[2])+int(list[3])<<8]
		word := string('0' + rune(id))
		if id != byte(avTimestamp) && id != byte(avEOL) {
			word += "=" + strings.ReplaceAll(string(value), "\x00", "")
		}
		words = append(words, word)
		list = list[4+len(value):]
	}
	return strings.Join(words, " ")
}
