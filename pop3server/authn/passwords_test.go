package authn

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// derived gives a verifier of a scheme.
func derived(t *testing.T, scheme verifier.Scheme, password string) string {
	t.Helper()
	text, err := verifier.DeriveAs(scheme, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// dear gives a verifier that costs as much as one may; salt and hash are numbers.
func dear(salt, hash int) string {
	const salts, hashes = "c29tZXNhbHRzb21lc2FsdA", "c29tZWhhc2hzb21laGFzaA"
	number := func(text string, n int) string { return fmt.Sprintf("%03d", n) + text[3:] }
	return "{ARGON2ID}$argon2id$v=19$m=262144,t=4,p=1$" + number(salts, salt) + "$" + number(hashes, hash)
}

// Neither who there is nor what verifiers there are changes what a wrong password costs.
func TestWrongPasswordCostsOneDearHash(t *testing.T) {
	nt, argon2id := derived(t, verifier.NT, "secret"), verifier.Derive([]byte("secret"))
	f := newFixture(map[string]directory.Record{
		"none@b":    record("none", directory.Enabled),
		"nt@b":      record("nt", directory.Enabled, nt),
		"off@b":     record("off", directory.Disabled),
		"nt-off@b":  record("nt-off", directory.Disabled, nt),
		"argon@b":   record("argon", directory.Enabled, argon2id),
		"off-arg@b": record("off-arg", directory.Disabled, argon2id),
		"both@b":    record("both", directory.Enabled, nt, argon2id),
		"bad@b":     record("bad", directory.Enabled, "{ARGON2ID}nonsense"),
		"ssha512@b": record("ssha512", directory.Enabled, derived(t, verifier.SSHA512, "secret")),
		"cheap2@b":  record("cheap2", directory.Enabled, nt, derived(t, verifier.SSHA512, "secret")),
	})
	for _, name := range []string{"none@b", "nt@b", "off@b", "nt-off@b", "argon@b", "off-arg@b", "both@b", "bad@b", "ssha512@b",
		"cheap2@b", "unknown@b", "no/valid/na/me"} {
		var hashed []string
		f.match = func(verifiers []verifier.Verifier, _ []byte) (int, error) {
			for _, v := range verifiers {
				if v.IsArgon2id() {
					hashed = append(hashed, v.String())
				}
			}
			return -1, nil
		}
		if _, err := f.verify(t, name, "wrong"); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
		if len(hashed) != 1 {
			t.Errorf("%s takes %d hashes, not one: %v", name, len(hashed), hashed)
		}
	}
}

// What is cheap is matched here; where it is right, there is nothing to hide.
func TestRightCheapPasswordTakesNoDearHash(t *testing.T) {
	f := newFixture(map[string]directory.Record{"a@b": record("id", directory.Enabled, derived(t, verifier.NT, "secret"))})
	f.match = func(verifiers []verifier.Verifier, _ []byte) (int, error) {
		t.Errorf("%v are matched elsewhere", verifiers)
		return -1, nil
	}
	if _, err := f.verify(t, "a@b", "secret"); err != nil {
		t.Error(err)
	}
}

// A check that failed says nothing about the password, whatever it gives besides its error.
func TestFailedChecksLockNobodyOut(t *testing.T) {
	f := newFixture(map[string]directory.Record{
		"a@b":  record("id", directory.Enabled, verifier.Derive([]byte("secret"))),
		"nt@b": record("nt", directory.Enabled, derived(t, verifier.NT, "secret")),
	})
	f.lockout = Lockout{PerAddress: 1, PerMailbox: 1, Window: f.lockout.Window}
	f.match = func([]verifier.Verifier, []byte) (int, error) { return 0, errors.New("no process can be started") }
	for _, try := range [][2]string{{"a@b", "secret"}, {"a@b", "wrong"}, {"nt@b", "wrong"}, {"unknown@b", "wrong"}} {
		if got, err := f.verify(t, try[0], try[1]); !errors.Is(err, ErrBusy) || got.ID != "" {
			t.Errorf("%s opens %q, %v; want ErrBusy", try, got.ID, err)
		}
	}
	wantCount(t, f.metrics.busy, 4)
	wantCount(t, f.metrics.rejected, 0)
	f.match = matchHere
	for _, name := range []string{"a@b", "nt@b"} {
		if _, err := f.verify(t, name, "secret"); err != nil {
			t.Errorf("%s, as checks work again: %v", name, err)
		}
	}
}

// matchTexts lets a verifier's text be the password that it is of, so that no test takes the time of a dear one.
func (f *fixture) matchTexts() (most *int) {
	most = new(int)
	f.match = func(verifiers []verifier.Verifier, password []byte) (int, error) {
		*most = max(*most, len(verifiers))
		return slices.IndexFunc(verifiers, func(v verifier.Verifier) bool { return v.String() == string(password) }), nil
	}
	return most
}

func TestDearVerifiersAreBounded(t *testing.T) {
	f := newFixture(nil)
	most := f.matchTexts()
	r := record("id", directory.Enabled, dear(1, 1), dear(2, 2), dear(3, 3), dear(4, 4), verifier.Derive([]byte("e")))
	for i, want := range []string{"a", "b", "", "", "e"} { // what is not dear is checked, wherever it is
		got, err := f.check(t.Context(), "id", r.Credentials, []byte(r.Credentials[i].Verifier))
		if got.Name != want || (want == "") != errors.Is(err, ErrRejected) {
			t.Errorf("password %d is of %q, %v; want %q", i, got.Name, err, want)
		}
	}
	if *most != 3 {
		t.Errorf("%d verifiers are checked at once", *most)
	}
	for name, left := range map[string]bool{"a": false, "b": false, "c": true, "d": true, "e": false} {
		told := strings.Contains(f.log.String(), `"mailbox":"id","credential":"`+name+`","error":"`+verifier.ErrCost.Error())
		if told != left {
			t.Errorf("%s: the log says that it cannot be used: %t", name, told)
		}
	}
}

// Verifiers with one salt take one hash, as many as they are.
func TestVerifiersOfOneSaltAreNotDear(t *testing.T) {
	var made, dearest []string
	for i := range candidates {
		dearest = append(dearest, dear(1, i))
		if made = append(made, ""); i == 0 {
			made[0] = verifier.Derive([]byte("0"))
			continue
		}
		made[i] = verifier.DeriveBeside(made[0], []byte(strconv.Itoa(i)))
	}
	f := newFixture(map[string]directory.Record{"a@b": record("made", directory.Enabled, made...)})
	for i := range made {
		if _, err := f.verify(t, "a@b", strconv.Itoa(i)); err != nil {
			t.Errorf("password %d: %v", i, err)
		}
	}
	f.matchTexts()
	r := record("dear", directory.Enabled, dearest...)
	for i, c := range r.Credentials {
		if got, err := f.check(t.Context(), "dear", r.Credentials, []byte(c.Verifier)); err != nil || got.Name != c.Name {
			t.Errorf("dear password %d is of %q, %v", i, got.Name, err)
		}
	}
	if strings.Contains(f.log.String(), verifier.ErrCost.Error()) {
		t.Errorf("the log says that some are too dear:\n%s", f.log.String())
	}
}

// A mailbox that may not be opened has its password checked each time, whether it is right or not.
func TestPasswordOfADisabledMailboxIsNotRemembered(t *testing.T) {
	f := newFixture(map[string]directory.Record{"off@b": record("1", directory.Disabled, verifier.Derive([]byte("secret")))})
	checks := 0
	f.match = func([]verifier.Verifier, []byte) (int, error) { checks++; return 0, nil }
	for range 3 {
		if _, err := f.verify(t, "off@b", "secret"); !errors.Is(err, ErrRejected) {
			t.Errorf("gives %v, want ErrRejected", err)
		}
	}
	if checks != 3 {
		t.Errorf("three logins took %d checks", checks)
	}
}
