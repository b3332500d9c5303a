package gssapi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/popservice/popservice/pop3server/sasl"
)

// bindingAwareData is KERB_AUTH_DATA_AP_OPTIONS, within AD-IF-RELEVANT.
func bindingAwareData(i *initiator, options uint32) types.AuthorizationData {
	i.t.Helper()
	inner := types.AuthorizationData{
		{ADType: 77, ADData: []byte("before")},
		{ADType: adAPOptions, ADData: binary.LittleEndian.AppendUint32(nil, options)},
	}
	return types.AuthorizationData{{ADType: adIfRelevant, ADData: i.must(asn1.Marshal(inner))}}
}

// checkEnd checks that an exchange has failed, in one of two ways, and does not go on.
func checkEnd(t testing.TB, m sasl.Mechanism, challenge []byte, done bool, err error) {
	t.Helper()
	if challenge != nil || done || (!errors.Is(err, sasl.ErrMalformed) && !errors.Is(err, sasl.ErrFailed)) {
		t.Fatalf("Next = %x, %v, %v; want ErrMalformed or ErrFailed", challenge, done, err)
	}
	if len(err.Error()) > 200 {
		t.Errorf("the error has %d octets", len(err.Error()))
	}
	for _, response := range [][]byte{nil, {}, newInitiator(t, 18).token()} {
		if challenge, done, err := m.Next(response); challenge != nil || done || !errors.Is(err, sasl.ErrFailed) {
			t.Fatalf("after the error: Next = %x, %v, %v", challenge, done, err)
		}
	}
}

// names gives both names of a client.
func (i *initiator) names(name string, nameType int32) {
	i.part.CName = types.PrincipalName{NameType: nameType, NameString: strings.Split(name, "|")}
	i.auth.CName = i.part.CName
}

