package ntlm

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // the protocol has no other hash ([MS-NLMP] §3.3.2)
	"crypto/rand"
	"crypto/rc4" //nolint:gosec // how the protocol wraps its session key; nothing else is encrypted with it
	"encoding/binary"
	"fmt"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/ntlm/nthash"
)

// Offsets in an NTLMv2_RESPONSE ([MS-NLMP] §2.2.2.8) and in its NTLMv2_CLIENT_CHALLENGE ([MS-NLMP] §2.2.2.7).
const (
	proofOctets   = md5.Size
	tempTime      = 8
	tempPairs     = 28
	ntlmv1Octets  = 24 // of an NTLM_RESPONSE, version 1 ([MS-NLMP] §2.2.2.6)
	tempMinimum   = tempPairs + avHeader
	tempSignature = "\x01\x01" // RespType and HiRespType
)

// response is an NTLMv2_RESPONSE. Its slices are parts of the message.
type response struct {
	proof []byte // NTProofStr
	temp  []byte // what the proof protects, as received
	time  filetime
	pairs avPairs
}

// parseResponse takes an NtChallengeResponse apart.
func parseResponse(octets []byte) (response, error) {
	if len(octets) == ntlmv1Octets {
		return response{}, fmt.Errorf("%w: NTLM version 1", sasl.ErrFailed)
	}
	if len(octets) < proofOctets+tempMinimum {
		return response{}, errResponse
	}
	r := response{proof: octets[:proofOctets], temp: octets[proofOctets:]}
	if string(r.temp[:len(tempSignature)]) != tempSignature {
		return response{}, errResponse
	}
	r.time = filetime(binary.LittleEndian.Uint64(r.temp[tempTime:]))
	var err error
	r.pairs, err = parsePairs(r.temp[tempPairs:])
	return r, err
}

var errResponse = fmt.Errorf("%w NTLM: NtChallengeResponse", sasl.ErrMalformed)

// sessionKey is SessionBaseKey, which is KeyExchangeKey in NTLMv2, or ExportedSessionKey ([MS-NLMP] §3.4.5.1).
type sessionKey [md5.Size]byte

// candidates is how many hashes are tried at least, so that the time of an answer does not tell how many a user has.
const candidates = 16

// padded fills hashes up with random ones.
func padded(hashes []nthash.Hash) []nthash.Hash {
	all := make([]nthash.Hash, max(len(hashes), candidates))
	for i := copy(all, hashes); i < len(all); i++ {
		_, _ = rand.Read(all[i][:]) // never fails (crypto/rand)
	}
	return all
}

// prove gives the index of the hash with which the response to a server challenge was made, and the session's key. It gives
// -1 if there is none. All hashes are tried, also after one has matched, and each with the domain as sent and, for clients
// that leave it out, without ([MS-NLMP] §3.2.5.1.2: "clients which incorrectly use NIL for the UserDom").
func (m *authenticate) prove(nonce [nonceOctets]byte, hashes []nthash.Hash) (matched int, key sessionKey) {
	matched = -1
	for i, hash := range padded(hashes) {
		for _, domain := range [][]byte{m.domain.wide, nil} {
			responseKey := mac(hash[:], m.user.upper, domain) // NTOWFv2 ([MS-NLMP] §3.3.2)
			proof := mac(responseKey[:], nonce[:], m.response.temp)
			if hmac.Equal(proof[:], m.response.proof) && i < len(hashes) && matched < 0 {
				matched, key = i, mac(responseKey[:], m.response.proof)
			}
		}
	}
	return matched, key
}

// exportedKey gives the key of the MIC ([MS-NLMP] §3.2.5.1.2).
func (m *authenticate) exportedKey(key sessionKey) sessionKey {
	if !m.flags.exchangesKey() {
		return key
	}
	var exported sessionKey
	cipher, _ := rc4.NewCipher(key[:]) //nolint:gosec // see above; does not fail with a key of 16 octets
	cipher.XORKeyStream(exported[:], m.encryptedKey)
	return exported
}

// checkMIC compares the MIC with that of all three messages, of which the last has zeros in its place ([MS-NLMP] §3.2.5.1.2).
func (m *authenticate) checkMIC(key sessionKey, negotiate, challenge []byte) bool {
	var zeros [micEnd - offsetMIC]byte
	want := mac(key[:], negotiate, challenge, m.message[:offsetMIC], zeros[:], m.message[micEnd:])
	return hmac.Equal(want[:], m.message[offsetMIC:micEnd])
}

// mac is HMAC_MD5 over parts, one behind the other.
func mac(key []byte, parts ...[]byte) [md5.Size]byte {
	h := hmac.New(md5.New, key)
	for _, part := range parts {
		h.Write(part)
	}
	return [md5.Size]byte(h.Sum(nil))
}
