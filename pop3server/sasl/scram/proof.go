package scram

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
)

// nonceOctets is the randomness in the server's part of the nonce: 24 characters of base64, among which is no comma.
const nonceOctets = 18

func randomNonce() string {
	var random [nonceOctets]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return base64.StdEncoding.EncodeToString(random[:])
}

// serverFirst makes a server-first-message (RFC 5802 §7).
func serverFirst(nonce string, c Credentials) string {
	return fmt.Sprintf("r=%s,s=%s,i=%d", nonce, base64.StdEncoding.EncodeToString(c.Salt), c.Iterations)
}

// serverFinal makes a server-final-message with ServerSignature (RFC 5802 §3).
func serverFinal(serverKey [sha256.Size]byte, authMessage string) []byte {
	return base64.StdEncoding.AppendEncode([]byte("v="), mac(serverKey[:], authMessage))
}

// proves tells whether ClientProof is of the key whose hash StoredKey is (RFC 5802 §3): ClientProof is
// ClientKey XOR HMAC(StoredKey, AuthMessage). It must have as many octets as the hash.
func proves(proof []byte, storedKey [sha256.Size]byte, authMessage string) bool {
	clientKey := mac(storedKey[:], authMessage) // ClientSignature, as yet
	subtle.XORBytes(clientKey, clientKey, proof)
	hash := sha256.Sum256(clientKey)
	return hmac.Equal(hash[:], storedKey[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
