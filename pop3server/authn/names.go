package authn

import "strings"

// Name is what a client gives as its user name.
type Name struct {
	User   string // a name in the domain, or an address
	Domain string // empty where there is none
	// Mailbox is whose mailbox is to be opened: a name in the user's domain, or an address. Empty is the user's own.
	Mailbox string
}

// ParseName takes a user name apart ([MS-OXIMAP4] §2.2.2, whose forms Exchange takes over POP3 too, and those with a backslash
// of older versions). "/" and "\" part it; no address has either:
//
//	user   user@domain   domain\user            the user's own mailbox
//	user@domain/mailbox   domain\user/mailbox   another one, which the user may open
//
// It fails on a name with more parts, and on one with an empty part.
func ParseName(text string) (Name, bool) {
	parts := strings.FieldsFunc(text, isSeparator)
	if len(parts) != strings.Count(text, "/")+strings.Count(text, `\`)+1 {
		return Name{}, false
	}
	switch {
	case len(parts) == 1:
		return Name{User: parts[0]}, true
	case len(parts) == 2 && strings.Contains(parts[0], "@"):
		return Name{User: parts[0], Mailbox: parts[1]}, true
	case len(parts) == 2:
		return Name{User: parts[1], Domain: parts[0]}, true
	case len(parts) == 3 && !strings.Contains(parts[0], "@"):
		return Name{User: parts[1], Domain: parts[0], Mailbox: parts[2]}, true
	}
	return Name{}, false
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }

// Domain is one of the mail domains in which users may be named without it.
type Domain struct {
	// Name is what stands behind the "@" of its addresses.
	Name string
	// NetBIOSName is the name by which Windows knows it, as in EXAMPLE\alice; it may be empty.
	NetBIOSName string
	// Realm is its Kerberos realm, whose principals are its users; it may be empty.
	Realm string
}

// Domains are the mail domains; the first one is that of users who name none.
type Domains []Domain

// address gives the address of a user who may have named a domain: a mail domain, a NetBIOS name or a realm. A domain
// of several labels that is none of these is taken for a mail domain.
func (d Domains) address(user, domain string) (string, bool) {
	switch {
	case strings.Contains(user, "@"):
		return user, true
	case domain == "" && len(d) > 0:
		return user + "@" + d[0].Name, true
	}
	for i := range d {
		if d[i].isNamed(domain) {
			return user + "@" + d[i].Name, true
		}
	}
	return user + "@" + domain, strings.Contains(domain, ".")
}

func (d *Domain) isNamed(name string) bool {
	return name != "" &&
		(strings.EqualFold(name, d.Name) || strings.EqualFold(name, d.NetBIOSName) || strings.EqualFold(name, d.Realm))
}

// ofRealm gives the mail domain whose users a realm's principals are. RFC 4120 §6.1: realms are told apart by case.
func (d Domains) ofRealm(realm string) (string, bool) {
	for i := range d {
		if realm != "" && d[i].Realm == realm {
			return d[i].Name, true
		}
	}
	return "", false
}
