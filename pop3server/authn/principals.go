package authn

import (
	"strings"

	"github.com/popservice/popservice/pop3server/directory"
)

// Kerberos is a login by a ticket of a principal that a realm's KDC vouches for. Components of the name are parted by "/".
// authzid is the mailbox that the client wants; empty is its own. A principal that no mailbox names is the user of that name in
// the mail domain of its realm, unless it has several components, as services have.
func (l *Login) Kerberos(name, realm, authzid string) error {
	address := ""
	if domain, ok := l.server.domains().ofRealm(realm); ok && !strings.ContainsAny(name, "/@") {
		address = name + "@" + domain
	}
	return l.principal(directory.Principal{Kind: directory.Kerberos, Name: name + "@" + realm}, address, authzid)
}

// OAuth is a login by a token of an issuer, in which its user is named. Where no mailbox names that user, it is the one whose
// address the name is, if the issuer vouches for the address's mail domain.
func (l *Login) OAuth(issuer, name string, domains []string, authzid string) error {
	address := ""
	for _, domain := range domains {
		if strings.EqualFold(domainOf(name), domain) {
			address = name
		}
	}
	return l.principal(directory.Principal{Kind: directory.OAuth, Issuer: issuer, Name: name}, address, authzid)
}

// Certificate is a login by a client certificate with this e-mail address.
func (l *Login) Certificate(address, authzid string) error {
	return l.principal(directory.Principal{Kind: directory.Certificate, Name: address}, address, authzid)
}

// principal finds the mailbox that names the principal among its credentials, or else the one that has the address, and opens
// what the client wants.
func (l *Login) principal(p directory.Principal, address, authzid string) error {
	l.name, l.subject = p.Name, nobody(p.Name)
	record, ok := l.server.directory.LookupPrincipal(p)
	if !ok && address != "" && isOneInLowerCase(address) {
		record, ok = l.server.directory.Lookup(address)
	}
	u := user{mailbox: authzid, domain: domainOf(record.Address)}
	if ok {
		l.subject = record.ID
	}
	if ok && isOpen(record) {
		u.Record = record
	}
	if err := l.admitted(); err != nil {
		return err
	}
	return l.open(u, string(p.Kind))
}

// isOneInLowerCase tells whether an address is another one's in lower case only where ASCII makes it so: to its
// authority "K", the sign of the unit kelvin, may be a letter of another user than "k", of which it is the upper case
// to the directory.
func isOneInLowerCase(address string) bool {
	ascii := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, address)
	return ascii == strings.ToLower(address)
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
