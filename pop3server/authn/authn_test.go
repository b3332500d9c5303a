package authn

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

var remote = netip.MustParseAddr("192.0.2.1")

// fixture is an Authenticator over records that the test may change.
type fixture struct {
	*Authenticator
	records map[string]directory.Record
	lockout Lockout
	log     bytes.Buffer
}

func (f *fixture) Lookup(address string) (directory.Record, bool) {
	r, ok := f.records[strings.ToLower(address)]
	return r, ok
}

func (f *fixture) LookupPrincipal(p directory.Principal) (directory.Record, bool) {
	for _, r := range f.records {
		for _, c := range r.Credentials {
			if c.Principal == p {
				return r, true
			}
		}
	}
	return directory.Record{}, false
}

// verify logs in with a name and a password, from the usual place.
func (f *fixture) verify(t *testing.T, name, password string) (directory.Record, error) {
	t.Helper()
	return f.verifyFrom(t, remote, "", name, password)
}

func (f *fixture) verifyFrom(t *testing.T, remote netip.Addr, authzid, name, password string) (directory.Record, error) {
	t.Helper()
	l := f.Begin(t.Context(), remote)
	err := l.Password(authzid, name, []byte(password))
	if err != nil {
		l.Failed(err)
	} else {
		l.Succeeded()
	}
	return l.Mailbox(), err
}

func newFixture(records map[string]directory.Record) *fixture {
	f := &fixture{records: records, lockout: Lockout{PerAddress: 1000, PerMailbox: 1000, Window: time.Hour}}
	f.Authenticator = New(Options{
		Directory:     f,
		Domains:       func() Domains { return Domains{{Name: "example.com", NetBIOSName: "EXAMPLE", Realm: "R.EXAMPLE.COM"}} },
		Lockout:       func() Lockout { return f.lockout },
		MaxConcurrent: func() int { return 2 },
		Log:           slog.New(slog.NewJSONHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registerer:    prometheus.NewRegistry(),
	})
	return f
}

func record(id string, state directory.State, verifiers ...string) directory.Record {
	r := directory.Record{ID: id, State: state}
	for i, v := range verifiers {
		r.Credentials = append(r.Credentials, directory.Credential{Name: string(rune('a' + i)), Verifier: v})
	}
	return r
}

func TestVerify(t *testing.T) {
	secret := verifier.Derive([]byte("secret"))
	refused := record("refused", directory.Enabled, secret)
	refused.NoPOP3 = true
	f := newFixture(map[string]directory.Record{
		"one@example.com":      record("one", directory.Enabled, secret),
		"two@example.com":      record("two", directory.Enabled, verifier.Derive([]byte("first")), secret),
		"disabled@example.com": record("disabled", directory.Disabled, secret),
		"refused@example.com":  refused,
		"none@example.com":     record("none", directory.Enabled),
		"broken@example.com":   record("broken", directory.Enabled, "{ARGON2ID}nonsense"),
		"mixed@example.com":    record("mixed", directory.Enabled, "{ARGON2ID}nonsense", secret),
	})
	for _, test := range []struct {
		name, password, id string
	}{
		{"one@example.com", "secret", "one"},
		{"ONE@Example.Com", "secret", "one"},
		{"two@example.com", "first", "two"},
		{"two@example.com", "secret", "two"},
		{"mixed@example.com", "secret", "mixed"},
		{"one@example.com", "Secret", ""},
		{"one@example.com", "", ""},
		{"unknown@example.com", "secret", ""},
		{"disabled@example.com", "secret", ""},
		{"refused@example.com", "secret", ""},
		{"none@example.com", "secret", ""},
		{"broken@example.com", "secret", ""},
	} {
		got, err := f.verify(t, test.name, test.password)
		if got.ID != test.id || (test.id == "") != errors.Is(err, ErrRejected) {
			t.Errorf("Verify(%q, %q) = %q, %v; want %q", test.name, test.password, got.ID, err, test.id)
		}
	}
}

func TestRightPasswordIsHashedOnce(t *testing.T) {
	f := newFixture(map[string]directory.Record{"a@b": record("id", directory.Enabled, verifier.Derive([]byte("secret")))})
	for range 3 {
		if _, err := f.verify(t, "a@b", "secret"); err != nil {
			t.Fatal(err)
		}
	}
	wantCount(t, f.metrics.matched, 1)
	wantCount(t, f.metrics.remembered, 2)
}

func TestWrongPasswordIsHashedEachTime(t *testing.T) {
	f := newFixture(map[string]directory.Record{"a@b": record("id", directory.Enabled, verifier.Derive([]byte("secret")))})
	for range 2 {
		if _, err := f.verify(t, "a@b", "wrong"); !errors.Is(err, ErrRejected) {
			t.Fatal(err)
		}
	}
	wantCount(t, f.metrics.rejected, 2)
}

func TestRememberedPasswordDiesWithItsRecord(t *testing.T) {
	old := record("id", directory.Enabled, verifier.Derive([]byte("old")))
	disabled := record("id", directory.Disabled, old.Credentials[0].Verifier)
	changed := record("id", directory.Enabled, verifier.Derive([]byte("new")))
	for name, now := range map[string]map[string]directory.Record{
		"password changed": {"a@b": changed},
		"disabled":         {"a@b": disabled},
		"removed":          {},
	} {
		f := newFixture(map[string]directory.Record{"a@b": old})
		if _, err := f.verify(t, "a@b", "old"); err != nil {
			t.Fatal(err)
		}
		f.records = now
		if _, err := f.verify(t, "a@b", "old"); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: the old password gives %v", name, err)
		}
	}
}

func TestBusyWorkersRefuse(t *testing.T) {
	f := newFixture(nil)
	f.workers = newWorkers(func() int { return 0 }, 0, 0)
	if _, err := f.verify(t, "a@b", "secret"); !errors.Is(err, ErrBusy) {
		t.Errorf("Verify without workers gives %v, want ErrBusy", err)
	}
	wantCount(t, f.metrics.busy, 1)
}

func TestLogHoldsNoSecretAndNoControls(t *testing.T) {
	f := newFixture(map[string]directory.Record{"a@b": record("id", directory.Enabled, verifier.Derive([]byte("hunter2")))})
	for _, name := range []string{"a@b", "x\r\n\x1b[31m" + strings.Repeat("y", 500)} {
		_, _ = f.verify(t, name, "hunter2")
		_, _ = f.verify(t, name, "hunter3")
	}
	log := f.log.String()
	for _, leak := range []string{"hunter", `\u001b`, `\n`, strings.Repeat("y", 100), "argon2id"} {
		if strings.Contains(log, leak) {
			t.Errorf("the log holds %q:\n%s", leak, log)
		}
	}
}

func wantCount(t *testing.T, counter prometheus.Counter, want float64) {
	t.Helper()
	if got := testutil.ToFloat64(counter); got != want {
		t.Errorf("counter is %v, want %v", got, want)
	}
}
