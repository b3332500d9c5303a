package oauth

import (
	"strings"
	"testing"
)

// FuzzBearer: what is understood can be written anew and is then understood the same.
func FuzzBearer(f *testing.F) {
	f.Add("n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer tok==\x01\x01")
	f.Add("y,,\x01auth=bearer a-._~+/\x01\x01")
	f.Add("n,a=a=2Cb=3D,\x01auth=\x01\x01")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseBearer(text)
		if err != nil {
			return
		}
		checkToken(t, m.token)
		if m.authzid != "" && !isName(m.authzid) {
			t.Errorf("authzid is %q", m.authzid)
		}
		name := strings.NewReplacer(",", "=2C", "=", "=3D").Replace(m.authzid)
		if name != "" {
			name = "a=" + name
		}
		if again, err := parseBearer("n," + name + ",\x01auth=Bearer " + m.token + "\x01\x01"); err != nil || again != m {
			t.Errorf("%q is %+v; written anew, %+v, %v", text, m, again, err)
		}
	})
}

// FuzzXOAuth2: what is understood has one form alone, but for the scheme and the spaces after it.
func FuzzXOAuth2(f *testing.F) {
	f.Add("user=someuser@example.com\x01auth=Bearer ya29.vF9\x01\x01")
	f.Add("user=a\x01auth=bearer  b==\x01\x01")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseXOAuth2(text)
		if err != nil {
			return
		}
		checkToken(t, m.token)
		if !isName(m.authzid) {
			t.Errorf("user is %q", m.authzid)
		}
		prefix, suffix := "user="+m.authzid+"\x01auth=", m.token+"\x01\x01"
		scheme := strings.TrimSuffix(strings.TrimPrefix(text, prefix), suffix)
		if len(prefix)+len(scheme)+len(suffix) != len(text) || !strings.EqualFold(strings.TrimRight(scheme, " "), "bearer") {
			t.Errorf("%q is taken for %+v", text, m)
		}
	})
}

func checkToken(t *testing.T, token string) {
	t.Helper()
	if token == "" || len(token) > MaxToken || strings.ContainsAny(token, " \x00\x01\r\n,") {
		t.Errorf("token is %q", token)
	}
}
