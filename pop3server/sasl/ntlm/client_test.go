package ntlm

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
	"github.com/popservice/popservice/pop3server/sasl/ntlm/nthash"
)

// Flags that clients send in NEGOTIATE.
const (
	windowsFlags flags = 0xa2088207
	signingFlags flags = 0xe2088217 // with KEY_EXCH and SIGN
	curlFlags    flags = 0x00088206 // OEM alone
)

// serverTime is the time of the vectors with a timestamp.
var serverTime = time.Date(2003, 6, 17, 10, 0, 0, 0, time.UTC)

var testTarget = Target{
	NetBIOSComputer: "POP1", NetBIOSDomain: "EXAMPLE", DNSComputer: "pop1.example.com", DNSDomain: "example.com",
}

var (
	serverChallenge = []byte("\x01\x23\x45\x67\x89\xab\xcd\xef")
	clientChallenge = []byte("\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa")
	clientKey       = bytes.Repeat([]byte{0x55}, 16)
	testBinding     = binding.Digest(bytes.Repeat([]byte{0x42}, 16))
	otherBinding    = binding.Digest(bytes.Repeat([]byte{0x43}, 16))
)

// login is what Authorize was asked.
type login struct {
	user, domain string
	matched      int
}

// server gives options with which everybody's passwords are these, and where what Authorize is asked goes to.
func server(passwords ...string) (Options, *[]login) {
	var logins []login
	hashes := make([]nthash.Hash, 0, len(passwords))
	for _, password := range passwords {
		hashes = append(hashes, nthash.Of(password))
	}
	return Options{
		Target: testTarget,
		Policy: binding.None,
		Hashes: func(string, string) []nthash.Hash { return hashes },
		Authorize: func(user, domain string, matched int) error {
			logins = append(logins, login{user, domain, matched})
			return nil
		},
		Now:  func() time.Time { return serverTime },
		Rand: bytes.NewReader(bytes.Repeat(serverChallenge, 2)),
	}, &logins
}

// client is a client of NTLM that does as it is told.
type client struct {
	user, domain, password string
	flags                  flags
	hashedDomain           *string // instead of domain, for NTOWFv2
	clock                  time.Time
	pairs                  []byte // appended to the target's
	noVersion              bool   // payload at 64
	mic                    bool   // sends one
	noTrailer, noEnd       bool   // the list of pairs is not padded, or does not end
	upper                  func(string) string
	proof                  func([]byte) // spoils the proof
	authFlags              func(flags) flags
}

// alice is a client as Windows is one, without a MIC.
func alice() client {
	return client{user: "alice", domain: "EXAMPLE", password: "Password", flags: windowsFlags, clock: serverTime,
		upper: strings.ToUpper}
}

// with adds a pair.
func (c client) with(id avID, value []byte) client {
	c.pairs = appendPair(bytes.Clone(c.pairs), id, value)
	return c
}

// withMIC adds a MIC and says so.
func (c client) withMIC() client {
	c.mic = true
	return c.with(avFlags, []byte{avFlagMIC, 0, 0, 0})
}

func (c client) negotiate() []byte {
	m := append([]byte("NTLMSSP\x00\x01\x00\x00\x00"), binary.LittleEndian.AppendUint32(nil, uint32(c.flags))...)
	return append(m, make([]byte, 16)...)
}

func (c client) text(s string) []byte {
	if c.flags.any(negotiateUnicode) {
		return utf16LE(s)
	}
	return []byte(s)
}

// hashed gives the text that the hash is over. OEM is widened octet by octet, as curl does.
func (c client) hashed(s string) []byte {
	if c.flags.any(negotiateUnicode) {
		return utf16LE(s)
	}
	var units []byte
	for _, octet := range []byte(s) {
		units = append(units, octet, 0)
	}
	return units
}

func utf16LE(s string) []byte {
	var octets []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		octets = append(octets, byte(unit), byte(unit>>8))
	}
	return octets
}

