package issuers

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// leeway is for clocks that differ (RFC 7519 §4.1.4).
const leeway = time.Minute

// maxName bounds the name of a mailbox, in octets.
const maxName = 255

var (
	errExpiry     = errors.New("it has expired, or does not say when it will")
	errNotYet     = errors.New("it is not valid yet")
	errAudience   = errors.New("it is for another audience")
	errScope      = errors.New("it lacks a scope")
	errBound      = errors.New("it is bound to a key which its bearer would have to prove")
	errName       = errors.New("it lacks the claim that names the mailbox")
	errUnverified = errors.New("its issuer has not verified the mail address")
)

// claims is a token's payload, or its header. Unlike with a struct, the case of names matters.
type claims map[string]json.RawMessage

// accept checks what a token says whose signature and issuer are right, and gives the name of the mailbox.
func (i *issuer) accept(c claims, now time.Time) (string, error) {
	if err := c.checkTimes(now); err != nil {
		return "", err
	}
	if !slices.ContainsFunc(c.texts("aud"), func(a string) bool { return slices.Contains(i.Audiences, a) }) {
		return "", errAudience
	}
	if !c.hasScopes(i.RequiredScopes) {
		return "", errScope
	}
	if _, bound := c["cnf"]; bound { // RFC 7800 §3.1; RFC 9449 §7.2: it must not pass as a bearer token
		return "", errBound
	}
	return c.name(i.Claim)
}

// checkTimes checks exp, which must be there, nbf, and iat, which lies in the past wherever clocks are right.
func (c claims) checkTimes(now time.Time) error {
	expiry, ok := c.time("exp")
	if !ok || !now.Before(expiry.Add(leeway)) {
		return errExpiry
	}
	for _, name := range []string{"nbf", "iat"} {
		if _, there := c[name]; !there {
			continue
		}
		begin, ok := c.time(name)
		if !ok || now.Before(begin.Add(-leeway)) {
			return errNotYet
		}
	}
	return nil
}

// hasScopes looks in scope and in scp, where Microsoft and others have it.
func (c claims) hasScopes(required []string) bool {
	var granted []string
	for _, list := range append(c.texts("scope"), c.texts("scp")...) {
		granted = append(granted, strings.Fields(list)...)
	}
	return !slices.ContainsFunc(required, func(s string) bool { return !slices.Contains(granted, s) })
}

// name gives the claim that names the mailbox.
func (c claims) name(claim string) (string, error) {
	name, ok := c.text(claim)
	if !ok || name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", errName
	}
	if claim == ClaimEmail && !c.emailVerified() {
		return "", errUnverified
	}
	return name, nil
}

// emailVerified tells whether the mail address counts: where email_verified is not there, or true. Some issuers write it as
// text.
func (c claims) emailVerified() bool {
	verified, there := c["email_verified"]
	return !there || string(verified) == "true" || string(verified) == `"true"`
}

// text gives a claim that is text.
func (c claims) text(name string) (string, bool) {
	var text *string
	if json.Unmarshal(c[name], &text) != nil || text == nil {
		return "", false
	}
	return *text, true
}

// texts gives a claim that is text or a list of it; nil where it is neither.
func (c claims) texts(name string) []string {
	if text, ok := c.text(name); ok {
		return []string{text}
	}
	var list []string
	if json.Unmarshal(c[name], &list) != nil {
		return nil
	}
	return list
}

// time gives a NumericDate (RFC 7519 §2), which may have a fraction.
func (c claims) time(name string) (time.Time, bool) {
	var seconds *float64
	if json.Unmarshal(c[name], &seconds) != nil || seconds == nil || *seconds < 0 || *seconds > math.MaxUint32 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second))), true
}
