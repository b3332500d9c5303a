package gssapi

import (
	"bytes"
	"crypto/hmac"
	"encoding/binary"
	"slices"

	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
)

// The header of a Wrap token (RFC 4121 §4.2.6.2): TOK_ID, flags, filler, EC, RRC, SND_SEQ.
const (
	wrapID     = 0x0504
	wrapFiller = 0xFF
	wrapHeader = 16
)

// Flags of a Wrap token (RFC 4121 §4.2.2).
const (
	sentByAcceptor = 1 << iota
	sealed
	acceptorSubkey
)

// maxWrap is the most octets that a client's Wrap token may have: a choice of a layer, what cryptography adds, and a filler.
const maxWrap = 1024

// wrap makes a Wrap token without confidentiality (RFC 4121 §4.2.4): header, message, checksum.
func (c *context) wrap(message []byte) ([]byte, error) {
	header := wrapHead(sentByAcceptor|c.subkeyFlag(), 0, c.sendSequence)
	checksum, err := c.key.checksum(slices.Concat(message, header), keyusage.GSSAPI_ACCEPTOR_SEAL)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(header[4:], uint16(len(checksum))) //nolint:gosec // below 25
	c.sendSequence++
	return slices.Concat(header, message, checksum), nil
}

func wrapHead(flags byte, extra uint16, sequence uint64) []byte {
	header := binary.BigEndian.AppendUint16(make([]byte, 0, wrapHeader), wrapID)
	header = append(header, flags, wrapFiller)
	header = binary.BigEndian.AppendUint16(header, extra)
	header = binary.BigEndian.AppendUint16(header, 0) // RRC
	return binary.BigEndian.AppendUint64(header, sequence)
}

// subkeyFlag is set where the acceptor has said which key the tokens have.
func (c *context) subkeyFlag() byte {
	if c.mutual {
		return acceptorSubkey
	}
	return 0
}

// unwrap gives the message of the client's next Wrap token, with or without confidentiality. RFC 4752 has it without, but it
// does no harm.
func (c *context) unwrap(token []byte) ([]byte, error) {
	if len(token) < wrapHeader || len(token) > maxWrap {
		return nil, malformed("too short or too long for a Wrap token")
	}
	header := slices.Clone(token[:wrapHeader])
	extra := binary.BigEndian.Uint16(header[4:])
	rest := unrotate(token[wrapHeader:], binary.BigEndian.Uint16(header[6:]))
	flags, sequence := header[2], binary.BigEndian.Uint64(header[8:])
	switch {
	case binary.BigEndian.Uint16(header) != wrapID || header[3] != wrapFiller:
		return nil, malformed("not a Wrap token of RFC 4121")
	case flags&(sentByAcceptor|acceptorSubkey) != c.subkeyFlag():
		return nil, failed("Wrap token was not sent by the client, or is of another key")
	case sequence != c.receiveSequence:
		return nil, failed("Wrap token is not the next one")
	}
	c.receiveSequence++
	if flags&sealed != 0 {
		return c.unseal(wrapHead(flags, extra, sequence), rest, int(extra))
	}
	return c.verifySum(wrapHead(flags, 0, sequence), rest, int(extra))
}

// unrotate undoes the rotation to the right by which some senders bring the checksum to the front (RFC 4121 §4.2.5): Windows
// by 12 octets, or 28 with confidentiality ([MS-KILE] §3.4.5.4.1).
func unrotate(data []byte, by uint16) []byte {
	if len(data) == 0 {
		return nil
	}
	n := int(by) % len(data)
	return slices.Concat(data[n:], data[:n])
}

// verifySum gives the message of message | checksum, whose checksum is over message | header, with EC and RRC 0 in it
// (RFC 4121 §4.2.4).
func (c *context) verifySum(header, data []byte, extra int) ([]byte, error) {
	size := c.key.checksumOctets()
	if extra != size || len(data) < size {
		return nil, malformed("Wrap token has no checksum of the key's type")
	}
	message, sent := data[:len(data)-size], data[len(data)-size:]
	sum, err := c.key.checksum(slices.Concat(message, header), keyusage.GSSAPI_INITIATOR_SEAL)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(sum, sent) {
		return nil, failed("checksum of a Wrap token is wrong")
	}
	return message, nil
}

// unseal gives the message of an encrypted message | filler | header, with RRC 0 in it (RFC 4121 §4.2.4).
func (c *context) unseal(header, data []byte, filler int) ([]byte, error) {
	plain, err := c.key.decrypt(data, keyusage.GSSAPI_INITIATOR_SEAL)
	if err != nil {
		return nil, err
	}
	end := len(plain) - wrapHeader - filler
	if end < 0 {
		return nil, malformed("sealed Wrap token is too short for its filler")
	}
	if !bytes.Equal(plain[end+filler:], header) {
		return nil, failed("header of a Wrap token is not the sealed one")
	}
	return plain[:end], nil
}
