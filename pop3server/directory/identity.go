package directory

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// MaxAddressOctets is the longest address (RFC 5321 §4.5.3.1.3, without the angle brackets).
const MaxAddressOctets = 254

// mailboxIDLength is how much of the hash is kept: 26 characters are 130 bits.
const mailboxIDLength = 26

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Normalize gives the form in which addresses are compared: lower case, without spaces around it.
// It fails where the text is not local-part@domain in printable characters, or too long.
func Normalize(address string) (string, error) {
	normal := strings.ToLower(strings.TrimSpace(address))
	at := strings.LastIndexByte(normal, '@')
	switch {
	case len(normal) > MaxAddressOctets:
		return "", fmt.Errorf("address has %d octets, at most %d are allowed", len(normal), MaxAddressOctets)
	case at <= 0 || at == len(normal)-1:
		return "", errors.New("address must have the form local-part@domain")
	case strings.ContainsFunc(normal, unfit):
		return "", errors.New("address has a space, a control character or one of <>()[]\\,;:\"/")
	}
	return normal, nil
}

// unfit tells of a character that no address may have here. '/' and '\' part a delegate's name from a mailbox's at login,
// the others would need quoting (RFC 5321 §4.1.2).
func unfit(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`<>()[]\,;:"/`, r)
}

// MailboxID gives the name of the maildrop of an address, which must be normalized: 26 characters of a-z and 2-7. It depends
// on nothing else, so a mailbox that is declared again, or restored from a backup, finds its mail.
func MailboxID(address string) string {
	sum := sha256.Sum256([]byte(address))
	return idEncoding.EncodeToString(sum[:])[:mailboxIDLength]
}

// Bucket gives the number of the bucket, 0 to 63, in which the mailbox with this ID stands.
func Bucket(id string) int {
	sum := sha256.Sum256([]byte(id))
	return int(sum[0]) % Buckets
}

// BucketName gives a bucket's name, "00" to "3f".
func BucketName(bucket int) string { return fmt.Sprintf("%02x", bucket) }

// BucketFile gives the name of a bucket's file, "00.jsonl" to "3f.jsonl".
func BucketFile(bucket int) string { return BucketName(bucket) + ".jsonl" }
