package ntlm

import (
	"errors"
	"slices"
	"testing"

	"github.com/Azure/go-ntlmssp"

	"github.com/popservice/popservice/pop3server/sasl"
)

// azure logs in with another implementation of a client.
func azure(t *testing.T, options Options, login, password string) error {
	t.Helper()
	negotiate, err := ntlmssp.NewNegotiateMessage("", "")
	if err != nil {
		t.Fatal(err)
	}
	return play(t, options, negotiate, func(_, challenge []byte) []byte {
		authenticate, err := ntlmssp.NewAuthenticateMessage(challenge, login, password, nil)
		if err != nil {
			t.Fatal(err)
		}
		return authenticate
	})
}

func TestAzureClient(t *testing.T) {
	for _, test := range []struct{ login, user, domain, password string }{
		{`EXAMPLE\alice`, "alice", "EXAMPLE", "Password"},
		{`alice@example.com`, "alice@example.com", "", "Password"},
		{`alice`, "alice", "", " "},
		{`Bücher\jürgen.ςβ`, "jürgen.ςβ", "Bücher", "Grüße, 世界 🙂"},
		{`EXAMPLE\Straße.🙂`, "Straße.🙂", "EXAMPLE", "ß"},
	} {
		options, logins := server("another", test.password)
		if err := azure(t, options, test.login, test.password); err != nil {
			t.Errorf("%s: %v", test.login, err)
		}
		if want := []login{{test.user, test.domain, 1}}; !slices.Equal(*logins, want) {
			t.Errorf("logins %v, want %v", *logins, want)
		}
		options, _ = server("another", test.password)
		if err := azure(t, options, test.login, test.password+"x"); !errors.Is(err, sasl.ErrFailed) {
			t.Errorf("%s with a wrong password: %v", test.login, err)
		}
	}
}

// The client takes "ı" for a small "I", which Windows does not: its user is to write the name in upper case.
func TestAzureClientAndDotlessI(t *testing.T) {
	for user, good := range map[string]bool{"ışık": false, "IŞIK": true} {
		options, _ := server("Password")
		if err := azure(t, options, user, "Password"); (err == nil) != good {
			t.Errorf("%s: %v", user, err)
		}
	}
}
