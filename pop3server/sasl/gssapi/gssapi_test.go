package gssapi

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// login runs a whole exchange and gives the error of its end. What is before the end must be as it should.
func (e *exchange) login(i *initiator, message []byte, w wrapping) error {
	e.t.Helper()
	m := New(e.Options)
	if challenge, done, err := m.Next(nil); challenge == nil || len(challenge) != 0 || done || err != nil {
		e.t.Fatalf("Next(nil) = %q, %v, %v; want an empty challenge", challenge, done, err)
	}
	token := i.token()
	challenge, done, err := m.Next(token)
	clear(token) // as the caller does
	sequence := i.sequence
	if err == nil && !done && i.sum[20]&flagMutual != 0 {
		sequence = i.takeReply(challenge)
		challenge, done, err = m.Next([]byte{})
	}
	if done || err != nil {
		e.t.Fatalf("Next(token) = %v, %v; want an offer", done, err)
	}
	i.takeOffer(challenge, sequence)
	_, done, err = m.Next(i.wrap(message, w))
	if done == (err != nil) {
		e.t.Errorf("Next(choice) = %v, %v", done, err)
	}
	if _, again, err := m.Next(i.wrap(message, w)); again || err == nil {
		e.t.Error("the exchange goes on after its end")
	}
	return err
}

// checkLogin logs in as alice.
func checkLogin(t *testing.T, i *initiator, edit func(*exchange)) {
	t.Helper()
	e := newExchange(t)
	if edit != nil {
		edit(e)
	}
	if err := e.login(i, []byte("\x01\x00\x00\x00"), wrapping{}); err != nil {
		t.Error(err)
	}
	if want := []string{"alice@EXAMPLE.COM for "}; !slices.Equal(e.authorized, want) {
		t.Errorf("authorized %q, want %q", e.authorized, want)
	}
}

// Every encryption type, with and without an AP-REP and a key of the client's, however the choice is wrapped.
func TestLogins(t *testing.T) {
	wrappings := []wrapping{
		{}, {rotate: 12}, {rotate: 1}, {rotate: 1000}, {sealed: true}, {sealed: true, rotate: 28}, {sealed: true, filler: 16},
		{sealed: true, filler: 5, rotate: 33},
	}
	for _, etype := range etypes {
		for kind := range 4 {
			t.Run(fmt.Sprintf("etype %d, kind %d", etype, kind), func(t *testing.T) {
				for _, w := range wrappings {
					i, e := newInitiator(t, etype), newExchange(t)
					if kind&1 != 0 {
						i.subkey()
					}
					if kind&2 != 0 {
						i.mutual()
					}
					if err := e.login(i, []byte("\x01\x00\xff\xffbób"), w); err != nil {
						t.Fatalf("%+v: %v", w, err)
					}
					if want := []string{"alice@EXAMPLE.COM for bób"}; !slices.Equal(e.authorized, want) {
						t.Errorf("%+v: authorized %q, want %q", w, e.authorized, want)
					}
				}
			})
		}
	}
}

