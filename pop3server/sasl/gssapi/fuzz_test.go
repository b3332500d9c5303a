package gssapi

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jcmturner/gokrb5/v8/iana/keyusage"

	"github.com/popservice/popservice/pop3server/sasl"
)

// FuzzGSSAPI plays a client's first and last token. Whatever they are: who is logged in is alice, whose key is the only one
// there is; every failure is of one of two kinds; and after one there is nothing more.
func FuzzGSSAPI(f *testing.F) {
	choice := []byte("\x01\x00\x00\x00bob")
	for _, etype := range etypes {
		i := newInitiator(f, etype).subkey()
		f.Add(i.token(), i.wrap(choice, wrapping{}), false)
		f.Add(i.token(), i.wrap(choice, wrapping{sealed: true, filler: 3, rotate: 28}), false)
		f.Add(negTokenInit(oidKerberos, i.token()), []byte{}, true)
		f.Add(negTokenInit(oidMicrosoft, i.mutual().token()), []byte{}, true)
		f.Add(i.token(), i.wrap(choice, wrapping{}), true)
	}
	f.Fuzz(func(t *testing.T, first, last []byte, negotiate bool) {
		e := newExchange(t)
		e.SPNEGO = negotiate
		e.Authorize = func(client Principal, authzid string) error {
			if client != (Principal{"alice", realm}) || len(authzid) > maxAuthzid || !utf8.ValidString(authzid) ||
				strings.Contains(authzid, "\x00") {
				t.Errorf("authorized %v for %q", client, authzid)
			}
			e.authorized = append(e.authorized, authzid)
			return nil
		}
		m := New(e.Options)
		for _, message := range [][]byte{nil, first, last, {}} {
			sent := slices.Clone(message)
			challenge, done, err := m.Next(message)
			if !slices.Equal(message, sent) {
				t.Fatal("the message was changed")
			}
			switch {
			case err != nil:
				checkEnd(t, m, challenge, done, err)
				return
			case done != (len(e.authorized) == 1) || done != (challenge == nil):
				t.Fatalf("Next = %x, %v; authorized %q", challenge, done, e.authorized)
			case done:
				if _, done, err := m.Next(last); done || err == nil {
					t.Fatal("the exchange goes on after its end")
				}
				return
			}
		}
	})
}

// FuzzDecode plays what is decoded behind the encryption, by which FuzzGSSAPI cannot get.
func FuzzDecode(f *testing.F) {
	i := newInitiator(f, 18).subkey()
	i.auth.AuthorizationData = bindingAwareData(i, 0x4000)
	file, keys := files()
	request, err := parseAPReq(i.request())
	if err != nil {
		f.Fatal(err)
	}
	serviceKey, _ := keys.find(request.service, realm, 18, newKvno)
	f.Add(i.request())
	f.Add(i.must(serviceKey.open(request.ticket, keyusage.KDC_REP_TICKET)))
	f.Add(i.must(key{18, i.part.Key.KeyValue}.open(request.authenticator, keyusage.AP_REQ_AUTHENTICATOR)))
	f.Add(i.must(file.Marshal()))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err1 := parseAPReq(data)
		p, err2 := parseTicketPart(data)
		a, err3 := parseAuthenticator(data)
		for _, err := range []error{err1, err2, err3} {
			if err != nil && !errors.Is(err, sasl.ErrMalformed) {
				t.Errorf("the error is %v", err)
			}
		}
		if (r == nil) != (err1 != nil) || (p == nil) != (err2 != nil) || (a == nil) != (err3 != nil) {
			t.Error("a result and an error, or neither")
		}
		if r != nil && len(r.service) > maxComponents {
			t.Errorf("the service has %d components", len(r.service))
		}
		if a != nil {
			if sum, err := parseChecksum(a); err == nil && (len(a.checksum) < 24 || a.checksumType != checksumType) {
				t.Errorf("%+v is a checksum", sum)
			}
		}
		if k, err := LoadKeytab(data); (k == nil) != (err != nil) || (k != nil && len(k.Principals()) == 0) {
			t.Errorf("LoadKeytab = %v, %v", k, err)
		}
	})
}
