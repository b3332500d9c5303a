package gssapi

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/popservice/popservice/pop3server/sasl/binding"
)

const (
	realm   = "EXAMPLE.COM"
	service = "pop/mail.example.com"
	rc4     = 23
	oldKvno = 2
	newKvno = 3
)

var (
	now    = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	etypes = []int32{17, 18, 19, 20}
)

// files is the keytab as gokrb5 has it, and as the server does.
var files = sync.OnceValues(func() (*keytab.Keytab, *Keytab) {
	file := keytab.New()
	for _, name := range []string{service, "host/mail.example.com"} {
		for _, etype := range append(etypes, rc4) {
			for _, kvno := range []uint8{oldKvno, newKvno} {
				made := now.Add(time.Duration(kvno) * time.Second)
				if err := file.AddEntry(name, realm, "password "+string('0'+kvno), made, kvno, etype); err != nil {
					panic(err)
				}
			}
		}
	}
	data, err := file.Marshal()
	if err != nil {
		panic(err)
	}
	keys, err := LoadKeytab(data)
	if err != nil {
		panic(err)
	}
	return file, keys
})

// The messages of RFC 4120 that gokrb5 has in a package which needs many others, as gofork's asn1 encodes them.
type (
	ticketMessage struct {
		TktVNO  int                 `asn1:"explicit,tag:0"`
		Realm   string              `asn1:"generalstring,explicit,tag:1"`
		SName   types.PrincipalName `asn1:"explicit,tag:2"`
		EncPart types.EncryptedData `asn1:"explicit,tag:3"`
	}
	transitedMessage struct {
		TRType   int32  `asn1:"explicit,tag:0"`
		Contents []byte `asn1:"explicit,tag:1"`
	}
	ticketPartMessage struct {
		Flags             asn1.BitString          `asn1:"explicit,tag:0"`
		Key               types.EncryptionKey     `asn1:"explicit,tag:1"`
		CRealm            string                  `asn1:"generalstring,explicit,tag:2"`
		CName             types.PrincipalName     `asn1:"explicit,tag:3"`
		Transited         transitedMessage        `asn1:"explicit,tag:4"`
		AuthTime          time.Time               `asn1:"generalized,explicit,tag:5"`
		StartTime         time.Time               `asn1:"generalized,explicit,optional,tag:6"`
		EndTime           time.Time               `asn1:"generalized,explicit,tag:7"`
		RenewTill         time.Time               `asn1:"generalized,explicit,optional,tag:8"`
		CAddr             types.HostAddresses     `asn1:"explicit,optional,tag:9"`
		AuthorizationData types.AuthorizationData `asn1:"explicit,optional,tag:10"`
	}
	apReqMessage struct {
		PVNO          int                 `asn1:"explicit,tag:0"`
		MsgType       int                 `asn1:"explicit,tag:1"`
		Options       asn1.BitString      `asn1:"explicit,tag:2"`
		Ticket        asn1.RawValue       `asn1:"explicit,tag:3"`
		Authenticator types.EncryptedData `asn1:"explicit,tag:4"`
	}
	apRepMessage struct {
		PVNO    int                 `asn1:"explicit,tag:0"`
		MsgType int                 `asn1:"explicit,tag:1"`
		EncPart types.EncryptedData `asn1:"explicit,tag:2"`
	}
	apRepPartMessage struct {
		CTime          time.Time           `asn1:"generalized,explicit,tag:0"`
		Cusec          int                 `asn1:"explicit,tag:1"`
		Subkey         types.EncryptionKey `asn1:"optional,explicit,tag:2"`
		SequenceNumber int64               `asn1:"optional,explicit,tag:3"`
	}
)

// initiator is a client. What it sends is encoded and encrypted by gokrb5, from these, which a test may change.
type initiator struct {
	t testing.TB

	ticket    ticketMessage     // without its encrypted part
	part      ticketPartMessage // that part
	cutPart   int               // octets that it lacks at the end
	options   asn1.BitString
	auth      types.Authenticator // without its checksum
	cutAuth   int
	sum       []byte
	authKey   *types.EncryptionKey // another one than the ticket's
	authEtype int32                // what it is said to be encrypted by, if not by its key's type
	framed    func([]byte) []byte  // something other than token's framing
	wrapFlags byte                 // of the client's Wrap tokens
	key       types.EncryptionKey  // of Wrap tokens
	sequence  uint64
}

