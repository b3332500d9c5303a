package ntlm

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
	"github.com/popservice/popservice/pop3server/sasl/ntlm/nthash"
)

// The example of [MS-NLMP] §4.2.4, with its server challenge, its password and a time of zero.
const (
	exampleChallenge = "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef000000000000000024002400440000000600" +
		"70170000000f53006500720076006500720002000c0044006f006d00610069006e0001000c00530065007200760065007200" +
		"00000000"
	exampleAuthenticate = "4e544c4d5353500003000000180018006c00000054005400840000000c000c00480000000800080054000000100010005c00" +
		"000010001000d8000000358288e20501280a0000000f44006f006d00610069006e00550073006500720043004f004d005000" +
		"550054004500520086c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa68cd0ab851e51c96aabc927bebef6a1c0101" +
		"0000000000000000000000000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e0001000c0053006500" +
		"72007600650072000000000000000000c5dad2544fc9799094ce1ce90bc9d03e"
)

// An exchange with timestamp, MIC, channel binding and SPN, and the same with KEY_EXCH and SIGN, which differs in its flags,
// its MIC and its session key.
const (
	micNegotiate = "TlRMTVNTUAABAAAABYIIogAAAAAAAAAAAAAAAAAAAAAKAGFKAAAADw=="
	micChallenge = "TlRMTVNTUAACAAAADgAOADgAAAAFgomiASNFZ4mrze8AAAAAAAAAAGwAbABGAAAABgBwFwAAAA9FAFgAQQBNAFAATABFAAIADgBF" +
		"AFgAQQBNAFAATABFAAEACABQAE8AUAAxAAQAFgBlAHgAYQBtAHAAbABlAC4AYwBvAG0AAwAgAHAAbwBwADEALgBlAHgAYQBtAHAA" +
		"bABlAC4AYwBvAG0ABwAIAACQ0za3NMMBAAAAAA=="
	micAuthenticate = "TlRMTVNTUAADAAAAGAAYAHgAAADkAOQAkAAAAA4ADgBYAAAACgAKAGYAAAAIAAgAcAAAAAAAAAB0AQAABYKJogoAYUoAAAAPkGyS" +
		"M5RM1NLBCiuBa3D1jUUAWABBAE0AUABMAEUAYQBsAGkAYwBlAFcASwBTADEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA9zTVgodW" +
		"AOHvlHr2KXPW+AEBAAAAAAAAAJDTNrc0wwGqqqqqqqqqqgAAAAACAA4ARQBYAEEATQBQAEwARQABAAgAUABPAFAAMQAEABYAZQB4" +
		"AGEAbQBwAGwAZQAuAGMAbwBtAAMAIABwAG8AcAAxAC4AZQB4AGEAbQBwAGwAZQAuAGMAbwBtAAcACAAAkNM2tzTDAQYABAACAAAA" +
		"CgAQABh7jtFiVwUGNb+bvZnrXikJACgAcABvAHAALwBwAG8AcAAxAC4AZQB4AGEAbQBwAGwAZQAuAGMAbwBtAAAAAAAAAAAA"
)

// vectorBinding is the binding of a certificate with the hash 11…11.
var vectorBinding = binding.OfEndPoint(bytes.Repeat([]byte{0x11}, 32))

func unhex(text string) []byte {
	octets, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return octets
}

func unbase64(text string) []byte {
	octets, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return octets
}

// keyExchange turns the messages of the exchange with a MIC into those with KEY_EXCH and SIGN.
func keyExchange() (negotiate, challenge, authenticate []byte) {
	negotiate, challenge, authenticate = unbase64(micNegotiate), unbase64(micChallenge), unbase64(micAuthenticate)
	copy(negotiate[12:], unhex("158208e2"))
	copy(challenge[20:], unhex("158289e2"))
	copy(authenticate[60:], unhex("158289e2"))
	authenticate[52], authenticate[54] = 16, 16
	copy(authenticate[72:], unhex("fdecca5961c2c41f3ac4b49203a420f1"))
	return negotiate, challenge, append(authenticate, unhex("5f61cae0ef5709fc3060673766a08bf4")...)
}

// newExample gives the server of the example, its NEGOTIATE, which the specification has not, and its AUTHENTICATE.
func newExample() (options Options, logins *[]login, negotiate, authenticate []byte) {
	options, logins = server("Password")
	options.Now = func() time.Time { return time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC) }
	negotiate = client{flags: 0xe2088233}.negotiate()
	return options, logins, negotiate, unhex(exampleAuthenticate)
}

func TestExample(t *testing.T) {
	options, logins, negotiate, authenticate := newExample()
	err := play(t, options, negotiate, func([]byte, []byte) []byte { return bytes.Clone(authenticate) })
	if err != nil || len(*logins) != 1 || (*logins)[0] != (login{"User", "Domain", 0}) {
		t.Errorf("error %v, logins %v", err, *logins)
	}
}

