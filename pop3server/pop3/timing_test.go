//go:build timing

package pop3

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-ntlmssp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/popservice/popservice/pop3server/authn"
	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
	"github.com/popservice/popservice/pop3server/hashers"
)

// These tests look whether the time of a failed login tells why it has failed. They log in over a socket, with the
// authenticator and the directory that pop3d has, and without the delay of failed logins, whose two seconds and more would
// hide what is looked for. What they say depends on what else the machine does, so that they are no part of the other tests.

const (
	usersOfKind = 10
	appsOfUser  = 16 // passwords of a mailbox that has several
	spin        = 25 * time.Microsecond
)

// kinds of failure. The first one is a user who exists, with one password, to whom all others are compared. Names are of one
// length. The last kind is no user: there the server does by mistake what it must not, so that the test shows that it can tell.
var kinds = []string{"wrong", "nobdy", "close", "sever", "fault"}

var kindNames = map[string]string{"wrong": "wrong password", "nobdy": "unknown user", "close": "disabled mailbox",
	"sever": fmt.Sprintf("one of %d passwords", appsOfUser), "fault": "control"}

// TestTiming tries failed logins of all kinds in turn and compares their times.
func TestTiming(t *testing.T) {
	f := newTimed(t)
	for _, m := range []struct {
		name  string
		tries int
		time  func(c *client, name string) time.Duration
	}{
		{"USER", tries(250), timePass}, {"PLAIN", tries(250), timePlain},
		{"SCRAM-SHA-256", 1000, timeSCRAM}, {"NTLM", 1000, timeNTLM},
	} {
		t.Run(m.name, func(t *testing.T) {
			c := f.dial(config.Plaintext)
			_ = c.SetDeadline(time.Now().Add(time.Hour))
			c.script("S: +OK ready")
			times := make(map[string][]float64)
			for i := range m.tries + 10 {
				for _, k := range rand.Perm(len(kinds)) {
					name := address(kinds[k], rand.IntN(usersOfKind))
					if elapsed := m.time(c, name); i >= 10 { // the first ones warm up
						times[kinds[k]] = append(times[kinds[k]], elapsed.Seconds()*1e6)
					}
				}
			}
			report(t, times)
		})
	}
}

// tries gives how often what takes a hash is tried, TIMING_TRIES if that is set.
func tries(otherwise int) int {
	n, err := strconv.Atoi(os.Getenv("TIMING_TRIES"))
	if err != nil {
		return otherwise
	}
	return n
}

// report compares all kinds with the first one. A difference counts that chance makes in less than one of a hundred runs, all
// comparisons of all mechanisms taken together. That of the control must be seen.
func report(t *testing.T, times map[string][]float64) {
	t.Helper()
	const comparisons = 4 * 3
	base := times[kinds[0]]
	critical := criticalKS(0.01, len(base))
	t.Logf("%d tries each; critical D of one comparison %.4f (α = 0.01), of all %.4f", len(base), critical,
		criticalKS(0.01/comparisons, len(base)))
	for _, kind := range kinds {
		slices.Sort(times[kind])
	}
	t.Logf("%-20s median %9.1f µs, p90 %9.1f µs", kindNames[kinds[0]], quantile(base, 0.5), quantile(base, 0.9))
	for _, kind := range kinds[1:] {
		other := times[kind]
		d, area := kolmogorovSmirnov(base, other), auc(base, other)
		t.Logf("%-20s median %9.1f µs, p90 %9.1f µs, D = %.4f, AUC = %.3f", kindNames[kind],
			quantile(other, 0.5), quantile(other, 0.9), d, area)
		told := d > criticalKS(0.01/comparisons, len(base))
		if kind == "sever" { // how many passwords there are is no secret, and a microsecond or two for it is shown, not judged
			continue
		}
		if told != (kind == "fault") {
			t.Errorf("%s: told apart from a wrong password: %v", kindNames[kind], told)
		}
	}
}

// criticalKS is the D that chance exceeds in a share alpha of cases, with two samples of n.
func criticalKS(alpha float64, n int) float64 {
	return math.Sqrt(-math.Log(alpha/2) / 2 * 2 / float64(n))
}

func quantile(sorted []float64, q float64) float64 { return sorted[int(q*float64(len(sorted)-1))] }

// kolmogorovSmirnov gives the largest distance between the distributions of two sorted samples.
func kolmogorovSmirnov(a, b []float64) (d float64) {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return d
}

// auc gives how often a value of b is above one of a: 0.5 where nothing tells them apart (Mann and Whitney's U, as a share).
func auc(a, b []float64) float64 {
	sum := 0.0
	for _, x := range b {
		below, _ := slices.BinarySearch(a, x)
		upTo, _ := slices.BinarySearchFunc(a, x, func(y, x float64) int { return cmp.Or(cmp.Compare(y, x), -1) })
		sum += float64(below+upTo) / 2
	}
	return sum / float64(len(a)) / float64(len(b))
}

func address(kind string, i int) string { return fmt.Sprintf("%s%d@example.com", kind, i) }

