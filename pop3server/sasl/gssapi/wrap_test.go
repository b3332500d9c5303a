package gssapi

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/jcmturner/gokrb5/v8/gssapi"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
)

// offered takes an exchange to the client's choice.
func offered(t testing.TB, i *initiator) *mechanism {
	t.Helper()
	m := New(newExchange(t).Options).(*mechanism)
	if _, done, err := m.Next(i.token()); done || err != nil {
		t.Fatalf("Next(token) = %v, %v", done, err)
	}
	return m
}

// Wrap tokens that are not as they should be. Each is made of one that is, which has 4 octets and a checksum of 12.
func TestWrapRefusals(t *testing.T) {
	choice := []byte("\x01\x00\x00\x00")
	for _, test := range []struct {
		name string
		make func(i *initiator) []byte
	}{
		{"sent by the acceptor", func(i *initiator) []byte { i.wrapFlags = 1; return i.wrap(choice, wrapping{}) }},
		{"of the acceptor's key", func(i *initiator) []byte { i.wrapFlags = 4; return i.wrap(choice, wrapping{}) }},
		{"next number", func(i *initiator) []byte { i.sequence++; return i.wrap(choice, wrapping{}) }},
		{"number before", func(i *initiator) []byte { i.sequence--; return i.wrap(choice, wrapping{sealed: true}) }},
		{"number of more than 32 bits", func(i *initiator) []byte { i.sequence += 1 << 32; return i.wrap(choice, wrapping{}) }},
		{"rotated by less than it says", func(i *initiator) []byte {
			token := i.wrap(choice, wrapping{rotate: 12})
			token[7]++
			return token
		}},
		{"MIC token", func(i *initiator) []byte { token := i.wrap(choice, wrapping{}); token[1] = 5; return token }},
		{"wrong filler octet", func(i *initiator) []byte { token := i.wrap(choice, wrapping{}); token[3] = 0; return token }},
		{"checksum shorter", func(i *initiator) []byte { token := i.wrap(choice, wrapping{}); token[5]--; return token }},
		{"no checksum", func(i *initiator) []byte {
			token := i.wrap(choice, wrapping{})[:20]
			token[5] = 0
			return token
		}},
		{"filler past the front", func(i *initiator) []byte {
			token := i.wrap(choice, wrapping{sealed: true})
			token[4] = 0xFF
			return token
		}},
		{"filler past the front, sealed", func(i *initiator) []byte {
			return i.wrap(choice, wrapping{sealed: true, lacks: len(choice) + 1})
		}},
		{"filler that is not the sealed one", func(i *initiator) []byte {
			token := i.wrap(choice, wrapping{sealed: true, filler: 3})
			token[5] = 2
			return token
		}},
		{"unsealed as sealed", func(i *initiator) []byte { token := i.wrap(choice, wrapping{}); token[2] |= 2; return token }},
		{"sealed as unsealed", func(i *initiator) []byte {
			token := i.wrap(choice, wrapping{sealed: true})
			token[2] &^= 2
			token[5] = 12
			return token
		}},
		{"octet after it", func(i *initiator) []byte { return append(i.wrap(choice, wrapping{}), 0) }},
		{"octet after it, sealed", func(i *initiator) []byte { return append(i.wrap(choice, wrapping{sealed: true}), 0) }},
		{"header alone", func(i *initiator) []byte { return i.wrap(choice, wrapping{})[:16] }},
		{"too long", func(i *initiator) []byte { return i.wrap(choice, wrapping{sealed: true, filler: 2000}) }},
		{"other key", func(i *initiator) []byte { i.key.KeyValue = make([]byte, 32); return i.wrap(choice, wrapping{}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := newInitiator(t, 18)
			m := offered(t, i)
			challenge, done, err := m.Next(test.make(i))
			checkEnd(t, m, challenge, done, err)
		})
	}
}

// Every octet of a Wrap token counts: it can neither be cut nor changed.
func TestWrapCutAndChanged(t *testing.T) {
	for _, etype := range etypes {
		i := newInitiator(t, etype)
		for _, w := range []wrapping{{}, {sealed: true, rotate: 28}} {
			token := i.wrap([]byte("\x01\x00\x00\x00bob"), w)
			accepted := func(changed []byte) bool {
				m := offered(t, i)
				_, done, err := m.Next(changed)
				return done || err == nil
			}
			if !accepted(token) {
				t.Fatal("the token is refused")
			}
			for n := range token {
				changed := slices.Clone(token)
				changed[n] ^= 0x80
				if accepted(token[:n]) || accepted(changed) {
					t.Errorf("etype %d, %+v: octet %d does not count", etype, w, n)
				}
			}
		}
	}
}

// Reserved flags are not looked at (RFC 4121 §4.2.2), but they are part of what the checksum is over.
func TestWrapReservedFlags(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		i := newInitiator(t, 18)
		m := offered(t, i)
		i.wrapFlags = 0xF8
		if _, done, err := m.Next(i.wrap([]byte("\x01\x00\x00\x00"), wrapping{sealed: sealed})); !done || err != nil {
			t.Errorf("sealed %v: Next = %v, %v", sealed, done, err)
		}
	}
}

// gokrb5 has Wrap tokens, too.
func TestWrapOfGokrb5(t *testing.T) {
	for _, etype := range etypes {
		i := newInitiator(t, etype)
		i.auth.SeqNumber, i.sequence = 0, 0 // its tokens are the first ones
		m := New(newExchange(t).Options)
		offer, _, err := m.Next(i.token())
		if err != nil {
			t.Fatal(err)
		}
		var got gssapi.WrapToken
		if err := got.Unmarshal(offer, true); err != nil {
			t.Fatal(err)
		}
		if ok, err := got.Verify(i.key, keyusage.GSSAPI_ACCEPTOR_SEAL); !ok || hex.EncodeToString(got.Payload) != "01000000" {
			t.Errorf("etype %d: the offer is %x, %v", etype, got.Payload, err)
		}
		sent, err := gssapi.NewInitiatorWrapToken([]byte{1, 0, 0, 0}, i.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := m.Next(i.must(sent.Marshal())); !done || err != nil {
			t.Errorf("etype %d: Next(choice) = %v, %v", etype, done, err)
		}
	}
}

func TestUnrotate(t *testing.T) {
	for by, want := range map[uint16]string{0: "abcde", 1: "bcdea", 5: "abcde", 7: "cdeab", 65535: "abcde"} {
		if got := unrotate([]byte("abcde"), by); string(got) != want {
			t.Errorf("by %d: %q, want %q", by, got, want)
		}
	}
	if got := unrotate(nil, 3); !bytes.Equal(got, nil) {
		t.Errorf("of nothing: %q", got)
	}
}