// The challenge of the example has a target of another type, no timestamp, and flags that the server does not set.
func TestExampleChallenge(t *testing.T) {
	list := appendPair(nil, avNbDomainName, encode("Domain"))
	list = appendPair(appendPair(list, avNbComputerName, encode("Server")), avEOL, nil)
	got := encodeChallenge(0xe28a8233, [8]byte(serverChallenge), encode("Server"), list)
	if want := unhex(exampleChallenge); !bytes.Equal(got, want) {
		t.Errorf("challenge is\n%x, want\n%x", got, want)
	}
}

func TestExampleKeys(t *testing.T) {
	m, err := parseAuthenticate(unhex(exampleAuthenticate), 0xe28a8233)
	if err != nil {
		t.Fatal(err)
	}
	hash := nthash.Of("Password")
	if got := mac(hash[:], m.user.upper, m.domain.wide); !bytes.Equal(got[:], unhex("0c868a403bfd7a93a3001ef22ef02e3f")) {
		t.Errorf("NTOWFv2 is %x", got)
	}
	if want := unhex("68cd0ab851e51c96aabc927bebef6a1c"); !bytes.Equal(m.response.proof, want) {
		t.Errorf("NTProofStr is %x", m.response.proof)
	}
	matched, key := m.prove([8]byte(serverChallenge), []nthash.Hash{hash})
	if matched != 0 || !bytes.Equal(key[:], unhex("8de40ccadbc14a82f15cb0ad0de95ca3")) {
		t.Errorf("prove = %d, %x", matched, key)
	}
	if exported := m.exportedKey(key); !bytes.Equal(exported[:], clientKey) {
		t.Errorf("ExportedSessionKey is %x", exported)
	}
}

func TestExchangesWithMIC(t *testing.T) {
	signedNegotiate, signedChallenge, signedAuthenticate := keyExchange()
	for _, test := range []struct {
		name                               string
		negotiate, challenge, authenticate []byte
	}{
		{"no KEY_EXCH", unbase64(micNegotiate), unbase64(micChallenge), unbase64(micAuthenticate)},
		{"KEY_EXCH and SIGN", signedNegotiate, signedChallenge, signedAuthenticate},
	} {
		t.Run(test.name, func(t *testing.T) {
			options, logins := server("Password")
			options.Policy, options.Binding, options.RequireMIC = binding.Require, vectorBinding, true
			err := play(t, options, test.negotiate, func(_, challenge []byte) []byte {
				if !bytes.Equal(challenge, test.challenge) {
					t.Errorf("challenge is\n%x, want\n%x", challenge, test.challenge)
				}
				return bytes.Clone(test.authenticate)
			})
			if err != nil || len(*logins) != 1 || (*logins)[0] != (login{"alice", "EXAMPLE", 0}) {
				t.Errorf("error %v, logins %v", err, *logins)
			}
		})
	}
}

// [MS-POP3] §4.2 has a client of NTLM version 1; its NEGOTIATE is as good as any.
func TestNegotiateOfWindows2003(t *testing.T) {
	options, _ := server("Password")
	negotiate := unbase64("TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAFASgKAAAADw==")
	if err := play(t, options, negotiate, alice().withMIC().authenticate); err != nil {
		t.Error(err)
	}
}

// Whatever bit of the three messages somebody changes on the way, the login fails.
func TestEveryBitIsProtected(t *testing.T) {
	negotiate, challenge, authenticate := keyExchange()
	try := func(negotiate, authenticate []byte) error {
		options, _ := server("Password")
		m := New(options)
		if _, _, err := m.Next(negotiate); err != nil {
			return err
		}
		_, _, err := m.Next(authenticate)
		return err
	}
	if err := try(negotiate, authenticate); err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(negotiate) {
		if try(flip(negotiate, i), authenticate) == nil {
			t.Errorf("bit %d of NEGOTIATE may be changed", i)
		}
	}
	for i := range 8 * len(authenticate) {
		if try(negotiate, flip(authenticate, i)) == nil {
			t.Errorf("bit %d of AUTHENTICATE may be changed", i)
		}
	}
	for i := range 8 * len(challenge) { // the client has seen another one
		signed := bytes.Clone(authenticate)
		clear(signed[72:88])
		copy(signed[72:], hmacMD5(clientKey, bytes.Join([][]byte{negotiate, flip(challenge, i), signed}, nil)))
		if try(negotiate, signed) == nil {
			t.Errorf("bit %d of CHALLENGE may be changed", i)
		}
	}
}

func flip(message []byte, bit int) []byte {
	changed := bytes.Clone(message)
	changed[bit/8] ^= 1 << (bit % 8)
	return changed
}

func TestTruncated(t *testing.T) {
	options, logins, negotiate, authenticate := newExample()
	for n := range authenticate {
		options.Rand = bytes.NewReader(serverChallenge)
		err := play(t, options, negotiate, func([]byte, []byte) []byte { return authenticate[:n] })
		if !errors.Is(err, sasl.ErrMalformed) {
			t.Errorf("AUTHENTICATE of %d octets: %v", n, err)
		}
	}
	for n := range 16 { // what follows the flags may be absent
		if err := play(t, options, negotiate[:n], nil); !errors.Is(err, sasl.ErrMalformed) {
			t.Errorf("NEGOTIATE of %d octets: %v", n, err)
		}
	}
	if len(*logins) != 0 {
		t.Errorf("logins %v", *logins)
	}
}
