package ntlm

import (
	"encoding/binary"
	"fmt"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// avID says what an AV_PAIR is ([MS-NLMP] §2.2.2.1), without the prefix MsvAv of its names.
type avID uint16

const (
	avEOL             avID = 0
	avNbComputerName  avID = 1
	avNbDomainName    avID = 2
	avDNSComputerName avID = 3
	avDNSDomainName   avID = 4
	avFlags           avID = 6
	avTimestamp       avID = 7
	avChannelBindings avID = 10
)

const (
	avHeader    = 4 // octets of an AV_PAIR without its value
	flagsOctets = 4 // of the value of avFlags
)

// avFlagMIC in the value of avFlags says that the message has a MIC.
const avFlagMIC = 0x2

// avPairs has the values that count in a client's list of AV_PAIRs, nil where there is none. They are parts of the message.
type avPairs struct{ flags, channelBindings []byte }

// hasMIC tells whether the client says that its message has a MIC.
func (p avPairs) hasMIC() bool {
	return p.flags != nil && binary.LittleEndian.Uint32(p.flags)&avFlagMIC != 0
}

// binding gives the client's channel binding, zero if there is none.
func (p avPairs) binding() binding.Digest {
	if p.channelBindings == nil {
		return binding.Digest{}
	}
	return binding.Digest(p.channelBindings)
}

var errPairs = fmt.Errorf("%w NTLM: list of AV_PAIRs", sasl.ErrMalformed)

// parsePairs takes a list apart up to its end, which must be there. Behind it clients have padding.
func parsePairs(list []byte) (avPairs, error) {
	var pairs avPairs
	for len(list) >= avHeader {
		id, length := avID(binary.LittleEndian.Uint16(list)), int(binary.LittleEndian.Uint16(list[2:]))
		list = list[avHeader:]
		if length > len(list) {
			return avPairs{}, errPairs
		}
		if id == avEOL {
			return pairs, endsList(length)
		}
		if err := pairs.set(id, list[:length]); err != nil {
			return avPairs{}, err
		}
		list = list[length:]
	}
	return avPairs{}, errPairs
}

// endsList is [MS-NLMP] §2.2.2.1 MsvAvEOL: AvLen MUST be zero.
func endsList(length int) error {
	if length != 0 {
		return errPairs
	}
	return nil
}

// set takes over a value that counts. There is no more than one of each, lest two readers see different ones.
func (p *avPairs) set(id avID, value []byte) error {
	switch id {
	case avFlags:
		return once(&p.flags, value, flagsOctets)
	case avChannelBindings:
		return once(&p.channelBindings, value, len(binding.Digest{}))
	}
	return nil
}

func once(slot *[]byte, value []byte, length int) error {
	if *slot != nil || len(value) != length {
		return errPairs
	}
	*slot = value
	return nil
}

// appendPair appends a pair to a list.
func appendPair(list []byte, id avID, value []byte) []byte {
	list = binary.LittleEndian.AppendUint16(list, uint16(id))
	list = binary.LittleEndian.AppendUint16(list, uint16(len(value))) //nolint:gosec // our own values are below 1 KiB
	return append(list, value...)
}