var refusals = []struct {
	name string
	edit func(*initiator)
	want error
}{
	{"ticket has expired", func(i *initiator) { i.part.EndTime = now.Add(-DefaultMaxSkew - time.Second) }, sasl.ErrFailed},
	{"not valid yet", func(i *initiator) { i.part.StartTime = now.Add(DefaultMaxSkew + time.Second) }, sasl.ErrFailed},
	{"postdated", func(i *initiator) {
		i.part.AuthTime, i.part.StartTime = now.Add(DefaultMaxSkew+time.Second), time.Time{}
	}, sasl.ErrFailed},
	{"invalid", func(i *initiator) { types.SetFlag(&i.part.Flags, flags.Invalid) }, sasl.ErrFailed},
	{"clock behind", func(i *initiator) { i.auth.CTime = now.Add(-DefaultMaxSkew - time.Second) }, sasl.ErrFailed},
	{"clock ahead", func(i *initiator) { i.auth.CTime, i.auth.Cusec = now.Add(DefaultMaxSkew), 1 }, sasl.ErrFailed},
	{"microseconds", func(i *initiator) { i.auth.Cusec = 1_000_000 }, sasl.ErrMalformed},
	{"negative microseconds", func(i *initiator) { i.auth.Cusec = -1 }, sasl.ErrMalformed},
	{"microseconds of more than 32 bits", func(i *initiator) { i.auth.Cusec = 1 << 32 }, sasl.ErrMalformed},
	{"wrong service", func(i *initiator) { i.ticket.SName = types.NewPrincipalName(2, "imap/mail.example.com") }, sasl.ErrFailed},
	{"other service in the file", func(i *initiator) {
		i.ticket.SName = types.NewPrincipalName(2, "host/mail.example.com")
	}, sasl.ErrFailed},
	{"wrong host", func(i *initiator) { i.ticket.SName = types.NewPrincipalName(2, "pop/other.example.com") }, sasl.ErrFailed},
	{"service without host", func(i *initiator) { i.ticket.SName = types.NewPrincipalName(2, "pop") }, sasl.ErrFailed},
	{"service without name", func(i *initiator) { i.ticket.SName.NameString = nil }, sasl.ErrFailed},
	{"TGT", func(i *initiator) { i.ticket.SName = types.NewPrincipalName(2, "krbtgt/EXAMPLE.COM") }, sasl.ErrFailed},
	{"wrong realm", func(i *initiator) { i.ticket.Realm = "OTHER.ORG" }, sasl.ErrFailed},
	{"realm in small letters", func(i *initiator) { i.ticket.Realm = "example.com" }, sasl.ErrFailed},
	{"unknown key version", func(i *initiator) { i.ticket.EncPart.KVNO = 9 }, sasl.ErrFailed},
	{"wrong key", func(i *initiator) { // of the old version, encrypted by the new one's
		i.framed = func(request []byte) []byte {
			return frame(tokenAPReq, bytes.Replace(request, []byte{0xA1, 3, 2, 1, newKvno}, []byte{0xA1, 3, 2, 1, oldKvno}, 1))
		}
	}, sasl.ErrFailed},
	{"RC4 ticket", func(i *initiator) { i.ticket.EncPart.EType = rc4 }, sasl.ErrFailed},
	{"RC4 session key", func(i *initiator) {
		i.part.Key = types.EncryptionKey{KeyType: rc4, KeyValue: make([]byte, 16)}
	}, sasl.ErrFailed},
	{"RC4 key of the client", func(i *initiator) {
		i.auth.SubKey = types.EncryptionKey{KeyType: rc4, KeyValue: make([]byte, 16)}
	}, sasl.ErrFailed},
	{"short key of the client", func(i *initiator) {
		i.auth.SubKey = types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 16)}
	}, sasl.ErrFailed},
	{"short key of the client, of a type whose checksums do not show it", func(i *initiator) {
		i.auth.SubKey = types.EncryptionKey{KeyType: 19, KeyValue: []byte{1}}
	}, sasl.ErrFailed},
	{"short session key", func(i *initiator) {
		i.authKey = &types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 32)}
		i.part.Key.KeyValue = i.part.Key.KeyValue[:31]
	}, sasl.ErrFailed},
	{"authenticator of another key", func(i *initiator) {
		i.authKey = &types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 32)}
	}, sasl.ErrFailed},
	{"authenticator of another type", func(i *initiator) {
		i.authKey = &types.EncryptionKey{KeyType: 17, KeyValue: make([]byte, 16)}
	}, sasl.ErrFailed},
	{"authenticator that is said to be of another type", func(i *initiator) { i.authEtype = 20 }, sasl.ErrFailed},
	{"other client in the authenticator", func(i *initiator) { i.auth.CName = types.NewPrincipalName(1, "bob") }, sasl.ErrFailed},
	{"more names in the authenticator", func(i *initiator) {
		i.auth.CName = types.NewPrincipalName(1, "alice/admin")
	}, sasl.ErrFailed},
	{"other realm in the authenticator", func(i *initiator) { i.auth.CRealm = "OTHER.ORG" }, sasl.ErrFailed},
	{"unchecked realms in between", func(i *initiator) {
		i.part.CRealm, i.auth.CRealm, i.part.Transited.Contents = "OTHER.ORG", "OTHER.ORG", []byte("THIRD.ORG")
	}, sasl.ErrFailed},
	{"anonymous", func(i *initiator) { i.names("WELLKNOWN|ANONYMOUS", 11) }, sasl.ErrFailed},
	{"anonymous flag", func(i *initiator) { types.SetFlag(&i.part.Flags, flagAnonymous) }, sasl.ErrFailed},
	{"anonymous realm", func(i *initiator) {
		i.part.CRealm, i.auth.CRealm = "WELLKNOWN:ANONYMOUS", "WELLKNOWN:ANONYMOUS"
	}, sasl.ErrFailed},
	{"no name", func(i *initiator) { i.part.CName.NameString, i.auth.CName.NameString = nil, nil }, sasl.ErrFailed},
	{"empty name", func(i *initiator) { i.names("", 1) }, sasl.ErrFailed},
	{"empty component", func(i *initiator) { i.names("alice|", 1) }, sasl.ErrFailed},
	{"name with a slash", func(i *initiator) { i.names("alice/admin", 1) }, sasl.ErrFailed},
	{"name with an at sign", func(i *initiator) { i.names("alice@OTHER.ORG", 10) }, sasl.ErrFailed},
	{"name with a backslash", func(i *initiator) { i.names(`alice\@x`, 1) }, sasl.ErrFailed},
	{"name with a NUL", func(i *initiator) { i.names("alice\x00", 1) }, sasl.ErrFailed},
	{"name that is not UTF-8", func(i *initiator) { i.names("alic\xe9", 1) }, sasl.ErrFailed},
	{"name too long", func(i *initiator) { i.names(strings.Repeat("x", 256), 1) }, sasl.ErrFailed},
	{"too many components", func(i *initiator) { i.names(strings.Repeat("x|", 8)+"x", 1) }, sasl.ErrMalformed},
	{"no realm", func(i *initiator) { i.part.CRealm, i.auth.CRealm = "", "" }, sasl.ErrFailed},
	{"from user to user", func(i *initiator) { types.SetFlag(&i.options, flags.APOptionUseSessionKey) }, sasl.ErrFailed},
	{"no checksum", func(i *initiator) { i.sum = nil }, sasl.ErrMalformed},
	{"checksum too short", func(i *initiator) { i.sum = i.sum[:23] }, sasl.ErrMalformed},
	{"checksum with a binding too short", func(i *initiator) { i.sum[0] = 15 }, sasl.ErrMalformed},
	{"checksum with a binding too long", func(i *initiator) { i.sum[3] = 1 }, sasl.ErrMalformed},
	{"checksum of another type", func(i *initiator) {
		i.auth.Cksum, i.sum = types.Checksum{CksumType: 16, Checksum: i.sum}, nil
	}, sasl.ErrMalformed},
	{"no integrity", func(i *initiator) { i.sum[20] = 0x10 }, sasl.ErrFailed},
	{"wrong version of the ticket", func(i *initiator) { i.ticket.TktVNO = 4 }, sasl.ErrMalformed},
	{"wrong version of the authenticator", func(i *initiator) { i.auth.AVNO = 4 }, sasl.ErrMalformed},
	{"sequence number too large", func(i *initiator) { i.auth.SeqNumber = 1 << 32 }, sasl.ErrMalformed},
	{"no AP-REQ", func(i *initiator) {
		i.framed = func(request []byte) []byte { return frame(tokenAPRep, request) }
	}, sasl.ErrMalformed},
	{"another message", func(i *initiator) {
		i.framed = func(request []byte) []byte {
			return frame(tokenAPReq, bytes.Replace(request, []byte{0xA1, 3, 2, 1, 14}, []byte{0xA1, 3, 2, 1, 12}, 1))
		}
	}, sasl.ErrMalformed},
	{"wrong version", func(i *initiator) {
		i.framed = func(request []byte) []byte {
			return frame(tokenAPReq, bytes.Replace(request, []byte{0xA0, 3, 2, 1, 5}, []byte{0xA0, 3, 2, 1, 4}, 1))
		}
	}, sasl.ErrMalformed},
	{"wrong mechanism", func(i *initiator) {
		i.framed = func(request []byte) []byte { // SCRAM's number (RFC 5802 §8), which is as long
			token := frame(tokenAPReq, request)
			token[bytes.IndexByte(token, 6)+10]++
			return token
		}
	}, sasl.ErrMalformed},
	{"SPNEGO, which is off", func(i *initiator) {
		i.framed = func(request []byte) []byte { return negTokenInit(oidKerberos, frame(tokenAPReq, request)) }
	}, sasl.ErrMalformed},
	{"bare AP-REQ", func(i *initiator) { i.framed = func(request []byte) []byte { return request } }, sasl.ErrMalformed},
	{"octet after the token", func(i *initiator) {
		i.framed = func(request []byte) []byte { return append(frame(tokenAPReq, request), 0) }
	}, sasl.ErrMalformed},
	{"octet after the AP-REQ", func(i *initiator) {
		i.framed = func(request []byte) []byte { return frame(tokenAPReq, append(request, 0)) }
	}, sasl.ErrMalformed},
	{"token too long", func(i *initiator) {
		i.part.AuthorizationData = types.AuthorizationData{{ADType: 1, ADData: make([]byte, MaxToken)}}
	}, sasl.ErrMalformed},
	{"empty", func(i *initiator) { i.framed = func([]byte) []byte { return []byte{} } }, sasl.ErrMalformed},
	{"length past the end", func(i *initiator) {
		i.framed = func([]byte) []byte { return []byte{0x60, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 6} }
	}, sasl.ErrMalformed},
}