// newTimed is a server with the mailboxes of all kinds.
func newTimed(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.set(func(s *Settings) {
		s.Authentication.Mechanisms = []config.Mechanism{
			config.MechanismUser, config.MechanismPlain, config.MechanismSCRAM, config.MechanismNTLM,
		}
		s.Limits.MaxFailedLogins = math.MaxInt
	})
	logins := authn.New(authn.Options{
		Directory:     timedDirectory(t),
		Domains:       func() authn.Domains { return authn.Domains{{Name: "example.com", NetBIOSName: "EXAMPLE"}} },
		Lockout:       func() authn.Lockout { return authn.Lockout{Window: time.Hour} },
		MaxConcurrent: func() int { return 4 },
		Match:         newHashers(t).Match,
		Log:           f.options.Log,
		Registerer:    prometheus.NewRegistry(),
	})
	f.options.Login = func(ctx context.Context, remote netip.Addr) Login { return faulty{logins.Begin(ctx, remote)} }
	return f
}

// newHashers are processes of pop3d, as the server starts them.
func newHashers(t *testing.T) *hashers.Pool {
	t.Helper()
	pop3d := filepath.Join(t.TempDir(), "pop3d")
	build := exec.Command("go", "build", "-o", pop3d, "github.com/popservice/popservice/cmd/pop3d")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	pool := hashers.NewPool([]string{pop3d, "hasher"}, slog.New(slog.DiscardHandler))
	t.Cleanup(pool.Close)
	return pool
}

// faulty is a login that does for the control what would tell users apart: it refuses one at once whom it does not know, and
// takes some microseconds longer for a name.
type faulty struct{ Login }

func (l faulty) Password(authzid, name string, password []byte) error {
	if strings.HasPrefix(name, "fault") {
		return authn.ErrRejected
	}
	return l.Login.Password(authzid, name, password)
}

func (l faulty) Claim(name, domain string) *authn.Proof {
	if strings.HasPrefix(name, "fault") {
		for begun := time.Now(); time.Since(begun) < spin; { // a pause would be longer
		}
	}
	return l.Login.Claim(name, domain)
}

// timedDirectory has the users, as the operator would write them.
func timedDirectory(t *testing.T) *directory.Directory {
	t.Helper()
	buckets := make(map[int][]directory.Record)
	for _, kind := range []string{"wrong", "close", "sever"} {
		for i := range usersOfKind {
			r := recordOf(address(kind, i))
			r.State, r.Credentials = directory.Enabled, credentials(map[string]int{"sever": appsOfUser}[kind])
			if kind == "close" {
				r.State = directory.Disabled
			}
			buckets[directory.Bucket(r.ID)] = append(buckets[directory.Bucket(r.ID)], r)
		}
	}
	dir := t.TempDir()
	for number, records := range buckets {
		header := directory.Header{Version: directory.Version, Bucket: directory.BucketName(number), Revision: 1}
		text, err := directory.Encode(header, records)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, directory.BucketFile(number)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, problems := directory.Load(dir, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return d
}

// credentials gives so many passwords, one at least, in all forms.
func credentials(n int) (all []directory.Credential) {
	var hash, scram string
	for i := range max(n, 1) {
		password := []byte("secret " + strconv.Itoa(i))
		hash, scram = verifier.DeriveBeside(hash, password), verifier.DeriveSCRAMBeside(scram, password)
		nt, _ := verifier.DeriveAs(verifier.NT, password)
		all = append(all, directory.Credential{Name: strconv.Itoa(i), Verifier: hash, SCRAM: scram, NT: nt})
	}
	return all
}

// exchange sends a line and gives the reply, and adds the time between to the sum.
func (c *client) exchange(line string, sum *time.Duration) string {
	begun := time.Now()
	c.say(line + "\r\n")
	reply := c.line()
	*sum += time.Since(begun)
	return reply
}

// refused wants the reply to a failed login.
func (c *client) refused(reply string) {
	if reply != logonFailure {
		c.t.Fatalf("got %q, want a failed login", reply)
	}
}

func timePass(c *client, name string) (sum time.Duration) {
	c.exchange("USER "+name, &sum)
	c.refused(c.exchange("PASS guess", &sum))
	return sum
}

func timePlain(c *client, name string) (sum time.Duration) {
	c.refused(c.exchange("AUTH PLAIN "+plainOf(name, "guess"), &sum))
	return sum
}

// challenge gives what is in a challenge.
func challengeIn(reply string) []byte {
	text, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(reply, "+ "))
	return text
}

// timeSCRAM proves some other password, for which any proof will do.
func timeSCRAM(c *client, name string) (sum time.Duration) {
	first := challengeIn(c.exchange("AUTH SCRAM-SHA-256 "+encode("n,,n="+name+",r=rOprNGfwEbeRWgbNEkqO"), &sum))
	nonce, _, _ := strings.Cut(string(first), ",")
	c.refused(c.exchange(encode("c=biws,"+nonce+",p="+encode(strings.Repeat("x", 32))), &sum))
	return sum
}

func timeNTLM(c *client, name string) (sum time.Duration) {
	negotiate, err := ntlmssp.NewNegotiateMessage("", "")
	if err != nil {
		c.t.Fatal(err)
	}
	c.exchange("AUTH NTLM", &sum)
	challenge := challengeIn(c.exchange(base64.StdEncoding.EncodeToString(negotiate), &sum))
	answer, err := ntlmssp.NewAuthenticateMessage(challenge, name, "guess", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	c.refused(c.exchange(base64.StdEncoding.EncodeToString(answer), &sum))
	return sum
}
