package external

import (
	"crypto/x509"
	"slices"
	"strings"
)

// maxIdentities bounds the names that are looked at, and with them the work for one login.
const maxIdentities = 16

// IdentitiesOf gives the mail addresses that a certificate was issued to: the rfc822Name entries of its subject alternative
// names (RFC 5280 §4.2.1.6), in their order, each once, at most 16. The domain is in lower case, for its case does not
// matter; that of the local part may. The subject's common name and its emailAddress are never looked at: authorities that
// check alternative names let these through (RFC 9525 §2). Of nil there are none.
func IdentitiesOf(cert *x509.Certificate) []string {
	if cert == nil {
		return nil
	}
	var identities []string
	for _, address := range cert.EmailAddresses {
		identity, ok := normalize(address)
		if ok && !slices.Contains(identities, identity) {
			identities = append(identities, identity)
		}
		if len(identities) == maxIdentities {
			break
		}
	}
	return identities
}

// normalize puts the domain into lower case. An address is printable ASCII with a local part and a domain.
func normalize(address string) (string, bool) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 || len(address) > maxOctets || strings.ContainsFunc(address, isNotPrintable) {
		return "", false
	}
	return address[:at] + strings.ToLower(address[at:]), true
}

func isNotPrintable(r rune) bool { return r <= ' ' || r > '~' }
