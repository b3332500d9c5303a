package gssapi

import (
	"crypto/rand"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/types"
)

// key is an encryption key (RFC 3961 §3).
type key struct {
	etype int32
	value []byte
}

// algorithm is what is known of an encryption type: the octets of its keys and of its checksums.
type algorithm struct{ key, checksum int }

// algorithms are the encryption types that are accepted. RC4 and DES are not: they are broken (RFC 8429), and have tokens of
// their own. gokrb5 tells the length of type 20's checksum keys for that of its keys.
var algorithms = map[int32]algorithm{
	etypeID.AES128_CTS_HMAC_SHA1_96:    {16, 12}, // RFC 3962 §6
	etypeID.AES256_CTS_HMAC_SHA1_96:    {32, 12},
	etypeID.AES128_CTS_HMAC_SHA256_128: {16, 16}, // RFC 8009 §5
	etypeID.AES256_CTS_HMAC_SHA384_192: {32, 24},
}

// confounder is the octets that every ciphertext has in front, one block of AES.
const confounder = 16

// newKey makes a random key.
func newKey(etype int32) key {
	value := make([]byte, algorithms[etype].key)
	_, _ = rand.Read(value) // does not fail
	return key{etype, value}
}

// usable tells whether the key is one of an accepted type.
func (k key) usable() bool {
	a, ok := algorithms[k.etype]
	return ok && len(k.value) == a.key
}

// checksumOctets is the length of the key's checksums.
func (k key) checksumOctets() int { return algorithms[k.etype].checksum }

// decrypt gives what is in a ciphertext, in memory of its own. It checks the key and the length, which gokrb5 slices by.
func (k key) decrypt(ciphertext []byte, usage uint32) ([]byte, error) {
	if !k.usable() {
		return nil, failed("key is of no accepted encryption type")
	}
	if len(ciphertext) < confounder+k.checksumOctets() {
		return nil, malformed("ciphertext is too short")
	}
	plain, err := crypto.DecryptMessage(ciphertext, k.krb5(), usage)
	if err != nil {
		return nil, failed("ciphertext is not of the key")
	}
	return plain, nil
}

// open decrypts a part of a message.
func (k key) open(data encryptedData, usage uint32) ([]byte, error) {
	if data.etype != k.etype {
		return nil, failed("ciphertext is of another encryption type than the key")
	}
	return k.decrypt(data.cipher, usage)
}

func (k key) encrypt(plain []byte, usage uint32) ([]byte, error) {
	data, err := crypto.GetEncryptedData(plain, k.krb5(), usage, 0)
	if err != nil {
		return nil, failed("cannot encrypt")
	}
	return data.Cipher, nil
}

// checksum is the keyed checksum of the key's type (RFC 3961 §3 get_mic).
func (k key) checksum(data []byte, usage uint32) ([]byte, error) {
	etype, err := crypto.GetEtype(k.etype)
	if err != nil {
		return nil, failed("key is of no accepted encryption type")
	}
	sum, err := etype.GetChecksumHash(k.value, data, usage)
	if err != nil {
		return nil, failed("cannot make a checksum")
	}
	return sum, nil
}

func (k key) krb5() types.EncryptionKey {
	return types.EncryptionKey{KeyType: k.etype, KeyValue: k.value}
}
