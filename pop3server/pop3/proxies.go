package pop3

import (
	"fmt"
	"net/netip"

	"github.com/popservice/popservice/pop3server/config"
)

// proxies are the networks whose connections begin with the header of the PROXY protocol. Those from elsewhere are the
// clients' own, and a header in one is no header: so nobody can forge an address.
type proxies []netip.Prefix

// proxiesOf gives the networks that a listener trusts; none if no proxies are in front of it.
func proxiesOf(settings *config.ProxyProtocol) (proxies, error) {
	if settings == nil {
		return nil, nil
	}
	trusted := make(proxies, len(settings.TrustedNetworks))
	for i, text := range settings.TrustedNetworks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trusted network: %w", err)
		}
		trusted[i] = unmapped(network)
	}
	return trusted, nil
}

// unmapped gives the IPv4 network that an IPv4-mapped one stands for: addresses are unmapped too.
func unmapped(network netip.Prefix) netip.Prefix {
	const mappedBits = 96
	if network.Addr().Is4In6() && network.Bits() >= mappedBits {
		return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mappedBits)
	}
	return network
}

// trust tells whether an address is a proxy's. One that is not known is not.
func (p proxies) trust(address netip.Addr) bool {
	for _, network := range p {
		if network.Contains(address.WithZone("")) {
			return true
		}
	}
	return false
}
