// Package nthash makes NT hashes: what a server of NTLM keeps of a password.
package nthash

import (
	"encoding/binary"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //nolint:gosec,staticcheck // weak, but the protocol has no other ([MS-NLMP] §3.3.1)
)

// Hash is the NT hash of a password. It has no salt and is worth as much as the password: who has it can log in with NTLM.
type Hash [md4.Size]byte

// Of gives MD4 over a password in UTF-16LE ([MS-NLMP] §3.3.1 NTOWFv1). The password is UTF-8 and is hashed as it is: neither
// NTLM nor its clients normalize one.
func Of(password string) Hash {
	h := md4.New() //nolint:gosec // see above
	for _, unit := range utf16.Encode([]rune(password)) {
		h.Write(binary.LittleEndian.AppendUint16(nil, unit))
	}
	return Hash(h.Sum(nil))
}
