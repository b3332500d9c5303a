//go:build kerberos

// Package kerberos has MIT Kerberos log in to the mechanism GSSAPI, with tickets of a KDC of its own. `make kerberos` installs
// what that takes.
package kerberos

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/sasl/binding"
	"github.com/popservice/popservice/pop3server/sasl/gssapi"
	"github.com/popservice/popservice/test/kerberos/realm"
)

const realmName = "TEST.EXAMPLE"

// newRealm is a realm in which alice is logged in.
func newRealm(t *testing.T) *realm.Realm {
	t.Helper()
	r, err := realm.Start(realmName, t.TempDir())
	if err != nil {
		t.Fatalf("%v: `make kerberos` installs the packages of MIT Kerberos", err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := r.AddUser("alice", "secret"); err != nil {
		t.Fatal(err)
	}
	if err := r.Login("alice", "secret"); err != nil {
		t.Fatal(err)
	}
	return r
}

// serve takes connections that speak as much of POP3 as AUTH GSSAPI takes, with options as they are when a connection begins.
func serve(t *testing.T, options *gssapi.Options) (address string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			session(t, c, *options)
		}
	}()
	return l.Addr().String()
}

// session is one login.
func session(t *testing.T, c net.Conn, options gssapi.Options) {
	defer func() { _ = c.Close() }()
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, 100_000)
	_, _ = fmt.Fprint(c, "+OK\r\n")
	if !lines.Scan() || lines.Text() != "AUTH GSSAPI" {
		t.Errorf("the client says %q, want AUTH GSSAPI", lines.Text())
		return
	}
	user := ""
	options.Authorize = func(client gssapi.Principal, authzid string) error {
		user = client.String() + " as " + authzid
		return nil
	}
	m := gssapi.New(options)
	for response := []byte(nil); ; {
		challenge, done, err := m.Next(response)
		if done || err != nil {
			_, _ = fmt.Fprint(c, answer(user, err))
			return
		}
		_, _ = fmt.Fprintf(c, "+ %s\r\n", base64.StdEncoding.EncodeToString(challenge))
		if !lines.Scan() {
			return
		}
		if response, err = base64.StdEncoding.DecodeString(lines.Text()); err != nil {
			t.Error(err)
			return
		}
	}
}

// answer is the end of a login.
func answer(user string, err error) string {
	if err != nil {
		return "-ERR " + strings.ReplaceAll(err.Error(), "\n", " ") + "\r\n"
	}
	return "+OK " + user + "\r\n"
}

// login runs the client and gives the server's last line.
func login(t *testing.T, r *realm.Realm, address, service string, options ...string) string {
	t.Helper()
	output, err := r.Run("", "/usr/bin/python3", append([]string{"testdata/client.py", address, service}, options...)...)
	if err != nil && strings.Contains(err.Error(), "Traceback") {
		t.Fatal(err)
	}
	if err != nil {
		output = err.Error()
	}
	return output
}

func options(t *testing.T, keytab []byte) *gssapi.Options {
	t.Helper()
	k, err := gssapi.LoadKeytab(keytab)
	if err != nil {
		t.Fatal(err)
	}
	return &gssapi.Options{Keytab: k, Policy: binding.None, Replays: gssapi.NewReplayCache(1000)}
}

// Every encryption type, with and without each thing that a client may ask for.
func TestClientOfMIT(t *testing.T) {
	r := newRealm(t)
	for _, etype := range []string{
		"aes128-cts-hmac-sha1-96", "aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha256-128", "aes256-cts-hmac-sha384-192",
	} {
		host := etype + ".test.example"
		keytab, err := r.AddService("pop/"+host, etype+":normal")
		if err != nil {
			t.Fatal(err)
		}
		o := options(t, keytab)
		o.SPNEGO = true
		address := serve(t, o)
		for _, test := range []struct {
			options []string
			want    string
		}{
			{nil, "+OK alice@TEST.EXAMPLE as \n"},
			{[]string{"mutual=no"}, "+OK alice@TEST.EXAMPLE as \n"},
			{[]string{"authzid=bób"}, "+OK alice@TEST.EXAMPLE as bób\n"},
			{[]string{"seal=yes", "authzid=bob"}, "+OK alice@TEST.EXAMPLE as bob\n"},
			{[]string{"seal=yes", "mutual=no"}, "+OK alice@TEST.EXAMPLE as \n"},
			{[]string{"delegate=yes"}, "+OK alice@TEST.EXAMPLE as \n"},
			{[]string{"spnego=yes"}, "+OK alice@TEST.EXAMPLE as \n"},
			{[]string{"spnego=yes", "mutual=no"}, "+OK alice@TEST.EXAMPLE as \n"},
			{[]string{"layer=2"}, "-ERR"},
			{[]string{"layer=3"}, "-ERR"},
			{[]string{"layer=0"}, "-ERR"},
		} {
			t.Run(etype+" "+strings.Join(test.options, " "), func(t *testing.T) {
				got := login(t, r, address, "pop@"+host, test.options...)
				if got != test.want && (test.want != "-ERR" || !strings.Contains(got, "-ERR ")) {
					t.Errorf("the server answers %q, want %q", got, test.want)
				}
			})
		}
	}
}

func TestChannelBindings(t *testing.T) {
	r := newRealm(t)
	keytab, err := r.AddService("pop/mail.test.example")
	if err != nil {
		t.Fatal(err)
	}
	hash := bytes.Repeat([]byte{0x11}, 32)
	o := options(t, keytab)
	o.Binding = binding.OfEndPoint(hash)
	address := serve(t, o)
	right, wrong := "binding="+hex.EncodeToString(hash), "binding=22"
	for _, test := range []struct {
		policy  binding.Policy
		aware   bool
		options []string
		ok      bool
	}{
		{binding.None, false, []string{wrong}, true},
		{binding.Allow, false, nil, true},
		{binding.Allow, false, []string{right}, true},
		{binding.Allow, false, []string{wrong}, false},
		{binding.Allow, true, nil, false},
		{binding.Allow, true, []string{right}, true},
		{binding.Require, false, nil, false},
		{binding.Require, false, []string{wrong}, false},
		{binding.Require, false, []string{right}, true},
		{binding.Require, true, []string{right, "mutual=no"}, true},
	} {
		r.BindingAware, o.Policy = test.aware, test.policy
		if err := r.WriteConfig(); err != nil {
			t.Fatal(err)
		}
		if got := login(t, r, address, "pop@mail.test.example", test.options...); strings.HasPrefix(got, "+OK") != test.ok {
			t.Errorf("%s, aware %v, %v: the server answers %q", test.policy, test.aware, test.options, got)
		}
	}
}

// Windows asks for POP, not pop.
func TestServiceAskedForInCapitals(t *testing.T) {
	r := newRealm(t)
	keytab, err := r.AddService("POP/mail.test.example")
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, keytab)
	if want := []string{"POP/mail.test.example@" + realmName}; !slices.Equal(o.Keytab.Principals(), want) {
		t.Errorf("the keytab has %q, want %q", o.Keytab.Principals(), want)
	}
	if got := login(t, r, serve(t, o), "POP@mail.test.example"); got != "+OK alice@TEST.EXAMPLE as \n" {
		t.Errorf("the server answers %q", got)
	}
}
