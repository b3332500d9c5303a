package ntlm

import (
	"encoding/binary"
	"unicode/utf16"
)

// Target is who the server says it is, in CHALLENGE. The names are ASCII; of each, 255 characters are told.
type Target struct {
	NetBIOSComputer string // the server's name; clients rely on it
	NetBIOSDomain   string // its domain; without one, the server is its own domain, as Windows outside of a domain is
	DNSComputer     string // the server's name in the DNS, if any
	DNSDomain       string // its domain in the DNS, if any
}

// maxTargetUnits is how much of each of the target's names is told, in code units: what the DNS allows.
const maxTargetUnits = 255

const (
	nonceOctets      = 8 // of the server challenge
	challengeMinimum = 56
)

// version is a VERSION structure ([MS-NLMP] §2.2.2.10), which is for debugging only: that of the specification's examples.
const version = "\x06\x00\x70\x17\x00\x00\x00\x0f"

// challenge is a CHALLENGE_MESSAGE ([MS-NLMP] §2.2.1.2).
type challenge struct {
	flags   flags
	nonce   [nonceOctets]byte
	message []byte // as it goes over the wire
}

// challenge makes the challenge for a client that requests these flags.
func (t Target) challenge(requested flags, nonce [nonceOctets]byte, now filetime) challenge {
	kind, target := t.name()
	accepted := requested.accept() | kind
	octets := []byte(target)
	if accepted.any(negotiateUnicode) {
		octets = encode(target)
	}
	message := encodeChallenge(accepted, nonce, octets, t.info(now))
	return challenge{flags: accepted, nonce: nonce, message: message}
}

// name gives the TargetName and its type.
func (t Target) name() (flags, string) {
	if t.NetBIOSDomain == "" {
		return targetTypeServer, cut(t.NetBIOSComputer)
	}
	return targetTypeDomain, cut(t.NetBIOSDomain)
}

// info gives TargetInfo, a list of AV_PAIRs, which are in Unicode even where OEM is negotiated. With a timestamp clients send
// a MIC ([MS-NLMP] §3.1.5.1.2). There must be no MsvAvFlags: Windows would answer with a wrong MIC.
func (t Target) info(now filetime) []byte {
	_, domain := t.name()
	list := appendPair(nil, avNbDomainName, encode(domain))
	list = appendPair(list, avNbComputerName, encode(t.NetBIOSComputer))
	if t.DNSDomain != "" {
		list = appendPair(list, avDNSDomainName, encode(t.DNSDomain))
	}
	if t.DNSComputer != "" {
		list = appendPair(list, avDNSComputerName, encode(t.DNSComputer))
	}
	list = appendPair(list, avTimestamp, binary.LittleEndian.AppendUint64(nil, uint64(now)))
	return appendPair(list, avEOL, nil)
}

// encodeChallenge lays the message out: the fixed part, then target and info.
func encodeChallenge(accepted flags, nonce [nonceOctets]byte, target, info []byte) []byte {
	m := make([]byte, 0, challengeMinimum+len(target)+len(info))
	m = append(m, signature...)
	m = binary.LittleEndian.AppendUint32(m, typeChallenge)
	m = appendField(m, challengeMinimum, target)
	m = binary.LittleEndian.AppendUint32(m, uint32(accepted))
	m = append(m, nonce[:]...)
	m = append(m, make([]byte, 8)...) // Reserved
	m = appendField(m, challengeMinimum+len(target), info)
	if accepted.any(negotiateVersion) {
		m = append(m, version...)
	} else {
		m = append(m, make([]byte, len(version))...)
	}
	return append(append(m, target...), info...)
}

// cut gives what is told of a name.
func cut(name string) string {
	units := utf16.Encode([]rune(name))
	return string(utf16.Decode(units[:min(len(units), maxTargetUnits)]))
}

// encode gives what is told of a name, as UTF-16LE.
func encode(name string) []byte { return wide(utf16.Encode([]rune(cut(name)))) }
