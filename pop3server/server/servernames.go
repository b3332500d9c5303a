package server

import (
	"crypto/tls"
	"strings"
)

// serverNames tells which certificate serves a client, by the name that the client asks for (RFC 6066 §3, SNI). The names that
// the configuration gives a certificate come before those that stand in certificates without such; among equals, the
// certificate that comes first in the configuration has the name.
type serverNames struct {
	configured nameTable
	implied    nameTable
	first      *tls.Certificate // serves all other clients; nil where there is none
}

// nameTable finds a certificate by host name. A key that begins with "*." stands for one label in place of the asterisk.
type nameTable map[string]*tls.Certificate

func newServerNames(all []certificate) *serverNames {
	n := &serverNames{configured: nameTable{}, implied: nameTable{}}
	for _, c := range all {
		switch {
		case c.pair == nil:
			continue
		case len(c.ServerNames) > 0:
			n.configured.add(c.ServerNames, c.pair)
		default:
			n.implied.add(c.pair.Leaf.DNSNames, c.pair)
		}
		if n.first == nil {
			n.first = c.pair
		}
	}
	return n
}

// choose implements tls.Config.GetCertificate.
func (n *serverNames) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	if pair := n.configured.find(name); pair != nil {
		return pair, nil
	}
	if pair := n.implied.find(name); pair != nil {
		return pair, nil
	}
	return n.first, nil
}

func (t nameTable) add(names []string, pair *tls.Certificate) {
	for _, name := range names {
		name = strings.ToLower(name)
		if t[name] == nil {
			t[name] = pair
		}
	}
}

// find gives nil where no name matches.
func (t nameTable) find(name string) *tls.Certificate {
	if pair := t[name]; pair != nil {
		return pair
	}
	_, parent, _ := strings.Cut(name, ".")
	return t["*."+parent]
}
