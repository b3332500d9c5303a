package ntlm

// flags is a NEGOTIATE structure ([MS-NLMP] §2.2.2.5), without the prefix NTLMSSP_ of its names.
type flags uint32

const (
	negotiateUnicode         flags = 1 << 0
	negotiateOEM             flags = 1 << 1
	requestTarget            flags = 1 << 2
	negotiateSign            flags = 1 << 4
	negotiateSeal            flags = 1 << 5
	negotiateNTLM            flags = 1 << 9
	negotiateAnonymous       flags = 1 << 11
	negotiateAlwaysSign      flags = 1 << 15
	targetTypeDomain         flags = 1 << 16
	targetTypeServer         flags = 1 << 17
	negotiateExtendedSession flags = 1 << 19
	negotiateTargetInfo      flags = 1 << 23
	negotiateVersion         flags = 1 << 25
	negotiate128             flags = 1 << 29
	negotiateKeyExchange     flags = 1 << 30
	negotiate56              flags = 1 << 31
)

// any tells whether at least one of some flags is set.
func (f flags) any(of flags) bool { return f&of != 0 }

// Flags of a challenge: those it always has, and those it has where the client asks for them. Windows answers 56 and 128 like
// that although they mean nothing without signing ([MS-NLMP] §3.2.5.1.1). There is no LM_KEY and no DATAGRAM.
const (
	challengeFlags = requestTarget | negotiateNTLM | negotiateAlwaysSign | negotiateTargetInfo
	grantedFlags   = negotiateSign | negotiateSeal | negotiateExtendedSession | negotiateVersion | negotiate128 | negotiate56
)

// accept gives the flags of the challenge to a client that requests these, all but the target's type.
func (f flags) accept() flags {
	accepted := challengeFlags | f&grantedFlags
	if f.any(negotiateUnicode) { // wins over OEM ([MS-NLMP] §2.2.2.5 NTLMSSP_NEGOTIATE_OEM)
		accepted |= negotiateUnicode
	} else {
		accepted |= negotiateOEM
	}
	if f.any(negotiateSign | negotiateSeal) { // without them a key has no use
		accepted |= f & negotiateKeyExchange
	}
	return accepted
}

// exchangesKey tells whether the client chooses the session key ([MS-NLMP] §3.2.5.1.2).
func (f flags) exchangesKey() bool {
	return f.any(negotiateKeyExchange) && f.any(negotiateSign|negotiateSeal)
}