func TestRefusals(t *testing.T) {
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			i, e := newInitiator(t, 18), newExchange(t)
			test.edit(i)
			m := New(e.Options)
			challenge, done, err := m.Next(i.token())
			checkEnd(t, m, challenge, done, err)
			if !errors.Is(err, test.want) {
				t.Errorf("the error is %v, want %v", err, test.want)
			}
			if e.authorized != nil {
				t.Errorf("authorized %q", e.authorized)
			}
		})
	}
}

// A token, the message in it, and each of its encrypted parts, cut at every octet.
func TestCut(t *testing.T) {
	i, e := newInitiator(t, 18).subkey(), newExchange(t)
	try := func(what string, n int, token []byte) {
		m := New(e.Options)
		challenge, done, err := m.Next(token)
		if err == nil {
			t.Fatalf("%s: %d octets are accepted", what, n)
		}
		checkEnd(t, m, challenge, done, err)
	}
	token, request := i.token(), i.request()
	for n := range token {
		try("token", n, token[:n])
	}
	for n := range request {
		try("AP-REQ", n, frame(tokenAPReq, request[:n]))
	}
	part := len(i.must(asn1.Marshal(i.part)))
	for i.cutPart = 1; i.cutPart <= part; i.cutPart++ {
		try("ticket", -i.cutPart, i.token())
	}
	i.cutPart = 0
	auth := len(i.must(asn1.Marshal(i.auth)))
	for i.cutAuth = 1; i.cutAuth <= auth; i.cutAuth++ {
		try("authenticator", -i.cutAuth, i.token())
	}
}

