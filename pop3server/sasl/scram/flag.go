package scram

import (
	"fmt"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// checkFlag tells whether what the client says of channel binding fits the mechanism, the connection and the policy
// (RFC 5802 §6). It is checked before anything that depends on the user.
func (o *Options) checkFlag(m clientFirst) error {
	switch bound := m.flag == 'p'; {
	case bound != o.Plus:
		return malformed("a channel binding goes with -PLUS, and -PLUS with a channel binding")
	case bound && len(o.Bindings[m.bindingType]) == 0:
		return fmt.Errorf("%w: SCRAM: the connection has no channel binding of this type", sasl.ErrFailed)
	case m.flag == 'y' && o.OffersPlus:
		return fmt.Errorf("%w: SCRAM: somebody has hidden from the client that the server offers -PLUS", sasl.ErrFailed)
	case !bound && o.Policy == binding.Require:
		return fmt.Errorf("%w: SCRAM: %w", sasl.ErrFailed, binding.ErrMismatch)
	}
	return nil
}

// bindingInput gives what the client's cbind-input must be: gs2-header, so that nobody can have changed it on the way, and
// the data of the binding if there is one (RFC 5802 §7).
func (o *Options) bindingInput(m clientFirst) []byte {
	input := []byte(m.header)
	if m.flag == 'p' {
		input = append(input, o.Bindings[m.bindingType]...)
	}
	return input
}
