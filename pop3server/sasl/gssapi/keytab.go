package gssapi

import (
	"errors"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/keytab"
)

// DefaultServices are the services of a POP3 server: "pop" in the registry of GSS-API's service names, "pop3" with Microsoft.
var DefaultServices = []string{"pop", "pop3"}

// Keytab is the keys of the services that this server is. It does not change; for a new keytab, make a new one.
type Keytab struct{ entries []keytabEntry }

type keytabEntry struct {
	service principalName
	realm   string
	kvno    uint32
	key     key
}

var (
	errNoKeytab = errors.New("not a keytab: want a file as ktutil or ktpass writes it")
	errNoKeys   = errors.New("keytab has no key that can be used: want one of a principal service/host@REALM, for one of the" +
		" server's services, and of an AES encryption type (aes128- or aes256-cts)")
)

// LoadKeytab decodes a keytab, and keeps those keys of it that the server can use: those of AES types (17 to 20), of principals
// service/host@REALM of the services, DefaultServices if none are named. It fails if there are none. Errors quote nothing of
// the data.
func LoadKeytab(data []byte, services ...string) (*Keytab, error) {
	file := keytab.New()
	if err := file.Unmarshal(data); err != nil {
		return nil, errNoKeytab // gokrb5's error has the keys in it
	}
	if len(services) == 0 {
		services = DefaultServices
	}
	k := &Keytab{}
	for i := range file.Entries {
		e := &file.Entries[i]
		entry := keytabEntry{e.Principal.Components, e.Principal.Realm, e.KVNO, key{e.Key.KeyType, e.Key.KeyValue}}
		if entry.key.usable() && entry.realm != "" && entry.service.isOneOf(services) {
			k.entries = append(k.entries, entry)
		}
	}
	if len(k.entries) == 0 {
		return nil, errNoKeys
	}
	return k, nil
}

// isOneOf tells whether the name is service/host. In keytabs of Windows services are POP and pop.
func (n principalName) isOneOf(services []string) bool {
	return len(n) == 2 && n[1] != "" &&
		slices.ContainsFunc(services, func(service string) bool { return strings.EqualFold(service, n[0]) })
}

// Principals gives the services' names, each once, sorted: "pop/mail.example.com@EXAMPLE.COM".
func (k *Keytab) Principals() []string {
	var names []string
	for _, e := range k.entries {
		names = append(names, strings.Join(e.service, "/")+"@"+e.realm)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// find gives the key of a service. Where no name is the same, one that differs in case will do, for clients of Windows ask
// their KDC for POP/Mail.Example.com, and it gives them what they ask for. A ticket without version is for the newest key
// (RFC 4120 §5.2.9), the last one if there are several.
func (k *Keytab) find(service principalName, realm string, etype int32, kvno uint32) (key, bool) {
	if k == nil {
		return key{}, false
	}
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		var found *keytabEntry
		for i := range k.entries {
			e := &k.entries[i]
			if e.realm == realm && e.key.etype == etype && (kvno == 0 || kvno == e.kvno) &&
				slices.EqualFunc(e.service, service, same) && (found == nil || found.kvno <= e.kvno) {
				found = e
			}
		}
		if found != nil {
			return found.key, true
		}
	}
	return key{}, false
}
