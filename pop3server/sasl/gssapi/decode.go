package gssapi

import (
	encoding_asn1 "encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// The messages of RFC 4120 §5 as far as an acceptor looks at them. Octets in them are parts of what was decoded; strings are
// not.

// apReq is AP-REQ (RFC 4120 §5.5.1) with its ticket (§5.3).
type apReq struct {
	options       encoding_asn1.BitString
	realm         string // of the service
	service       principalName
	ticket        encryptedData
	authenticator encryptedData
}

// encryptedData is EncryptedData (RFC 4120 §5.2.9).
type encryptedData struct {
	etype  int32
	kvno   uint32 // 0 if the sender tells none
	cipher []byte
}

// principalName is PrincipalName (RFC 4120 §5.2.2), without its type, which is a hint (§6.2).
type principalName []string

// ticketPart is EncTicketPart (RFC 4120 §5.3) up to its times. Addresses are not looked at, for clients are behind NAT, nor is
// authorization data, such as a PAC.
type ticketPart struct {
	flags      encoding_asn1.BitString
	key        key
	realm      string // of the client
	client     principalName
	transited  []byte
	start, end time.Time
}

// authenticator is Authenticator (RFC 4120 §5.5.1).
type authenticator struct {
	realm        string
	client       principalName
	checksumType int32
	checksum     []byte
	microseconds int32
	time         time.Time
	subkey       *key
	sequence     uint32
	bindingAware bool
}

const (
	version   = 5  // pvno, tkt-vno, authenticator-vno
	typeAPReq = 14 // msg-type
	typeAPRep = 15
)

// Numbers of [APPLICATION n] (RFC 4120 §5.10).
const (
	tagTicket        = 1
	tagAuthenticator = 2
	tagTicketPart    = 3
	tagAPReq         = 14
	tagAPRep         = 15
	tagAPRepPart     = 27
)

func parseAPReq(message []byte) (*apReq, error) {
	d := decoder{}
	f := d.message(message, tagAPReq)
	f.want(0, version)
	f.want(1, typeAPReq)
	r := &apReq{options: f.bits(2)}
	ticket := f.inner(3, tagTicket)
	ticket.want(0, version)
	r.realm = ticket.text(1)
	r.service = ticket.principal(2)
	r.ticket = ticket.encrypted(3)
	ticket.end()
	r.authenticator = f.encrypted(4)
	f.end()
	if d.bad {
		return nil, malformed("AP-REQ is not as RFC 4120 §5.5.1 has it")
	}
	return r, nil
}

// parseTicketPart decodes what only the KDC can have written.
func parseTicketPart(message []byte) (*ticketPart, error) {
	d := decoder{}
	f := d.message(message, tagTicketPart)
	t := &ticketPart{flags: f.bits(0), key: f.key(1), realm: f.text(2), client: f.principal(3)}
	transited := f.sequence(4)
	transited.integer(0)
	t.transited = transited.octets(1)
	t.start = f.time(5) // authtime, which holds where there is no starttime
	if f.has(6) {
		t.start = f.time(6)
	}
	t.end = f.time(7)
	if d.bad {
		return nil, malformed("ticket is not as RFC 4120 §5.3 has it")
	}
	return t, nil
}

func parseAuthenticator(message []byte) (*authenticator, error) {
	d := decoder{}
	f := d.message(message, tagAuthenticator)
	f.want(0, version)
	a := &authenticator{realm: f.text(1), client: f.principal(2)}
	if f.has(3) {
		checksum := f.sequence(3)
		a.checksumType = checksum.int32(0)
		a.checksum = checksum.octets(1)
	}
	a.microseconds = f.int32(4)
	a.time = f.time(5)
	if f.has(6) {
		subkey := f.key(6)
		a.subkey = &subkey
	}
	if f.has(7) {
		a.sequence = f.uint32(7)
	}
	if f.has(8) {
		a.bindingAware = bindingAware(f.explicit(8))
	}
	if d.bad {
		return nil, malformed("authenticator is not as RFC 4120 §5.5.1 has it")
	}
	return a, nil
}

// decoder remembers whether anything was not as it should be, so that it has to be asked once only.
type decoder struct{ bad bool }

// fields is what is left of a SEQUENCE, whose fields are tagged [0], [1] and so on.
type fields struct {
	*decoder
	cryptobyte.String
}

// message opens an [APPLICATION n] SEQUENCE, which must be all that there is.
func (d *decoder) message(octets []byte, tag asn1.Tag) *fields {
	s := cryptobyte.String(octets)
	f := &fields{decoder: d}
	var content cryptobyte.String
	f.check(s.ReadASN1(&content, application(tag)) && s.Empty())
	f.check(content.ReadASN1(&f.String, asn1.SEQUENCE) && content.Empty())
	return f
}

func (d *decoder) check(ok bool) { d.bad = d.bad || !ok }

// end says that there is no further field.
func (f *fields) end() { f.check(f.Empty()) }

// has tells whether the next field is n.
func (f *fields) has(n asn1.Tag) bool { return f.PeekASN1Tag(explicit(n)) }

func explicit(n asn1.Tag) asn1.Tag { return n.ContextSpecific().Constructed() }

// explicit gives what is in field n.
func (f *fields) explicit(n asn1.Tag) cryptobyte.String {
	var content cryptobyte.String
	f.check(f.ReadASN1(&content, explicit(n)))
	return content
}

// read gives field n, which is of one type, without its header.
func (f *fields) read(n, of asn1.Tag) cryptobyte.String {
	content, value := f.explicit(n), cryptobyte.String(nil)
	f.check(content.ReadASN1(&value, of) && content.Empty())
	return value
}

func (f *fields) octets(n asn1.Tag) []byte { return f.read(n, asn1.OCTET_STRING) }

// text gives a KerberosString. RFC 4120 §5.2.1 has ASCII in it; KDCs put UTF-8 in it, too.
func (f *fields) text(n asn1.Tag) string { return string(f.read(n, asn1.GeneralString)) }

func (f *fields) sequence(n asn1.Tag) *fields {
	return &fields{decoder: f.decoder, String: f.read(n, asn1.SEQUENCE)}
}

// inner gives the fields of a message in field n.
func (f *fields) inner(n, tag asn1.Tag) *fields { return f.message(f.explicit(n), tag) }

func (f *fields) integer(n asn1.Tag) (value int64) {
	content := f.explicit(n)
	f.check(content.ReadASN1Integer(&value) && content.Empty())
	return value
}

func (f *fields) want(n asn1.Tag, value int64) { f.check(f.integer(n) == value) }

func (f *fields) int32(n asn1.Tag) int32 {
	value := f.integer(n)
	f.check(value == int64(int32(value))) //nolint:gosec // that is the question
	return int32(value)                   //nolint:gosec // see above
}

// uint32 gives a UInt32, which older senders encode as if it was signed.
func (f *fields) uint32(n asn1.Tag) uint32 {
	value := f.integer(n)
	f.check(value == int64(uint32(value)) || value == int64(int32(value))) //nolint:gosec // that is the question
	return uint32(value)                                                   //nolint:gosec // see above
}

func (f *fields) bits(n asn1.Tag) (value encoding_asn1.BitString) {
	content := f.explicit(n)
	f.check(content.ReadASN1BitString(&value) && content.Empty())
	return value
}

func (f *fields) time(n asn1.Tag) (value time.Time) {
	content := f.explicit(n)
	f.check(content.ReadASN1GeneralizedTime(&value) && content.Empty())
	return value
}

func (f *fields) principal(n asn1.Tag) principalName {
	name := f.sequence(n)
	name.int32(0)
	var components principalName
	for list := name.read(1, asn1.SEQUENCE); len(list) > 0 && !f.bad; {
		var component cryptobyte.String
		f.check(list.ReadASN1(&component, asn1.GeneralString))
		components = append(components, string(component))
		f.check(len(components) <= maxComponents)
	}
	name.end()
	return components
}

func (f *fields) encrypted(n asn1.Tag) (data encryptedData) {
	inner := f.sequence(n)
	data.etype = inner.int32(0)
	if inner.has(1) {
		data.kvno = inner.uint32(1)
	}
	data.cipher = inner.octets(2)
	inner.end()
	return data
}

func (f *fields) key(n asn1.Tag) key {
	inner := f.sequence(n)
	return key{etype: inner.int32(0), value: inner.octets(1)}
}
