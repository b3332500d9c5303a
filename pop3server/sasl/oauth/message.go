package oauth

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what clients may send, in octets.
const (
	MaxToken   = 16 << 10         // tokens with a long list of groups have some 10 KiB
	MaxMessage = MaxToken + 2<<10 // a token, names, a host and a port
	maxName    = 255
)

// maxPairs bounds the pairs of a message, of which the RFC defines three.
const maxPairs = 16

// kvsep is the character ^A, which ends a pair and, once more, the message (RFC 7628 §3.1).
const kvsep = "\x01"

// Errors of the grammar. They quote nothing of the message, which has a token in it.
var (
	errHeader   = errors.New(`want "n," or "y,", a name and a comma in front`)
	errName     = errors.New("want a name of 1 to 255 octets of UTF-8 text without control characters")
	errPairs    = errors.New("want pairs of key and value, each with a ^A after it, and one more ^A")
	errAuth     = errors.New("want one pair with the key auth")
	errOrder    = errors.New("want user and auth, in this order, and nothing else")
	errBearer   = errors.New(`want "Bearer" and a token`)
	errTooLarge = errors.New("the token is too large")
)

// message is what the messages of both mechanisms say.
type message struct{ authzid, token string }

// parseBearer takes a message of OAUTHBEARER apart: gs2-header kvsep *kvpair kvsep (RFC 7628 §3.1). host and port, where
// they are there, matter to tokens that sign the request and not to bearer tokens. Other keys are for later extensions.
func parseBearer(text string) (message, error) {
	authzid, rest, err := cutHeader(text)
	if err != nil {
		return message{}, err
	}
	rest, found := strings.CutPrefix(rest, kvsep)
	if !found {
		return message{}, errPairs
	}
	pairs, err := parsePairs(rest)
	if err != nil {
		return message{}, err
	}
	credentials, err := onlyAuth(pairs)
	if err != nil {
		return message{}, err
	}
	token, err := parseCredentials(credentials)
	return message{authzid, token}, err
}

// parseXOAuth2 takes a message of XOAUTH2 apart: "user=" name ^A "auth=Bearer " token ^A ^A.
func parseXOAuth2(text string) (message, error) {
	pairs, err := parsePairs(text)
	if err != nil {
		return message{}, err
	}
	if len(pairs) != 2 || pairs[0].key != "user" || pairs[1].key != "auth" {
		return message{}, errOrder
	}
	user := pairs[0].value
	if !isName(user) {
		return message{}, errName
	}
	token, err := parseCredentials(pairs[1].value)
	return message{user, token}, err
}

// cutHeader takes the gs2-header off: gs2-cb-flag "," ["a=" saslname] "," (RFC 5801 §4). Nothing binds a bearer token to the
// channel, so a client may only say that it knows no channel binding, or that it saw none offered.
func cutHeader(text string) (authzid, rest string, err error) {
	flag, text, _ := strings.Cut(text, ",")
	name, rest, found := strings.Cut(text, ",")
	if !found || (flag != "n" && flag != "y") {
		return "", "", errHeader
	}
	if name == "" {
		return "", rest, nil
	}
	name, found = strings.CutPrefix(name, "a=")
	if !found {
		return "", "", errHeader
	}
	authzid, found = unescape(name)
	if !found || !isName(authzid) {
		return "", "", errName
	}
	return authzid, rest, nil
}

// unescape decodes a saslname, in which =2C is a comma and =3D an equals sign, and nothing else is escaped (RFC 5801 §4).
func unescape(name string) (string, bool) {
	var decoded strings.Builder
	for {
		before, after, found := strings.Cut(name, "=")
		decoded.WriteString(before)
		switch {
		case !found:
			return decoded.String(), true
		case strings.HasPrefix(after, "2C"):
			decoded.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			decoded.WriteByte('=')
		default:
			return "", false
		}
		name = after[2:]
	}
}

func isName(name string) bool {
	return name != "" && len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}

type pair struct{ key, value string }

// parsePairs takes *kvpair kvsep apart (RFC 7628 §3.1). Of none nothing can be made, so there must be one.
func parsePairs(text string) ([]pair, error) {
	body, found := strings.CutSuffix(text, kvsep+kvsep)
	if !found || strings.Count(body, kvsep) >= maxPairs {
		return nil, errPairs
	}
	var pairs []pair
	for field := range strings.SplitSeq(body, kvsep) {
		key, value, found := strings.Cut(field, "=")
		if !found || !isKey(key) || !isValue(value) {
			return nil, errPairs
		}
		pairs = append(pairs, pair{key, value})
	}
	return pairs, nil
}

func isKey(key string) bool { // 1*ALPHA
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool { return !isAlpha(r) })
}

// isValue is *(VCHAR / SP / HTAB / CR / LF), and for the names of XOAUTH2 also what UTF-8 adds to VCHAR.
func isValue(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r)
	})
}

// onlyAuth gives the value of auth, which must be there, and once: of two, somebody between may have checked the other.
func onlyAuth(pairs []pair) (string, error) {
	var found []string
	for _, p := range pairs {
		if p.key == "auth" {
			found = append(found, p.value)
		}
	}
	if len(found) != 1 {
		return "", errAuth
	}
	return found[0], nil
}

// parseCredentials gives the token of "Bearer" 1*SP b64token (RFC 6750 §2.1). The scheme's case does not matter (RFC 9110
// §11.1). A client that wants to discover the issuer sends no credentials (RFC 7628 §4.3), which is a failure like others.
func parseCredentials(credentials string) (token string, err error) {
	scheme, token, _ := strings.Cut(credentials, " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || !isToken(token) {
		return "", errBearer
	}
	if len(token) > MaxToken {
		return "", errTooLarge
	}
	return token, nil
}

// isToken is 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=".
func isToken(token string) bool {
	body := strings.TrimRight(token, "=")
	return body != "" && !strings.ContainsFunc(body, func(r rune) bool {
		return !isAlpha(r) && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/", r)
	})
}

func isAlpha(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
