package gssapi

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"golang.org/x/crypto/cryptobyte"
)

// reply makes an AP-REP, which proves to the client that the server could read its ticket (RFC 4120 §5.5.2). With it the
// server brings in a key of its own, which further tokens have (RFC 4121 §2), and its first sequence number. So nobody can go
// on with an AP-REQ that was heard elsewhere, even if this process's replay cache has not seen it.
func (c *context) reply() ([]byte, error) {
	c.key = newKey(c.key.etype)
	c.sendSequence = randomSequence()
	part, err := c.session.encrypt(c.replyPart(), keyusage.AP_REP_ENCPART)
	if err != nil {
		return nil, err
	}
	return encode(tagAPRep, func(b *cryptobyte.Builder) {
		addInteger(b, 0, version)
		addInteger(b, 1, typeAPRep)
		addSequence(b, 2, func(b *cryptobyte.Builder) {
			addInteger(b, 0, int64(c.session.etype))
			addOctets(b, 2, part)
		})
	})
}

// replyPart is EncAPRepPart. It repeats the time of the client's authenticator, to the microsecond.
func (c *context) replyPart() []byte {
	part, _ := encode(tagAPRepPart, func(b *cryptobyte.Builder) { // fails for times beyond the year 9999 only
		addField(b, 0, func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(c.time) })
		addInteger(b, 1, int64(c.microseconds))
		addSequence(b, 2, func(b *cryptobyte.Builder) {
			addInteger(b, 0, int64(c.key.etype))
			addOctets(b, 1, c.key.value)
		})
		addInteger(b, 3, int64(c.sendSequence)) //nolint:gosec // below 2³⁰
	})
	return part
}

// randomSequence gives a first sequence number. It has 30 bits, for some implementations take larger ones for negative.
func randomSequence() uint64 {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // does not fail
	return uint64(binary.BigEndian.Uint32(random) & (1<<30 - 1))
}
