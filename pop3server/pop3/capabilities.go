package pop3

import (
	"slices"
	"strconv"

	"github.com/popservice/popservice/pop3server/config"
)

// product is what the server calls itself; with the version behind it, it is one token (RFC 2449 §6.9).
const product = "PopService-pop3d-"

const secondsADay = 24 * 60 * 60

// capability is one that Exchange does not have: it is told where the settings have it.
type capability struct {
	name      config.Capability
	states    state
	arguments func(*session) string // nil where there are none
}

// capabilities are told in this order. In both states, unless a client is to be known first.
var capabilities = []capability{
	{config.CapabilityRespCodes, authorization | transaction, nil},                 // RFC 2449 §6.4
	{config.CapabilityAuthRespCode, authorization | transaction, nil},              // RFC 3206 §6
	{config.CapabilityPipelining, authorization | transaction, nil},                // RFC 2449 §6.6
	{config.CapabilityExpire, authorization | transaction, (*session).expire},      // RFC 2449 §6.7
	{config.CapabilityLoginDelay, authorization | transaction, (*session).delay},   // RFC 2449 §6.5
	{config.CapabilityImplementation, transaction, (*session).implementation},      // RFC 2449 §6.9: strangers learn no version
	{config.CapabilityUTF8, authorization | transaction, (*session).utf8Arguments}, // RFC 6856 §2
	{config.CapabilityLang, authorization | transaction, nil},                      // RFC 6856 §3
}

// has tells whether the settings have a capability.
func (s Settings) has(c config.Capability) bool { return slices.Contains(s.Capabilities, c) }

// capaExtended tells of what Exchange does not have.
func (s *session) capaExtended() {
	for _, c := range capabilities {
		if !s.settings.has(c.name) || c.states&s.state == 0 {
			continue
		}
		s.wire.writeString(string(c.name))
		if c.arguments != nil {
			s.wire.writeString(" ")
			s.wire.writeString(c.arguments(s))
		}
		s.wire.writeString("\r\n")
	}
}

// expire is RFC 2449 §6.7 EXPIRE: for how many whole days no message is removed but by the client. It is told as the store
// does it now, be the connection older or not. Less than a day is 0: nothing may be left on the server.
func (s *session) expire() string {
	age := shortest(s.server.options.Settings().Retention)
	if age == 0 {
		return "NEVER"
	}
	return strconv.FormatInt(age/secondsADay, 10)
}

// shortest gives the shorter one of the ages in seconds at which messages are removed; 0 where there is none.
func shortest(r config.Retention) int64 {
	if r.UnreadMaxAgeSeconds == 0 || r.ReadMaxAgeSeconds == 0 {
		return max(r.UnreadMaxAgeSeconds, r.ReadMaxAgeSeconds)
	}
	return min(r.UnreadMaxAgeSeconds, r.ReadMaxAgeSeconds)
}

// delay is RFC 2449 §6.5 LOGIN-DELAY: it is the same for all users, so that there is no USER behind it.
func (s *session) delay() string { return strconv.Itoa(s.settings.Limits.LoginDelaySeconds) }

// implementation is RFC 2449 §6.9 IMPLEMENTATION.
func (s *session) implementation() string { return product + s.server.options.Version }

// utf8Arguments is RFC 6856 §2.2: names and passwords are UTF-8, be UTF8 used or not.
func (s *session) utf8Arguments() string { return "USER" }