// newInitiator is a client that is as it should be: alice, without AP-REP, without a key of her own.
func newInitiator(t testing.TB, etype int32) *initiator {
	t.Helper()
	session := types.EncryptionKey{KeyType: etype, KeyValue: []byte(strings.Repeat("s", keyOctets(etype)))}
	alice := types.NewPrincipalName(1, "alice")
	return &initiator{
		t: t,
		ticket: ticketMessage{
			TktVNO: 5, Realm: realm, SName: types.NewPrincipalName(2, service),
			EncPart: types.EncryptedData{EType: etype, KVNO: newKvno},
		},
		part: ticketPartMessage{
			Flags: types.NewKrbFlags(), Key: session, CRealm: realm, CName: alice,
			AuthTime: now.Add(-2 * time.Hour), StartTime: now.Add(-time.Hour), EndTime: now.Add(time.Hour),
		},
		options:  types.NewKrbFlags(),
		auth:     types.Authenticator{AVNO: 5, CRealm: realm, CName: alice, Cusec: 123456, CTime: now, SeqNumber: 4711},
		sum:      gssChecksum(binding.Digest{}, flagIntegrity),
		key:      session,
		sequence: 4711,
	}
}

func keyOctets(etype int32) int {
	return map[int32]int{17: 16, 18: 32, 19: 16, 20: 32, rc4: 16}[etype]
}

// gssChecksum is RFC 4121 §4.1.1.
func gssChecksum(bound binding.Digest, flags uint32) []byte {
	sum := append([]byte{16, 0, 0, 0}, bound[:]...)
	return binary.LittleEndian.AppendUint32(sum, flags)
}

// subkey gives the client a key of its own.
func (i *initiator) subkey() *initiator {
	etype := i.part.Key.KeyType
	i.auth.SubKey = types.EncryptionKey{KeyType: etype, KeyValue: []byte(strings.Repeat("c", keyOctets(etype)))}
	i.key = i.auth.SubKey
	return i
}

// mutual has the client ask for an AP-REP.
func (i *initiator) mutual() *initiator {
	binary.LittleEndian.PutUint32(i.sum[20:], flagIntegrity|flagMutual)
	return i
}

func (i *initiator) must(b []byte, err error) []byte {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

func (i *initiator) encrypt(plain []byte, k types.EncryptionKey, usage uint32, kvno int) types.EncryptedData {
	i.t.Helper()
	data, err := crypto.GetEncryptedData(plain, k, usage, kvno)
	if err != nil {
		i.t.Fatal(err)
	}
	return data
}

// request makes the AP-REQ.
func (i *initiator) request() []byte {
	i.t.Helper()
	file, _ := files()
	enc := i.ticket.EncPart
	name := i.ticket.SName
	if strings.EqualFold(name.PrincipalNameString(), service) { // the KDC's key is the same, whichever way it is written
		name = types.NewPrincipalName(2, service)
	}
	serviceKey, _, err := file.GetEncryptionKey(name, realm, enc.KVNO, enc.EType)
	if err != nil { // a service or a key that the keytab does not have
		serviceKey = types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 32)}
	}
	part := asn1tools.AddASNAppTag(i.must(asn1.Marshal(i.part)), asnAppTag.EncTicketPart)
	ticket := i.ticket
	ticket.EncPart = i.encrypt(part[:len(part)-i.cutPart], serviceKey, keyusage.KDC_REP_TICKET, enc.KVNO)
	ticket.EncPart.EType = enc.EType
	if i.sum != nil {
		i.auth.Cksum = types.Checksum{CksumType: checksumType, Checksum: i.sum}
	}
	auth := i.must(i.auth.Marshal())
	authKey := i.part.Key
	if i.authKey != nil {
		authKey = *i.authKey
	}
	sealedAuth := i.encrypt(auth[:len(auth)-i.cutAuth], authKey, keyusage.AP_REQ_AUTHENTICATOR, 0)
	if i.authEtype != 0 {
		sealedAuth.EType = i.authEtype
	}
	sealed := asn1tools.AddASNAppTag(i.must(asn1.Marshal(ticket)), asnAppTag.Ticket)
	return asn1tools.AddASNAppTag(i.must(asn1.Marshal(apReqMessage{
		PVNO: 5, MsgType: 14, Options: i.options,
		Ticket:        asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Tag: 3, Bytes: sealed},
		Authenticator: sealedAuth,
	})), asnAppTag.APREQ)
}

// token makes the client's first token.
func (i *initiator) token() []byte {
	i.t.Helper()
	if i.framed != nil {
		return i.framed(i.request())
	}
	return frame(tokenAPReq, i.request())
}