// Whatever octet of the token is changed, nobody else is logged in.
func TestChanged(t *testing.T) {
	i := newInitiator(t, 18)
	token := i.token()
	for n := range token {
		for _, bit := range []byte{0x01, 0x20, 0x80} {
			e := newExchange(t)
			changed := slices.Clone(token)
			changed[n] ^= bit
			m := New(e.Options).(*mechanism)
			_, _, err := m.Next(changed)
			if err == nil && m.context.client != (Principal{"alice", realm}) {
				t.Fatalf("octet %d: %v", n, m.context.client)
			}
			if err == nil && n > len(token)-100 {
				t.Fatalf("octet %d of %d, in the authenticator, is changed and the token accepted", n, len(token))
			}
		}
	}
}

func TestReplay(t *testing.T) {
	i, e := newInitiator(t, 18), newExchange(t)
	token := i.token()
	for _, ok := range []bool{true, false} {
		m := New(e.Options)
		challenge, done, err := m.Next(token)
		if ok != (err == nil) {
			t.Fatalf("Next = %v", err)
		}
		if !ok {
			checkEnd(t, m, challenge, done, err)
		}
	}
	if _, _, err := New(e.Options).Next(i.token()); err != nil { // another authenticator, with the same ticket
		t.Error(err)
	}
}

// A client's clock may be ahead, so that what it sends is fresh for twice as long as clocks may be apart.
func TestReplayLater(t *testing.T) {
	i, e := newInitiator(t, 18), newExchange(t)
	i.auth.CTime, i.auth.Cusec = now.Add(DefaultMaxSkew), 0
	token := i.token()
	for _, later := range []time.Duration{0, DefaultMaxSkew, 2 * DefaultMaxSkew} {
		e.Now = func() time.Time { return now.Add(later) }
		_, _, err := New(e.Options).Next(token)
		if (err == nil) != (later == 0) || (err != nil && !strings.HasSuffix(err.Error(), "there before")) {
			t.Errorf("after %v: %v", later, err)
		}
	}
}