// What else may be different from one client to the next.
func TestClientsThatDiffer(t *testing.T) {
	delegation := slices.Concat([]byte{1, 0, 4, 0}, []byte("cred"), []byte("extension"))
	for name, edit := range map[string]func(*initiator){
		"the key before":      func(i *initiator) { i.ticket.EncPart.KVNO = oldKvno },
		"no key version":      func(i *initiator) { i.ticket.EncPart.KVNO = 0 },
		"service in capitals": func(i *initiator) { i.ticket.SName = types.NewPrincipalName(2, "POP/MAIL.example.com") },
		"no start time":       func(i *initiator) { i.part.StartTime = time.Time{} },
		"starts within skew":  func(i *initiator) { i.part.StartTime = now.Add(DefaultMaxSkew) },
		"ends within skew":    func(i *initiator) { i.part.EndTime = now.Add(-DefaultMaxSkew) },
		"clock behind":        func(i *initiator) { i.auth.CTime = now.Add(-DefaultMaxSkew) },
		"clock ahead":         func(i *initiator) { i.auth.CTime, i.auth.Cusec = now.Add(DefaultMaxSkew), 0 },
		"delegation":          func(i *initiator) { i.sum[20] |= 1; i.sum = append(i.sum, delegation...) },
		"renewable":           func(i *initiator) { i.part.RenewTill = now.Add(time.Hour) },
		"address":             func(i *initiator) { i.part.CAddr = types.HostAddresses{{AddrType: 2, Address: []byte{9, 9, 9, 9}}} },
		"large PAC": func(i *initiator) {
			i.part.AuthorizationData = types.AuthorizationData{{ADType: 1, ADData: bytes.Repeat([]byte{0xFF}, 48_000)}}
		},
		"ticket of another type than its session key": func(i *initiator) { i.ticket.EncPart.EType = 20 },
		"no sequence number":                          func(i *initiator) { i.auth.SeqNumber, i.sequence = 0, 0 },
		"largest sequence number":                     func(i *initiator) { i.auth.SeqNumber, i.sequence = 1<<32-1, 1<<32-1 },
		"negative sequence number":                    func(i *initiator) { i.auth.SeqNumber, i.sequence = -1, 1<<32-1 },
		"authorization data that nobody knows": func(i *initiator) {
			i.auth.AuthorizationData = types.AuthorizationData{{ADType: 77, ADData: []byte("?")}, {ADType: 1, ADData: []byte{0x30, 9}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInitiator(t, 18).subkey()
			edit(i)
			checkLogin(t, i, nil)
		})
	}
}

// A client of another realm is one, if a KDC has checked the realms in between or there are none.
func TestOtherRealms(t *testing.T) {
	for _, checked := range []bool{false, true} {
		i, e := newInitiator(t, 18), newExchange(t)
		i.part.CRealm, i.auth.CRealm = "OTHER.ORG", "OTHER.ORG"
		i.part.CName = types.NewPrincipalName(1, "host/x")
		i.auth.CName = i.part.CName
		if checked {
			i.part.Transited.TRType, i.part.Transited.Contents = 1, []byte("THIRD.ORG")
			types.SetFlag(&i.part.Flags, flags.TransitedPolicyChecked)
		}
		if err := e.login(i, []byte("\x01\x00\x00\x00"), wrapping{}); err != nil {
			t.Error(err)
		}
		if want := []string{"host/x@OTHER.ORG for "}; !slices.Equal(e.authorized, want) {
			t.Errorf("authorized %q, want %q", e.authorized, want)
		}
	}
}

func TestAuthorizeDecides(t *testing.T) {
	refused := errors.New("refused")
	e := newExchange(t)
	e.Authorize = func(client Principal, authzid string) error {
		if client != (Principal{"alice", realm}) || authzid != "boss" {
			t.Errorf("Authorize(%v, %q)", client, authzid)
		}
		return refused
	}
	if err := e.login(newInitiator(t, 18), []byte("\x01\x00\x00\x00boss"), wrapping{}); !errors.Is(err, refused) {
		t.Errorf("the error is %v, want that of Authorize", err)
	}
}

// An initial response is the first token.
func TestInitialResponse(t *testing.T) {
	i, m := newInitiator(t, 18), New(newExchange(t).Options)
	offer, done, err := m.Next(i.token())
	if done || err != nil {
		t.Fatalf("Next(token) = %v, %v", done, err)
	}
	i.takeOffer(offer, i.sequence)
	if _, done, err := m.Next(i.wrap([]byte("\x01\x00\x00\x00"), wrapping{})); !done || err != nil {
		t.Errorf("Next(choice) = %v, %v", done, err)
	}
}

// Two exchanges with the same AP-REQ do not have the same keys, if the client wants to know who the server is.
func TestReplyHasItsOwnKey(t *testing.T) {
	i := newInitiator(t, 18).mutual()
	token := i.token()
	begin := func() (*mechanism, *initiator) {
		m := New(newExchange(t).Options).(*mechanism) // each has its own replay cache, as two processes do
		reply, _, err := m.Next(token)
		if err != nil {
			t.Fatal(err)
		}
		other := *i
		other.takeReply(reply)
		if _, _, err := m.Next([]byte{}); err != nil {
			t.Fatal(err)
		}
		return m, &other
	}
	_, heard := begin()
	m, _ := begin()
	if _, done, err := m.Next(heard.wrap([]byte("\x01\x00\x00\x00"), wrapping{})); done || err == nil {
		t.Errorf("what was heard in one exchange does for another: %v, %v", done, err)
	}
}

func TestBindings(t *testing.T) {
	none, right, wrong := binding.Digest{}, binding.Digest{1}, binding.Digest{2}
	for _, test := range []struct {
		policy     binding.Policy
		want, sent binding.Digest
		aware, ok  bool
	}{
		{binding.None, right, wrong, false, true},
		{binding.None, right, none, true, true},
		{binding.Allow, right, none, false, true},
		{binding.Allow, right, none, true, false},
		{binding.Allow, none, none, true, true},
		{binding.Allow, right, right, true, true},
		{binding.Allow, right, wrong, false, false},
		{binding.Require, right, right, false, true},
		{binding.Require, right, none, false, false},
		{binding.Require, right, wrong, false, false},
		{binding.Require, none, none, false, false},
	} {
		i := newInitiator(t, 18)
		i.sum = gssChecksum(test.sent, flagIntegrity)
		if test.aware {
			i.auth.AuthorizationData = bindingAwareData(i, 0x4000)
		}
		e := newExchange(t)
		e.Policy, e.Binding = test.policy, test.want
		_, _, err := New(e.Options).Next(i.token())
		if (err == nil) != test.ok || (err != nil && !errors.Is(err, binding.ErrMismatch)) {
			t.Errorf("%s, %x is wanted, %x is sent, aware %v: %v", test.policy, test.want, test.sent, test.aware, err)
		}
		if len(e.Replays.queue) != map[bool]int{true: 1, false: 0}[test.ok] {
			t.Errorf("%s: the replay cache has %d entries", test.policy, len(e.Replays.queue))
		}
	}
}

func TestPrincipalString(t *testing.T) {
	if got := (Principal{"host/x", "R"}).String(); got != "host/x@R" || strings.Count(got, "@") != 1 {
		t.Errorf("String() = %q", got)
	}
}
