package pki

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
)

func TestLeavesVerify(t *testing.T) {
	authority, err := NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority.Certificate) {
		t.Fatal("the authority's certificate cannot be read")
	}
	for name, c := range map[string]struct {
		hosts []string
		host  string
		usage x509.ExtKeyUsage
		ok    bool
	}{
		"server by address":       {[]string{"127.0.0.1", "api"}, "127.0.0.1", x509.ExtKeyUsageServerAuth, true},
		"server by name":          {[]string{"127.0.0.1", "api"}, "api", x509.ExtKeyUsageServerAuth, true},
		"server under other name": {[]string{"127.0.0.1"}, "kubernetes", x509.ExtKeyUsageServerAuth, false},
		"client":                  {nil, "", x509.ExtKeyUsageClientAuth, true},
		"client as server":        {nil, "", x509.ExtKeyUsageServerAuth, false},
	} {
		t.Run(name, func(t *testing.T) {
			leaf := issue(t, authority, Leaf{CommonName: "cn", Organization: "group", Hosts: c.hosts})
			_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: c.host,
				KeyUsages: []x509.ExtKeyUsage{c.usage}})
			if (err == nil) != c.ok {
				t.Errorf("Verify: %v, want success %v", err, c.ok)
			}
			if leaf.Subject.Organization[0] != "group" || leaf.Subject.CommonName != "cn" {
				t.Errorf("subject %s", leaf.Subject)
			}
		})
	}
}

func issue(t *testing.T, authority *Authority, leaf Leaf) *x509.Certificate {
	t.Helper()
	pair, err := authority.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Leaf
}