func hmacMD5(key, message []byte) []byte {
	h := hmac.New(md5.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// respond gives an NTLMv2_RESPONSE and the session's key.
func (c client) respond(challenge []byte) (response, key []byte) {
	hash := nthash.Of(c.password)
	domain := c.domain
	if c.hashedDomain != nil {
		domain = *c.hashedDomain
	}
	responseKey := hmacMD5(hash[:], append(c.hashed(c.upper(c.user)), c.hashed(domain)...))
	temp := append([]byte("\x01\x01\x00\x00\x00\x00\x00\x00"),
		binary.LittleEndian.AppendUint64(nil, uint64(fileTime(c.clock)))...)
	temp = append(append(temp, clientChallenge...), 0, 0, 0, 0)
	temp = append(append(temp, targetInfo(challenge)...), c.pairs...)
	if !c.noEnd {
		temp = append(temp, 0, 0, 0, 0)
	}
	if !c.noEnd && !c.noTrailer {
		temp = append(temp, 0, 0, 0, 0)
	}
	proof := hmacMD5(responseKey, append(bytes.Clone(challenge[24:32]), temp...))
	key = hmacMD5(responseKey, proof)
	if c.proof != nil {
		c.proof(proof)
	}
	return append(proof, temp...), key
}

// targetInfo gives a challenge's list of pairs without its end.
func targetInfo(challenge []byte) []byte {
	length, offset := binary.LittleEndian.Uint16(challenge[40:]), binary.LittleEndian.Uint32(challenge[44:])
	return challenge[offset : int(offset)+int(length)-4]
}

// authenticate answers a challenge.
func (c client) authenticate(negotiate, challenge []byte) []byte {
	response, key := c.respond(challenge)
	agreed := flags(binary.LittleEndian.Uint32(challenge[20:]))
	if c.authFlags != nil {
		agreed = c.authFlags(agreed)
	}
	var encryptedKey []byte
	if agreed.any(negotiateKeyExchange) && agreed.any(negotiateSign|negotiateSeal) {
		encryptedKey = make([]byte, 16)
		cipher, _ := rc4.NewCipher(key)
		cipher.XORKeyStream(encryptedKey, clientKey)
		key = clientKey
	}
	payload := 72
	switch {
	case c.mic:
		payload = 88
	case c.noVersion:
		payload = 64
	}
	m := layOut(payload, agreed, make([]byte, 24), response, c.text(c.domain), c.text(c.user), c.text("WS1"), encryptedKey)
	if c.mic {
		copy(m[72:], hmacMD5(key, bytes.Join([][]byte{negotiate, challenge, m}, nil)))
	}
	return m
}

// layOut makes an AUTHENTICATE message of its fields, one behind the other from an offset on.
func layOut(payload int, agreed flags, fields ...[]byte) []byte {
	m := []byte("NTLMSSP\x00\x03\x00\x00\x00")
	offset := payload
	for _, field := range fields {
		m = appendField(m, offset, field)
		offset += len(field)
	}
	m = binary.LittleEndian.AppendUint32(m, uint32(agreed))
	m = append(m, make([]byte, payload-len(m))...)
	return append(m, bytes.Join(fields, nil)...)
}

// exchange lets a client log in.
func exchange(t *testing.T, options Options, c client) error {
	t.Helper()
	return play(t, options, c.negotiate(), c.authenticate)
}

// play lets a client log in that has its own answer to the challenge.
func play(t *testing.T, options Options, negotiate []byte, answer func(negotiate, challenge []byte) []byte) error {
	t.Helper()
	m := New(options)
	challenge, done, err := m.Next(bytes.Clone(negotiate))
	if err != nil {
		refused(t, m, challenge, done, err)
		return err
	}
	if done || len(challenge) == 0 {
		t.Fatalf("Next(NEGOTIATE) = %x, %v", challenge, done)
	}
	rest, done, err := m.Next(answer(negotiate, bytes.Clone(challenge)))
	if err != nil {
		refused(t, m, rest, done, err)
		return err
	}
	if !done || rest != nil {
		t.Fatalf("Next(AUTHENTICATE) = %x, %v; want done", rest, done)
	}
	if _, done, err := m.Next(answer(negotiate, challenge)); done || !errors.Is(err, sasl.ErrFailed) {
		t.Fatalf("Next after the end = %v, %v; want ErrFailed", done, err)
	}
	return nil
}

// refused checks what holds for all refusals.
func refused(t testing.TB, m sasl.Mechanism, challenge []byte, done bool, err error) {
	t.Helper()
	if challenge != nil || done || errors.Is(err, sasl.ErrFailed) == errors.Is(err, sasl.ErrMalformed) {
		t.Errorf("refused with %x, %v, %v; want one of ErrFailed and ErrMalformed alone", challenge, done, err)
	}
	if len(err.Error()) > 200 || strings.Contains(err.Error(), "alice") {
		t.Errorf("error tells too much: %v", err)
	}
	if _, done, err := m.Next(alice().negotiate()); done || !errors.Is(err, sasl.ErrFailed) {
		t.Errorf("Next after an error = %v, %v; want ErrFailed", done, err)
	}
}
