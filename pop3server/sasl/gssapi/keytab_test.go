package gssapi

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jcmturner/gokrb5/v8/keytab"
)

// keytabOf makes a file with keys of these principals, with one type and version, the password being the principal.
func keytabOf(t *testing.T, etype int32, kvno uint8, principals ...string) []byte {
	t.Helper()
	file := keytab.New()
	for _, name := range principals {
		if err := file.AddEntry(name, realm, name, now, kvno, etype); err != nil {
			t.Fatal(err)
		}
	}
	data, err := file.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLoadKeytab(t *testing.T) {
	data := keytabOf(t, 18, 1, "pop/b", "POP/a", "pop3/c", "POP3/d", "imap/e", "host/f", "pop", "pop/g/h", "alice")
	for _, test := range []struct {
		services, want []string
	}{
		{nil, []string{"POP/a@EXAMPLE.COM", "POP3/d@EXAMPLE.COM", "pop/b@EXAMPLE.COM", "pop3/c@EXAMPLE.COM"}},
		{[]string{"HOST", "imap"}, []string{"host/f@EXAMPLE.COM", "imap/e@EXAMPLE.COM"}},
	} {
		k, err := LoadKeytab(data, test.services...)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Principals(); !slices.Equal(got, test.want) {
			t.Errorf("services %q: %q, want %q", test.services, got, test.want)
		}
	}
}

func TestKeytabsThatAreNone(t *testing.T) {
	good := keytabOf(t, 18, 1, "pop/mail.example.com")
	badLength := slices.Clone(good)
	badLength[2] = 0x7F
	for name, test := range map[string]struct {
		data     []byte
		services []string
		want     error
	}{
		"nothing":       {nil, nil, errNoKeytab},
		"text":          {[]byte("pop/mail.example.com"), nil, errNoKeytab},
		"wrong version": {[]byte{5, 3, 0, 0, 0, 0}, nil, errNoKeytab},
		"wrong length":  {badLength, nil, errNoKeytab},
		"no entries":    {good[:2], nil, errNoKeytab},
		"RC4 only":      {keytabOf(t, rc4, 1, "pop/mail.example.com"), nil, errNoKeys},
		"others only":   {keytabOf(t, 18, 1, "host/mail.example.com"), nil, errNoKeys},
		"not asked for": {good, []string{"imap"}, errNoKeys},
	} {
		if k, err := LoadKeytab(test.data, test.services...); k != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v; want %v", name, k, err, test.want)
		}
	}
	for n := range good[:len(good)-4] { // the version's last four octets may be left out
		if k, err := LoadKeytab(good[:n]); k != nil || err == nil {
			t.Errorf("%d octets are a keytab", n)
		}
	}
}

// Errors do not have the file's keys in them, nor anything else of it.
func TestKeytabErrorsAreQuiet(t *testing.T) {
	good := keytabOf(t, 18, 1, "pop/mail.example.com")
	secret := good[len(good)-36 : len(good)-4]
	for n := range good {
		if _, err := LoadKeytab(good[:n]); err != nil && (bytes.Contains([]byte(err.Error()), secret[:4]) ||
			strings.Contains(err.Error(), "mail.example.com")) {
			t.Fatalf("the error is %q", err)
		}
	}
}

func TestFind(t *testing.T) {
	k := &Keytab{}
	for _, e := range []struct {
		service, realm string
		kvno           uint32
		etype          int32
		key            string
	}{
		{"pop/a", "R", 1, 18, "old"}, {"pop/a", "R", 3, 18, "newest"}, {"pop/a", "R", 2, 18, "new"},
		{"POP/A", "R", 2, 18, "capitals"}, {"pop/a", "R", 2, 17, "other type"}, {"pop/a", "S", 2, 18, "other realm"},
		{"pop/b", "R", 1, 18, "first"}, {"pop/b", "R", 1, 18, "again"}, {"pop/c", "R", 300, 18, "above 255"},
	} {
		k.entries = append(k.entries, keytabEntry{strings.Split(e.service, "/"), e.realm, e.kvno, key{e.etype, []byte(e.key)}})
	}
	for _, test := range []struct {
		service, realm string
		etype          int32
		kvno           uint32
		want           string
	}{
		{"pop/a", "R", 18, 1, "old"}, {"pop/a", "R", 18, 2, "new"}, {"pop/a", "R", 18, 0, "newest"},
		{"pop/a", "R", 17, 2, "other type"}, {"pop/a", "S", 18, 2, "other realm"}, {"POP/A", "R", 18, 2, "capitals"},
		{"Pop/A", "R", 18, 1, "old"}, {"pop/b", "R", 18, 1, "again"}, {"pop/b", "R", 18, 0, "again"},
		{"pop/c", "R", 18, 300, "above 255"}, {"pop/c", "R", 18, 44, ""}, {"pop/a", "R", 18, 4, ""}, {"pop/a", "r", 18, 1, ""},
		{"pop/a", "R", 20, 1, ""}, {"pop/x", "R", 18, 1, ""}, {"pop", "R", 18, 1, ""},
	} {
		got, ok := k.find(strings.Split(test.service, "/"), test.realm, test.etype, test.kvno)
		if string(got.value) != test.want || ok != (test.want != "") {
			t.Errorf("%s@%s, type %d, version %d: %q, want %q", test.service, test.realm, test.etype, test.kvno, got.value, test.want)
		}
	}
}
