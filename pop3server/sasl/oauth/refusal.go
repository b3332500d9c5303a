package oauth

import "encoding/json"

// refuseBearer is the challenge after a failure (RFC 7628 §3.2.2). The status is the same for all, so that nobody learns
// whether a token, its scope, or the mailbox is what was wrong.
func refuseBearer(o Options) []byte {
	return encode(struct {
		Status    string `json:"status"`
		Scope     string `json:"scope,omitempty"`
		Discovery string `json:"openid-configuration,omitempty"`
	}{"invalid_token", o.Scope, o.Discovery})
}

// refuseXOAuth2 is the challenge after a failure ("Error Response" of Google's description): an HTTP status, and the schemes
// and the scope that would do.
func refuseXOAuth2(o Options) []byte {
	return encode(struct {
		Status  string `json:"status"`
		Schemes string `json:"schemes"`
		Scope   string `json:"scope,omitempty"`
	}{"401", "bearer", o.Scope})
}

// encode gives JSON. Text always has such a form.
func encode(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}
