package verifier

import (
	"bytes"
	"strings"
)

// cryptAlphabet is that of crypt(3) and of bcrypt, which puts the same characters in another order.
const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// cryptable tells whether crypt(3) would look at all of a password, up to so many octets. It takes a C string, which ends at
// a NUL; bcrypt repeats the password with a NUL at its end, so that "a" and "a NUL a" were the same.
func cryptable(password []byte, most int) bool {
	return len(password) <= most && bytes.IndexByte(password, 0) < 0
}

// inCryptAlphabet tells whether all of the text is in crypt(3)'s base64.
func inCryptAlphabet(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(cryptAlphabet, r) })
}
