package pop3

import "github.com/popservice/popservice/pop3server/config"

// Response codes (RFC 2449 §8). [IN-USE] (§8.1.2) is none of them: there is no lock on a maildrop ([MS-STANXPOP3] §2.1.3).
const (
	codeTemporary  = "SYS/TEMP"    // RFC 3206 §4: it passes by itself, and nobody need be alarmed
	codePermanent  = "SYS/PERM"    // RFC 3206 §4: it stays until somebody looks after it
	codeAuth       = "AUTH"        // RFC 3206 §5: name or password, the same whatever was wrong with them
	codeLoginDelay = "LOGIN-DELAY" // RFC 2449 §8.1.1
	codeUTF8       = "UTF8"        // RFC 6856 §5
)

// line gives the status line. RFC 2449 §6.4, §8: its response code stands in brackets right behind "-ERR ", where the settings
// tell clients of such codes; Exchange has none.
func (r *refusal) line(settings Settings) string {
	if !settings.tellsCode(r.code) {
		return "-ERR " + r.text + "\r\n"
	}
	return "-ERR [" + r.code + "] " + r.text + "\r\n"
}

// tellsCode tells whether a refusal has its response code. RFC 3206 §6: AUTH has a capability of its own, which promises that
// no failure of name and password goes without it.
func (s Settings) tellsCode(code string) bool {
	return code != "" && s.has(config.CapabilityRespCodes) && (code != codeAuth || s.has(config.CapabilityAuthRespCode))
}
