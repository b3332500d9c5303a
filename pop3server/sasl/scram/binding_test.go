package scram

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/sasl"
	"github.com/popservice/popservice/pop3server/sasl/binding"
)

// with gives options changed.
func with(o Options, change func(*Options)) Options {
	change(&o)
	return o
}

func TestFlags(t *testing.T) {
	offered := with(plain(), func(o *Options) { o.OffersPlus = true })
	required := with(plain(), func(o *Options) { o.Policy = binding.Require })
	unlooked := with(plain(), func(o *Options) { o.Policy = binding.None })
	bare := with(plus(), func(o *Options) { o.Bindings = nil })
	empty := with(plus(), func(o *Options) { o.Bindings = map[string][]byte{"tls-exporter": {}} })
	for _, test := range []struct {
		name    string
		options Options
		flag    string
		kind    error // nil: the exchange goes on
	}{
		{"n, no -PLUS offered", plain(), "n", nil},
		{"y, no -PLUS offered", plain(), "y", nil},
		{"n, -PLUS offered", offered, "n", nil},
		{"y, -PLUS offered: downgrade", offered, "y", sasl.ErrFailed},
		{"n, None", unlooked, "n", nil},
		{"n, Require", required, "n", sasl.ErrFailed},
		{"y, Require", required, "y", sasl.ErrFailed},
		{"p without -PLUS", with(plus(), func(o *Options) { o.Plus = false }), "p=tls-exporter", sasl.ErrMalformed},
		{"exporter", plus(), "p=tls-exporter", nil},
		{"end point", plus(), "p=tls-server-end-point", nil},
		{"exporter, Require", with(plus(), func(o *Options) { o.Policy = binding.Require }), "p=tls-exporter", nil},
		{"exporter, None", with(plus(), func(o *Options) { o.Policy = binding.None }), "p=tls-exporter", nil},
		{"unique", plus(), "p=tls-unique", sasl.ErrFailed},
		{"another spelling", plus(), "p=TLS-EXPORTER", sasl.ErrFailed},
		{"no bindings", bare, "p=tls-exporter", sasl.ErrFailed},
		{"empty binding", empty, "p=tls-exporter", sasl.ErrFailed},
		{"n with -PLUS", plus(), "n", sasl.ErrMalformed},
		{"y with -PLUS", plus(), "y", sasl.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			looked := false
			find := test.options.Lookup
			test.options.Lookup = func(name string) (Credentials, bool) { looked = true; return find(name) }
			m, first := fixed(test.options), test.flag+",,n=user,r=abc"
			if test.kind == nil {
				answers(t, m, first)
				return
			}
			fails(t, m, first, test.kind)
			if looked {
				t.Error("the user was looked up first")
			}
		})
	}
}

// With -PLUS, the proof must be of the GS2 header and of this connection's data, whatever the policy.
func TestBindingData(t *testing.T) {
	exporter, header := string(plus().Bindings["tls-exporter"]), "p=tls-exporter,,"
	for _, policy := range []binding.Policy{binding.None, binding.Allow, binding.Require} {
		for _, test := range []struct {
			name, input string
			ok          bool
		}{
			{"right", header + exporter, true},
			{"of another connection", header + strings.Repeat("\x08", 32), false},
			{"of another type", header + "hash", false},
			{"none", header, false},
			{"cut", header + exporter[:31], false},
			{"more", header + exporter + "x", false},
			{"header of no binding", "n,,", false},
			{"header of no binding, with data", "n,," + exporter, false},
			{"header of another type", "p=tls-server-end-point,," + exporter, false},
			{"header with authzid", "p=tls-exporter,a=user," + exporter, false},
			{"nothing", "", false},
		} {
			t.Run(string(policy)+"/"+test.name, func(t *testing.T) {
				m := fixed(with(plus(), func(o *Options) { o.Policy = policy }))
				bare := "n=user,r=abc"
				final := finalOf("pencil", bare, answers(t, m, header+bare), test.input, "")
				if test.ok {
					answers(t, m, final)
				} else {
					fails(t, m, final, sasl.ErrFailed)
				}
			})
		}
	}
}

// A client whose flag somebody changed on the way has signed the flag that it sent.
func TestChangedFlag(t *testing.T) {
	m := fixed(plain())
	bare := "n=user,r=abc"
	first := answers(t, m, "n,,"+bare)
	fails(t, m, finalOf("pencil", bare, first, "y,,", ""), sasl.ErrFailed)
}

// The nonce must be the exchange's even where the client has signed another (RFC 5802 §5.1).
func TestChangedNonceWithTheRightProof(t *testing.T) {
	m := fixed(plain())
	bare := "n=user,r=abc"
	first := answers(t, m, "n,,"+bare)
	m.(*exchange).nonce += "x"
	fails(t, m, finalOf("pencil", bare, first, "n,,", ""), sasl.ErrFailed)
}

// Errors go to the log, and must have nothing of what the client sent or the server knows.
func TestErrorsQuoteNothing(t *testing.T) {
	exporter := string(plus().Bindings["tls-exporter"])
	m := fixed(plus())
	first := answers(t, m, "p=tls-exporter,,n=user,r=abc")
	final := finalOf("pencil", "n=user,r=abc", first, "p=tls-exporter,,SENT", "")
	_, _, err := m.Next([]byte(final))
	for _, secret := range []string{exporter, "SENT", base64.StdEncoding.EncodeToString([]byte(exporter)), final[len(final)-10:]} {
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("error %q", err)
		}
	}
}