// decode decodes an [APPLICATION tag] of gokrb5's, which is all that there is.
func (i *initiator) decode(octets []byte, into any, tag int) {
	i.t.Helper()
	rest, err := asn1.UnmarshalWithParams(octets, into, fmt.Sprintf("application,explicit,tag:%d", tag))
	if err != nil || len(rest) > 0 {
		i.t.Fatal(err, rest)
	}
}

// takeReply takes an AP-REP, as a client that looks at all of it.
func (i *initiator) takeReply(token []byte) (sequence uint64) {
	i.t.Helper()
	message, err := unframe(token, tokenAPRep)
	if err != nil {
		i.t.Fatal(err)
	}
	var reply apRepMessage
	var part apRepPartMessage
	i.decode(message, &reply, asnAppTag.APREP)
	plain := i.must(crypto.DecryptEncPart(reply.EncPart, i.part.Key, keyusage.AP_REP_ENCPART))
	i.decode(plain, &part, asnAppTag.EncAPRepPart)
	if !part.CTime.Equal(i.auth.CTime) || part.Cusec != i.auth.Cusec {
		i.t.Errorf("the AP-REP has the time %v and %d µs, want the authenticator's", part.CTime, part.Cusec)
	}
	if part.Subkey.KeyType != i.part.Key.KeyType || len(part.Subkey.KeyValue) != keyOctets(part.Subkey.KeyType) {
		i.t.Fatalf("the AP-REP has a key of type %d of %d octets", part.Subkey.KeyType, len(part.Subkey.KeyValue))
	}
	i.key, i.wrapFlags = part.Subkey, 4
	return uint64(part.SequenceNumber)
}

// takeOffer checks the server's offer of layers.
func (i *initiator) takeOffer(token []byte, sequence uint64) {
	i.t.Helper()
	head := binary.BigEndian.AppendUint64([]byte{5, 4, 1 | i.wrapFlags, 0xFF, 0, 0, 0, 0}, sequence)
	offer := []byte{1, 0, 0, 0}
	sum := i.checksum(slices.Concat(offer, head), keyusage.GSSAPI_ACCEPTOR_SEAL)
	head[5] = byte(len(sum))
	if want := slices.Concat(head, offer, sum); !slices.Equal(token, want) {
		i.t.Errorf("the offer is %x, want %x", token, want)
	}
}

func (i *initiator) checksum(data []byte, usage uint32) []byte {
	i.t.Helper()
	etype, err := crypto.GetEtype(i.key.KeyType)
	if err != nil {
		i.t.Fatal(err)
	}
	return i.must(etype.GetChecksumHash(i.key.KeyValue, data, usage))
}

// wrapping is how a client wraps what it chooses.
type wrapping struct {
	sealed bool
	filler int // octets, if sealed
	lacks  int // octets that are said to be in the filler and are not
	rotate int
}

// wrap makes a Wrap token.
func (i *initiator) wrap(message []byte, w wrapping) []byte {
	i.t.Helper()
	head := binary.BigEndian.AppendUint64([]byte{5, 4, i.wrapFlags, 0xFF, 0, 0, 0, 0}, i.sequence)
	var data []byte
	if w.sealed {
		head[2] |= 2
		binary.BigEndian.PutUint16(head[4:], uint16(w.filler+w.lacks))
		plain := slices.Concat(message, make([]byte, w.filler), head)
		data = i.encrypt(plain, i.key, keyusage.GSSAPI_INITIATOR_SEAL, 0).Cipher
	} else {
		sum := i.checksum(slices.Concat(message, head), keyusage.GSSAPI_INITIATOR_SEAL)
		data = slices.Concat(message, sum)
		binary.BigEndian.PutUint16(head[4:], uint16(len(sum)))
	}
	binary.BigEndian.PutUint16(head[6:], uint16(w.rotate))
	end := len(data) - w.rotate%len(data)
	return slices.Concat(head, data[end:], data[:end])
}

// exchange is a server's side, and whom it has asked for.
type exchange struct {
	t testing.TB
	Options
	authorized []string // "alice@EXAMPLE.COM for bob"
}

func newExchange(t testing.TB) *exchange {
	t.Helper()
	_, keys := files()
	e := &exchange{t: t}
	e.Options = Options{
		Keytab: keys, Policy: binding.None, Replays: NewReplayCache(10), Now: func() time.Time { return now },
		Authorize: func(client Principal, authzid string) error {
			e.authorized = append(e.authorized, client.String()+" for "+authzid)
			return nil
		},
	}
	return e
}
