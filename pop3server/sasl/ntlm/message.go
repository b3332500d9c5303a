package ntlm

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/popservice/popservice/pop3server/sasl"
)

// Every message begins with its signature and type, followed, in NEGOTIATE, by the flags ([MS-NLMP] §2.2.1).
const (
	signature         = "NTLMSSP\x00"
	typeNegotiate     = 1
	typeChallenge     = 2
	typeAuthenticate  = 3
	offsetType        = 8
	offsetFlags       = 12 // of NEGOTIATE
	negotiateMinimum  = 16 // octets; what follows may be absent in messages of old clients
	messageMaximum    = 16 << 10
	fieldOctets       = 8
	offsetFields      = 12 // of AUTHENTICATE
	offsetAuthFlags   = 60
	authenticateFixed = 64 // octets; Version and MIC, which follow, may be absent
	offsetMIC         = 72
	micEnd            = 88
)

// The fields of AUTHENTICATE in the order of its fixed part ([MS-NLMP] §2.2.1.3).
const (
	fieldLMResponse = iota
	fieldNTResponse
	fieldDomain
	fieldUser
	fieldWorkstation
	fieldSessionKey
	fieldCount
)

var (
	errMessage = fmt.Errorf("%w NTLM: message of another type or length", sasl.ErrMalformed)
	errFields  = fmt.Errorf("%w NTLM: fields overlap or are outside of the message", sasl.ErrMalformed)
	errCharset = fmt.Errorf("%w NTLM: client offers neither Unicode nor OEM", sasl.ErrMalformed)
	errKey     = fmt.Errorf("%w NTLM: session key has another length", sasl.ErrMalformed)
	errNoMIC   = fmt.Errorf("%w NTLM: message has no room for the MIC that it announces", sasl.ErrMalformed)
)

// checkHeader checks what the fixed parts of all messages have in common.
func checkHeader(message []byte, kind uint32, minimum int) error {
	if len(message) < minimum || len(message) > messageMaximum || string(message[:len(signature)]) != signature ||
		binary.LittleEndian.Uint32(message[offsetType:]) != kind {
		return errMessage
	}
	return nil
}

// parseNegotiate gives the flags of a NEGOTIATE_MESSAGE ([MS-NLMP] §2.2.1.1). The names of the client's domain and computer,
// which it may have, are of no interest.
func parseNegotiate(message []byte) (flags, error) {
	if err := checkHeader(message, typeNegotiate, negotiateMinimum); err != nil {
		return 0, err
	}
	requested := flags(binary.LittleEndian.Uint32(message[offsetFlags:]))
	if !requested.any(negotiateUnicode | negotiateOEM) {
		return 0, errCharset
	}
	return requested, nil
}

// authenticate is an AUTHENTICATE_MESSAGE ([MS-NLMP] §2.2.1.3). Its slices are parts of the message.
type authenticate struct {
	message      []byte
	flags        flags // that both sides have set
	user, domain name
	response     response
	// encryptedKey is the client's session key where exchangesKey says that there is one.
	encryptedKey []byte
}

// parseAuthenticate takes a message apart that answers a challenge with these flags.
func parseAuthenticate(message []byte, offered flags) (*authenticate, error) {
	if err := checkHeader(message, typeAuthenticate, authenticateFixed); err != nil {
		return nil, err
	}
	values, payload, err := parseFields(message)
	if err != nil {
		return nil, err
	}
	sent := flags(binary.LittleEndian.Uint32(message[offsetAuthFlags:]))
	if err := refuseAnonymous(sent, values); err != nil {
		return nil, err
	}
	m := &authenticate{message: message, flags: sent & offered, encryptedKey: values[fieldSessionKey]}
	if err := m.parseNames(values, offered.any(negotiateUnicode)); err != nil {
		return nil, err
	}
	if m.response, err = parseResponse(values[fieldNTResponse]); err != nil {
		return nil, err
	}
	return m, m.checkLayout(payload)
}

// refuseAnonymous refuses who does not say who they are, and who has no more to show than an answer of LM.
func refuseAnonymous(sent flags, values [fieldCount][]byte) error {
	if sent.any(negotiateAnonymous) || len(values[fieldUser]) == 0 || len(values[fieldNTResponse]) == 0 {
		return fmt.Errorf("%w: anonymous or LM login with NTLM", sasl.ErrFailed)
	}
	return nil
}

func (m *authenticate) parseNames(values [fieldCount][]byte, inUnicode bool) (err error) {
	if m.user, err = parseName(values[fieldUser], inUnicode); err != nil {
		return err
	}
	m.domain, err = parseName(values[fieldDomain], inUnicode)
	return err
}

// checkLayout checks that what the message announces is there. The lowest offset of its payload tells whether there is a MIC
// in front of it, for the fixed part has no length of its own.
func (m *authenticate) checkLayout(payload int64) error {
	if m.flags.exchangesKey() && len(m.encryptedKey) != len(sessionKey{}) {
		return errKey
	}
	if m.response.pairs.hasMIC() && payload < micEnd {
		return errNoMIC
	}
	return nil
}

// field is where a value is in a message.
type field struct{ start, end int64 }

// parseFields gives the values of all fields of AUTHENTICATE, and where the first of them begins. Those of no octets may be
// anywhere in the message. The others are behind the fixed part and share no octet.
func parseFields(message []byte) (values [fieldCount][]byte, payload int64, err error) {
	taken := make([]field, 0, fieldCount)
	for i := range values {
		f, ok := parseField(message, offsetFields+i*fieldOctets)
		if !ok {
			return values, 0, errFields
		}
		values[i] = message[f.start:f.end]
		if f.start < f.end {
			taken = append(taken, f)
		}
	}
	payload, ok := disjoint(taken, int64(len(message)))
	if !ok {
		return values, 0, errFields
	}
	return values, payload, nil
}

// parseField reads Len, MaxLen, which a receiver ignores, and BufferOffset.
func parseField(message []byte, at int) (f field, ok bool) {
	f.start = int64(binary.LittleEndian.Uint32(message[at+4:]))
	f.end = f.start + int64(binary.LittleEndian.Uint16(message[at:]))
	return f, f.end <= int64(len(message))
}

// disjoint tells whether fields are apart from each other and from the fixed part, and gives the lowest start, or end.
func disjoint(fields []field, end int64) (lowest int64, ok bool) {
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.start, b.start) })
	free := int64(authenticateFixed)
	for _, f := range fields {
		if f.start < free {
			return 0, false
		}
		free = f.end
	}
	if len(fields) > 0 {
		end = fields[0].start
	}
	return end, true
}

// appendField appends a field with a value of at most 64 KiB at an offset.
func appendField(message []byte, offset int, value []byte) []byte {
	length := uint16(len(value)) //nolint:gosec // our own values are below 4 KiB
	message = binary.LittleEndian.AppendUint16(message, length)
	message = binary.LittleEndian.AppendUint16(message, length)
	return binary.LittleEndian.AppendUint32(message, uint32(offset)) //nolint:gosec // below 4 KiB
}