func TestSettingsThatAreMissing(t *testing.T) {
	for name, edit := range map[string]func(*Options){
		"keytab":       func(o *Options) { o.Keytab = nil },
		"replay cache": func(o *Options) { o.Replays = nil },
		"Authorize":    func(o *Options) { o.Authorize = nil },
	} {
		t.Run(name, func(t *testing.T) {
			i, e := newInitiator(t, 18), newExchange(t)
			edit(&e.Options)
			m := New(e.Options)
			challenge, done, err := m.Next(i.token())
			if err == nil {
				challenge, done, err = m.Next(i.wrap([]byte("\x01\x00\x00\x00"), wrapping{}))
			}
			checkEnd(t, m, challenge, done, err)
		})
	}
}

// Without settings for them, a client's clock is compared with this one.
func TestDefaults(t *testing.T) {
	i, e := newInitiator(t, 18), newExchange(t)
	e.Now = nil
	if _, _, err := New(e.Options).Next(i.token()); err == nil {
		t.Error("a ticket of another time is accepted")
	}
	i = newInitiator(t, 18)
	moment := time.Now().UTC().Truncate(time.Second)
	i.part.StartTime, i.part.EndTime, i.auth.CTime = moment.Add(-time.Hour), moment.Add(time.Hour), moment
	if _, _, err := New(e.Options).Next(i.token()); err != nil {
		t.Error(err)
	}
}

// The client's choice, in a Wrap token that is as it should be.
func TestChoices(t *testing.T) {
	for _, test := range []struct {
		name, message string
		want          error
	}{
		{"longest authzid", "\x01\x00\x00\x00" + strings.Repeat("x", 255), nil},
		{"authzid too long", "\x01\x00\x00\x00" + strings.Repeat("x", 256), sasl.ErrMalformed},
		{"NUL at the end", "\x01\x00\x00\x00bob\x00", sasl.ErrMalformed},
		{"not UTF-8", "\x01\x00\x00\x00b\xffb", sasl.ErrMalformed},
		{"too short", "\x01\x00\x00", sasl.ErrMalformed},
		{"empty", "", sasl.ErrMalformed},
		{"no layer", "\x00\x00\x00\x00", sasl.ErrFailed},
		{"integrity", "\x02\x00\xff\xff", sasl.ErrFailed},
		{"confidentiality", "\x04\x00\xff\xff", sasl.ErrFailed},
		{"two layers", "\x03\x00\xff\xff", sasl.ErrFailed},
		{"unknown layer", "\x81\x00\x00\x00", sasl.ErrFailed},
	} {
		for _, w := range []wrapping{{}, {sealed: true}} {
			i, e := newInitiator(t, 18), newExchange(t)
			if err := e.login(i, []byte(test.message), w); !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", test.name, err, test.want)
			}
			if (len(e.authorized) == 1) != (test.want == nil) {
				t.Errorf("%s: authorized %q", test.name, e.authorized)
			}
		}
	}
}

// Messages that come where another is due.
func TestWrongOrder(t *testing.T) {
	choice := []byte("\x01\x00\x00\x00")
	for name, messages := range map[string]func(i *initiator) [][]byte{
		"choice first":              func(i *initiator) [][]byte { return [][]byte{i.wrap(choice, wrapping{})} },
		"token twice":               func(i *initiator) [][]byte { return [][]byte{i.token(), i.token()} },
		"nothing instead of choice": func(i *initiator) [][]byte { return [][]byte{i.token(), {}} },
		"nothing twice":             func(*initiator) [][]byte { return [][]byte{nil, nil} },
		"choice before the offer": func(i *initiator) [][]byte {
			i.mutual()
			return [][]byte{i.token(), i.wrap(choice, wrapping{})}
		},
		"choice with the client's key, not the server's": func(i *initiator) [][]byte {
			i.mutual()
			return [][]byte{i.token(), {}, i.wrap(choice, wrapping{})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExchange(t)
			m := New(e.Options)
			list := messages(newInitiator(t, 18))
			last := len(list) - 1
			for _, message := range list[:last] {
				if _, done, err := m.Next(message); done || err != nil {
					t.Fatalf("Next = %v, %v", done, err)
				}
			}
			challenge, done, err := m.Next(list[last])
			checkEnd(t, m, challenge, done, err)
			if e.authorized != nil {
				t.Errorf("authorized %q", e.authorized)
			}
		})
	}
}
