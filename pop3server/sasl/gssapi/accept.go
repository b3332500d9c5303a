package gssapi

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jcmturner/gokrb5/v8/iana/keyusage"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// context is a security context (RFC 2743 §1.1.3): what an AP-REQ has established.
type context struct {
	client          Principal
	session         key // of the ticket
	key             key // of Wrap tokens
	mutual          bool
	integrity       bool
	sendSequence    uint64
	receiveSequence uint64
	time            time.Time // of the authenticator
	microseconds    int32
}

// Bits of ap-options (RFC 4120 §5.5.1) and of a ticket's flags (§5.3, RFC 8062 §3).
const (
	optionUseSessionKey        = 1
	flagInvalid                = 7
	flagTransitedPolicyChecked = 12
	flagAnonymous              = 16
	wellKnown                  = "WELLKNOWN" // RFC 6111
)

// maxComponents is the most components that a name may have.
const maxComponents = 8

// verify accepts an AP-REQ (RFC 4120 §3.2.3). What it has accepted it does not accept again.
func (o *Options) verify(message []byte) (*context, error) {
	request, err := parseAPReq(message)
	if err != nil {
		return nil, err
	}
	ticket, err := o.openTicket(request)
	if err != nil {
		return nil, err
	}
	auth, err := o.openAuthenticator(request, ticket)
	if err != nil {
		return nil, err
	}
	sum, err := parseChecksum(auth)
	if err != nil {
		return nil, err
	}
	if err := o.checkBinding(sum.binding, auth.bindingAware); err != nil {
		return nil, err
	}
	// Last, so that what is relayed to the wrong place does no harm to the client that it comes from.
	if err := o.remember(request); err != nil {
		return nil, err
	}
	return newContext(ticket, auth, sum), nil
}

// newContext has the tokens' key and first sequence number: the client's key if it has made one, the ticket's otherwise
// (RFC 4121 §2). Where there is no AP-REP, both sides begin with the client's number, as MIT Kerberos does.
func newContext(t *ticketPart, a *authenticator, sum checksum) *context {
	c := &context{
		client:    Principal{Name: strings.Join(t.client, "/"), Realm: t.realm},
		session:   t.key,
		key:       t.key,
		mutual:    sum.flags&flagMutual != 0,
		integrity: sum.flags&flagIntegrity != 0,
		time:      a.time, microseconds: a.microseconds,
		sendSequence: uint64(a.sequence), receiveSequence: uint64(a.sequence),
	}
	if a.subkey != nil {
		c.key = *a.subkey
	}
	return c
}

// openTicket decrypts the ticket with the service's key, and checks all that does not take the authenticator.
func (o *Options) openTicket(request *apReq) (*ticketPart, error) {
	if request.options.At(optionUseSessionKey) == 1 {
		return nil, failed("ticket is one from user to user")
	}
	key, ok := o.Keytab.find(request.service, request.realm, request.ticket.etype, request.ticket.kvno)
	if !ok {
		return nil, failed("keytab has no key for the ticket's service, realm, version and encryption type")
	}
	plain, err := key.open(request.ticket, keyusage.KDC_REP_TICKET)
	if err != nil {
		return nil, err
	}
	ticket, err := parseTicketPart(plain)
	if err != nil {
		return nil, err
	}
	if err := o.checkTimes(ticket); err != nil {
		return nil, err
	}
	return ticket, ticket.checkClient(request.realm)
}

// checkTimes says whether the ticket is valid now (RFC 4120 §3.2.3).
func (o *Options) checkTimes(t *ticketPart) error {
	now := o.Now()
	switch {
	case t.start.Sub(now) > o.MaxSkew, t.flags.At(flagInvalid) == 1:
		return failed("ticket is not valid yet")
	case now.Sub(t.end) > o.MaxSkew:
		return failed("ticket has expired")
	}
	return nil
}

// checkClient says whether the ticket is that of somebody who can be named. Where other realms were between the client's and
// the service's, a KDC must have checked that they may be (RFC 4120 §2.7).
func (t *ticketPart) checkClient(realm string) error {
	switch {
	case t.flags.At(flagAnonymous) == 1, t.client.anonymous(), strings.HasPrefix(t.realm, wellKnown):
		return failed("client is anonymous")
	case !t.client.plain() || !plainText(t.realm, ""):
		return failed("client's name is empty or cannot be written without escapes")
	case t.realm != realm && len(t.transited) > 0 && t.flags.At(flagTransitedPolicyChecked) != 1:
		return failed("no KDC has checked the realms between the client's and the service's")
	case !t.key.usable():
		return failed("ticket's session key is of no accepted encryption type")
	}
	return nil
}

// anonymous tells whether the name is one that is nobody's (RFC 6111, RFC 8062).
func (n principalName) anonymous() bool { return len(n) > 0 && n[0] == wellKnown }

// plain tells whether the components, joined with "/", are the name of nobody else.
func (n principalName) plain() bool {
	for _, component := range n {
		if !plainText(component, `/@\`) {
			return false
		}
	}
	return len(n) > 0
}

func plainText(text, without string) bool {
	return text != "" && len(text) <= maxAuthzid && utf8.ValidString(text) &&
		!strings.ContainsAny(text, without) && !strings.ContainsFunc(text, unicode.IsControl)
}

// openAuthenticator decrypts the authenticator with the ticket's key, which proves that the client has that key, and checks
// that it is the ticket's client's and made now (RFC 4120 §3.2.3).
func (o *Options) openAuthenticator(request *apReq, t *ticketPart) (*authenticator, error) {
	plain, err := t.key.open(request.authenticator, keyusage.AP_REQ_AUTHENTICATOR)
	if err != nil {
		return nil, err
	}
	a, err := parseAuthenticator(plain)
	if err != nil {
		return nil, err
	}
	made := a.time.Add(time.Duration(a.microseconds) * time.Microsecond)
	switch {
	case a.realm != t.realm || !slices.Equal(a.client, t.client):
		return nil, failed("authenticator is of another client than the ticket")
	case a.microseconds < 0 || a.microseconds > 999_999:
		return nil, malformed("authenticator's microseconds are more than a second")
	case o.Now().Sub(made).Abs() > o.MaxSkew:
		return nil, failed("client's clock and this one are too far apart")
	case a.subkey != nil && !a.subkey.usable():
		return nil, failed("authenticator's key is of no accepted encryption type")
	}
	return a, nil
}

// checkBinding judges the client's channel binding. A client that says it always sends one where it has one does not leave it
// out: then somebody else has made the connection ([MS-KILE] §3.2.5.8, KERB_AP_OPTIONS_CBT).
func (o *Options) checkBinding(sent binding.Digest, aware bool) error {
	policy := o.Policy
	if none := (binding.Digest{}); aware && o.Binding != none && policy == binding.Allow {
		policy = binding.Require
	}
	if err := policy.Check(o.Binding, sent); err != nil {
		return fmt.Errorf("%w: GSSAPI: %w", sasl.ErrFailed, err)
	}
	return nil
}

// remember refuses an AP-REQ that was there before. The authenticator is random and cannot be changed, so its hash is its name.
// It is accepted until MaxSkew after its time, which can be as much after now.
func (o *Options) remember(request *apReq) error {
	sum := sha256.Sum256(request.authenticator.cipher)
	now := o.Now()
	return o.Replays.add(replayID(sum[:]), now, now.Add(2*o.MaxSkew))
}
