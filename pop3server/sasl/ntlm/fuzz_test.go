package ntlm

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/sasl/binding"
	"github.com/popservice/popservice/pop3server/sasl/ntlm/nthash"
)

// FuzzNTLM plays two messages to a server that knows one password, and to a strict one. With sign, the proof is made right if
// the message has a place for it. Nobody gets in whose proof is not right, and into the strict one nobody without a binding.
func FuzzNTLM(f *testing.F) {
	_, _, exampleNegotiate, example := newExample()
	signedNegotiate, _, signed := keyExchange()
	oem := change(func(c *client) { c.flags, c.noVersion = curlFlags, true })
	for _, sign := range []bool{false, true} {
		f.Add(exampleNegotiate, example, sign)
		f.Add(unbase64(micNegotiate), unbase64(micAuthenticate), sign)
		f.Add(signedNegotiate, signed, sign)
		for _, c := range []client{alice(), oem, alice().withMIC(), alice().with(avChannelBindings, vectorBinding[:])} {
			options, _ := server()
			challenge, _, _ := New(options).Next(c.negotiate())
			f.Add(c.negotiate(), c.authenticate(c.negotiate(), challenge), sign)
		}
	}
	f.Fuzz(func(t *testing.T, negotiate, authenticate []byte, sign bool) {
		inUnicode := len(negotiate) > 12 && negotiate[12]&1 != 0
		if sign {
			resign(authenticate, inUnicode)
		}
		asSent := bytes.Clone(authenticate)
		lax := fuzzOnce(t, false, negotiate, authenticate)
		strict := fuzzOnce(t, true, negotiate, authenticate)
		if !bytes.Equal(authenticate, asSent) {
			t.Error("message was changed")
		}
		if lax && !slices.ContainsFunc(proofs(authenticate, inUnicode), func(proof []byte) bool {
			return bytes.Equal(proof, fieldOf(authenticate, atNT)[:16])
		}) {
			t.Error("logged in without a proof")
		}
		if strict && (!lax || !bytes.Contains(fieldOf(authenticate, atNT), vectorBinding[:])) {
			t.Error("logged in without a binding")
		}
	})
}

// fuzzOnce tells whether the two messages log in.
func fuzzOnce(t *testing.T, strict bool, negotiate, authenticate []byte) bool {
	options, logins := server("Password")
	if strict {
		options.Policy, options.Binding, options.RequireMIC = binding.Require, vectorBinding, true
	} else if claimed := fieldOf(authenticate, atNT); len(claimed) >= 32 { // the clock that the client would like
		time100ns := binary.LittleEndian.Uint64(claimed[24:]) % (1 << 60)
		options.Now = func() time.Time { return time.Unix(int64(time100ns/1e7)-11644473600, 0) }
	}
	m := New(options)
	challenge, done, err := m.Next(negotiate)
	if err != nil {
		refused(t, m, challenge, done, err)
		return false
	}
	if done || len(challenge) < 56 || len(challenge) > 1024 {
		t.Errorf("challenge has %d octets", len(challenge))
	}
	rest, done, err := m.Next(authenticate)
	if err != nil {
		refused(t, m, rest, done, err)
	}
	if done != (err == nil) || done != (len(*logins) == 1) || done && (*logins)[0].user == "" {
		t.Errorf("done %v, error %v, logins %v", done, err, *logins)
	}
	return done
}

// fieldOf gives a field's value, and nil where it is outside of the message.
func fieldOf(m []byte, at int) []byte {
	if len(m) < 64 {
		return nil
	}
	start, length := uint64(binary.LittleEndian.Uint32(m[at+4:])), uint64(binary.LittleEndian.Uint16(m[at:]))
	if start+length > uint64(len(m)) {
		return nil
	}
	return m[start : start+length]
}

// proofs gives the two proofs, with the domain and without, that a message may have.
func proofs(m []byte, inUnicode bool) [][]byte {
	user, domain, response := fieldOf(m, atUser), fieldOf(m, atDomain), fieldOf(m, atNT)
	if len(response) < 16 {
		return nil
	}
	to := upcase
	if !inUnicode {
		user, domain, to = widen(user), widen(domain), upcaseASCII
	}
	var upper []byte
	for i := 0; i+1 < len(user); i += 2 {
		upper = binary.LittleEndian.AppendUint16(upper, to(binary.LittleEndian.Uint16(user[i:])))
	}
	hash := nthash.Of("Password")
	signed := append(bytes.Clone(serverChallenge), response[16:]...)
	with, without := hmacMD5(hash[:], append(bytes.Clone(upper), domain...)), hmacMD5(hash[:], upper)
	return [][]byte{hmacMD5(with, signed), hmacMD5(without, signed)}
}

func widen(octets []byte) []byte {
	var units []byte
	for _, octet := range octets {
		units = append(units, octet, 0)
	}
	return units
}

// resign makes the proof of a message right.
func resign(m []byte, inUnicode bool) {
	if all := proofs(m, inUnicode); all != nil {
		copy(fieldOf(m, atNT), all[0])
	}
}
