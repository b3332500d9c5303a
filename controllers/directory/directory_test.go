package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/fleet"
	"github.com/popservice/popservice/controllers/internal/index"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/controllers/popservice/resources"
	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/directory/verifier"
)

// box makes a Mailbox of NAME@example.com, so many seconds old.
func box(name string, age int, aliases ...v1alpha1.Address) *v1alpha1.Mailbox {
	return &v1alpha1.Mailbox{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "mail", UID: types.UID(name), Generation: 1,
			CreationTimestamp: metav1.NewTime(time.Unix(int64(1000-age), 0))},
		Spec: v1alpha1.MailboxSpec{ServiceRef: v1alpha1.ServiceReference{Name: "pop"},
			Address: v1alpha1.Address(name + "@example.com"), Aliases: aliases},
	}
}

func TestWhoHasTheBetterClaim(t *testing.T) {
	old, young := box("old", 10, "young@example.com", "both@example.com"), box("young", 1, "both@example.com")
	twin := box("twin", 10, "both@example.com")
	for _, test := range []struct {
		name    string
		a, b    *v1alpha1.Mailbox
		address string
		want    bool
	}{
		{"an own address against an older one's alias", young, old, "young@example.com", true},
		{"an alias against an own address", old, young, "young@example.com", false},
		{"the older one's alias", old, young, "both@example.com", true},
		{"the younger one's alias", young, old, "both@example.com", false},
		{"of one age, by name", old, twin, "both@example.com", true},
		{"against itself", old, old, "both@example.com", false},
	} {
		if got := stronger(test.a, test.b, test.address); got != test.want {
			t.Errorf("%s: %t, want %t", test.name, got, test.want)
		}
	}
}

func TestSettle(t *testing.T) {
	alice, bob := box("alice", 1, "b@example.com", "a@example.com"), box("bob", 2)
	lost := settle(alice, map[string]*v1alpha1.Mailbox{"alice@example.com": bob})
	if lost.refused.Reason != ReasonAddressConflict || !strings.Contains(lost.refused.Message, `"bob"`) {
		t.Errorf("without its own address: %+v", lost)
	}
	served := settle(alice, map[string]*v1alpha1.Mailbox{"alice@example.com": alice, "a@example.com": alice, "b@example.com": bob})
	if served.refused.Reason != "" || len(served.aliases) != 1 || served.alias.Reason != ReasonAliasConflict {
		t.Errorf("without one alias: %+v", served)
	}
	all := settle(alice, map[string]*v1alpha1.Mailbox{"alice@example.com": alice, "a@example.com": alice, "b@example.com": alice})
	if fmt.Sprint(all.aliases) != "[a@example.com b@example.com]" || all.alias.Reason != "" {
		t.Errorf("with all: %+v", all)
	}
}

func TestRecord(t *testing.T) {
	m := box("alice", 1)
	m.Spec.State = v1alpha1.MailboxDisabled
	m.Spec.POP3 = v1alpha1.MailboxPOP3{Access: v1alpha1.AccessRefused, MessageSize: v1alpha1.ExactSize}
	m.Spec.Quota.IssueWarning = new(intstr.FromString("1Ki"))
	e := entry{mailbox: m}
	record, err := e.newRecord(v1alpha1.Quota{ProhibitReceive: new(intstr.FromString("1Mi")),
		IssueWarning: new(intstr.FromString("2Ki"))})
	want := directory.Quota{IssueWarning: 1 << 10, ProhibitReceive: 1 << 20}
	if err != nil || record.Quota != want || record.State != directory.Disabled || record.Owner != "mail/alice" ||
		record.ID != directory.MailboxID("alice@example.com") || !record.NoPOP3 || record.Size != "Exact" {
		t.Errorf("record is %+v (%v)", record, err)
	}
}

func TestMerge(t *testing.T) {
	a := directory.Record{ID: "a", Address: "a@b", Since: 5, Credentials: []directory.Credential{{Name: "x", Verifier: "v",
		Source: "1"}}}
	b := directory.Record{ID: "b", Address: "b@b", Since: 6}
	fresh := func(r directory.Record, change func(*directory.Record)) directory.Record {
		r.Since, r.Credentials = 0, append([]directory.Credential(nil), r.Credentials...)
		change(&r)
		return r
	}
	same := func(*directory.Record) {}
	for _, test := range []struct {
		name    string
		wanted  []directory.Record
		changed bool
		since   []int64
	}{
		{"nothing", []directory.Record{fresh(a, same), fresh(b, same)}, false, []int64{5, 6}},
		{"one left out", []directory.Record{fresh(b, same)}, true, []int64{6}},
		{"one changed", []directory.Record{fresh(a, func(r *directory.Record) { r.State = directory.Disabled }), fresh(b,
			same)}, true, []int64{9, 6}},
		{"another size", []directory.Record{fresh(a, func(r *directory.Record) { r.Size = "Exact" }), fresh(b, same)}, true,
			[]int64{9, 6}},
		{"one more", []directory.Record{fresh(a, same), fresh(b, same), {ID: "c"}}, true, []int64{5, 6, 9}},
		{"another verifier", []directory.Record{fresh(a, func(r *directory.Record) { r.Credentials[0].Verifier = "w" }),
			fresh(b, same)}, true, []int64{9, 6}},
		// Written, so that the source is known, but nothing for which a server must be waited for.
		{"another source", []directory.Record{fresh(a, func(r *directory.Record) { r.Credentials[0].Source = "2" }), fresh(b,
			same)}, true, []int64{5, 6}},
	} {
		merged, changed := merge([]directory.Record{a, b}, test.wanted, 9)
		var since []int64
		for _, r := range merged {
			since = append(since, r.Since)
		}
		if changed != test.changed || fmt.Sprint(since) != fmt.Sprint(test.since) {
			t.Errorf("%s: changed %t, since %v; want %t, %v", test.name, changed, since, test.changed, test.since)
		}
	}
}

// refusing is a reader that must not be asked.
type refusing struct{ client.Reader }

func (refusing) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("the Secret was read though nothing has changed")
}

func newResolver(secrets ...client.Object) *resolver {
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(secrets...).Build()
	return &resolver{metadata: c, live: c, budget: 10, forms: resources.Forms{Password: true}}
}

func withPassword(name string) *v1alpha1.Mailbox {
	m := box(name, 1)
	m.Spec.Credentials = []v1alpha1.Credential{{Name: "p", PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: name,
		Key: "password"}}}
	return m
}

func secretOf(name, value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "mail", UID: types.UID(name)},
		Data: map[string][]byte{"password": []byte(value), "verifier": []byte(value)}}
}

func TestCredentialsAreMadeOnce(t *testing.T) {
	r := newResolver(secretOf("alice", "one\n"))
	first := r.resolve(t.Context(), withPassword("alice"), nil)
	if first.problem.Reason != "" || len(first.usable) != 1 {
		t.Fatalf("%+v", first)
	}
	v, err := verifier.Parse(first.usable[0].Verifier)
	if err != nil || !v.Matches([]byte("one")) {
		t.Errorf("the verifier does not match the password without its line end (%v)", err)
	}
	r.live = refusing{}
	second := r.resolve(t.Context(), withPassword("alice"), first.usable)
	if second.usable[0] != first.usable[0] || r.failure != nil {
		t.Errorf("%+v (%v), want the same again", second, r.failure)
	}
}

func TestCredentialsWaitForTheNextPass(t *testing.T) {
	r := newResolver(secretOf("alice", "two"))
	r.budget = 0
	old := []directory.Credential{{Name: "p", Verifier: verifier.Derive([]byte("one")), Source: "old"}}
	kept := r.resolve(t.Context(), withPassword("alice"), old)
	if !kept.short || kept.usable[0] != old[0] {
		t.Errorf("%+v: the old verifier has to stay for the time being", kept)
	}
	none := newShort(r).resolve(t.Context(), withPassword("alice"), nil)
	if !none.short || len(none.usable) != 0 || none.problem.Reason != "" {
		t.Errorf("%+v: without an old one there is none, and that is no problem of the user's", none)
	}
}

func newShort(r *resolver) *resolver { return &resolver{metadata: r.metadata, live: r.live} }

func TestCredentialProblems(t *testing.T) {
	byVerifier := func(name string) *v1alpha1.Mailbox {
		m := box(name, 1)
		m.Spec.Credentials = []v1alpha1.Credential{{Name: "v", VerifierSecretRef: &v1alpha1.VerifierKeyReference{Name: name,
			Key: "verifier"}}}
		return m
	}
	const hidden = "s3cret-text"
	for _, test := range []struct {
		name    string
		mailbox *v1alpha1.Mailbox
		value   string
		reason  string
	}{
		{"no Secret", withPassword("other"), "", ReasonSecretNotFound},
		{"nothing under the key", withPassword("alice"), "\n", ReasonKeyNotFound},
		{"a line end within", withPassword("alice"), hidden + "\nmore", ReasonInvalidPassword},
		{"no verifier", byVerifier("alice"), hidden, ReasonInvalidVerifier},
	} {
		got := newResolver(secretOf("alice", test.value)).resolve(t.Context(), test.mailbox, nil)
		if got.problem.Reason != test.reason || len(got.usable) != 0 {
			t.Errorf("%s: %+v, want %s", test.name, got, test.reason)
		}
		if strings.Contains(got.problem.Message, hidden) {
			t.Errorf("%s: the message quotes the Secret: %s", test.name, got.problem.Message)
		}
	}
}

// inBucketZero makes so many Mailboxes whose records are in the first bucket, each older than the next.
func inBucketZero(count int) []*v1alpha1.Mailbox {
	var all []*v1alpha1.Mailbox
	for i := 0; len(all) < count; i++ {
		if m := box(fmt.Sprintf("user-%d", i), 1000-len(all)); index.BucketOf(m.Spec.Address) == 0 {
			all = append(all, m)
		}
	}
	return all
}

// entriesOf makes entries whose records take some 4,000 octets, so that 250 of them fill a bucket.
func entriesOf(mailboxes []*v1alpha1.Mailbox) []entry {
	var all []entry
	for _, m := range mailboxes {
		m.Spec.Aliases = nil
		var aliases []string
		for i := range 16 {
			aliases = append(aliases, fmt.Sprintf("%s-%02d@example.com", strings.Repeat("x", 220), i))
		}
		all = append(all, entry{mailbox: m, claims: claims{aliases: aliases}})
	}
	return all
}

// compiled brings entries into a bucket as a pass does.
func (b *bucket) compiled(entries []entry) []entry {
	b.floor = b.contents.Header.Revision
	b.admit(entries)
	b.compile(entries)
	return entries
}

func newBucket() *bucket { return &bucket{service: &v1alpha1.PopService{}, secret: &corev1.Secret{}} }

func refusedIn(entries []entry) (count int) {
	for i := range entries {
		if entries[i].claims.refused.Reason == ReasonDirectoryFull {
			count++
		}
	}
	return count
}

// A Secret takes no more than 1 MiB. What was there is served on; of the new ones, the newest is told that there is no room.
func TestFullBucket(t *testing.T) {
	b := newBucket()
	mailboxes := inBucketZero(300)
	young := mailboxes[200:]
	if entries := b.compiled(entriesOf(young)); refusedIn(entries) != 0 || len(b.contents.Records) != 100 {
		t.Fatalf("%d of 100 are refused, %d are in the bucket", refusedIn(entries), len(b.contents.Records))
	}
	entries := b.compiled(entriesOf(mailboxes))
	kept := len(b.contents.Records)
	text, err := directory.Encode(b.contents.Header, b.contents.Records)
	if err != nil || len(text) > 1<<20 || kept < 240 || kept+refusedIn(entries) != 300 {
		t.Errorf("%d records of %d octets, %d refused (%v)", kept, len(text), refusedIn(entries), err)
	}
	for i, e := range entries {
		if isRefused := e.isRefused(); isRefused != (i >= kept-100 && i < 200) {
			t.Errorf("Mailbox %d: refused %t; those that were there come first, and then the older ones", i, isRefused)
		}
	}
}

// In a full bucket, one that grows beyond the room is refused its change and takes nobody's place.
func TestFullBucketAndGrowth(t *testing.T) {
	b := newBucket()
	mailboxes := inBucketZero(300)
	b.compiled(entriesOf(mailboxes))
	kept := len(b.contents.Records)
	entries := entriesOf(mailboxes[:kept])
	for i := range 50 {
		entries[0].claims.aliases = append(entries[0].claims.aliases, fmt.Sprintf("%s-%02d@example.com", strings.Repeat("y", 220), i))
	}
	entries[1].mailbox.Spec.State = v1alpha1.MailboxDisabled
	b.compiled(entries)
	if len(b.contents.Records) != kept || refusedIn(entries) != 0 {
		t.Errorf("%d of %d stay, %d are refused", len(b.contents.Records), kept, refusedIn(entries))
	}
	if got := entries[0].outcome(); got.Refused.Reason != ReasonDirectoryFull ||
		len(b.recordOf(mailboxes[0]).Aliases) != 16 {
		t.Errorf("the one that grows: %+v", got)
	}
	if b.recordOf(mailboxes[1]).State != directory.Disabled {
		t.Error("a mailbox in a full bucket cannot be disabled")
	}
}

// Where a bucket cannot be written, those Mailboxes are told that have changed, and the others are what they were.
func TestUnwrittenBucket(t *testing.T) {
	b := newBucket()
	mailboxes := inBucketZero(2)
	b.compiled(entriesOf(mailboxes[:1]))
	entries := b.compiled(entriesOf(mailboxes))
	b.keep(entries, errors.New("timeout"))
	if len(b.contents.Records) != 1 || entries[0].outcome().Delayed.Reason != "" {
		t.Errorf("%d records stay, want one; the old Mailbox is told %+v", len(b.contents.Records), entries[0].outcome().Delayed)
	}
	if got := entries[1].outcome(); got.Delayed.Reason != ReasonApplyFailed || got.Refused.Reason != "" {
		t.Errorf("after an error that may pass: %+v", got)
	}
	entries = b.compiled(entriesOf(mailboxes))
	b.keep(entries, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("exceeded quota")))
	if got := entries[1].outcome(); got.Refused.Reason != ReasonRefused {
		t.Errorf("after a refusal: %+v", got)
	}
}

// Verifiers that were made for a bucket which could not be written are not made again.
func TestMadeVerifiersAreKept(t *testing.T) {
	r := &Reconciler{}
	m := withPassword("alice")
	entries := []entry{{mailbox: m, credentials: resolved{usable: []directory.Credential{{Name: "p", Verifier: "v"}}}}}
	r.keepMade(Request{}, entries, errors.New("timeout"))
	if made := r.madeFor(Request{}); len(made[m.UID]) != 1 {
		t.Errorf("after a failure: %+v", made)
	}
	r.keepMade(Request{}, entries, nil)
	if made := r.madeFor(Request{}); made != nil {
		t.Errorf("after a write: %+v", made)
	}
}

// A Secret that is of no use costs no budget: the pass would have to be made again at once, and for ever.
func TestUselessSecretsCostNoBudget(t *testing.T) {
	r := newResolver(secretOf("alice", ""))
	r.budget = 1
	for range 3 {
		if got := r.resolve(t.Context(), withPassword("alice"), nil); got.short || got.problem.Reason != ReasonKeyNotFound {
			t.Errorf("%+v", got)
		}
	}
}

// A Secret that cannot be read leaves what stands in the bucket.
func TestSecretThatCannotBeRead(t *testing.T) {
	r := newResolver(secretOf("alice", "two"))
	r.live = refusing{}
	old := []directory.Credential{{Name: "p", Verifier: "v", Source: "old"}}
	got := r.resolve(t.Context(), withPassword("alice"), old)
	if got.problem.Reason != ReasonSecretUnreadable || len(got.usable) != 1 || got.usable[0] != old[0] || r.failure == nil {
		t.Errorf("%+v (%v)", got, r.failure)
	}
}

// A change of mailboxDefaults leaves its mark, also where it changes no record.
func TestDefaultsLeaveTheirMark(t *testing.T) {
	b := newBucket()
	mark := func() (string, int64) {
		b.compile(nil)
		b.secret.Annotations = map[string]string{names.AnnotationDefaults: b.defaults}
		return resources.ParseDefaults(b.defaults)
	}
	hash, since := mark()
	if again, sinceAgain := mark(); again != hash || sinceAgain != since || since != b.contents.Header.Revision {
		t.Errorf("%s since %d became %s since %d, revision is %d", hash, since, again, sinceAgain, b.contents.Header.Revision)
	}
	b.floor = b.contents.Header.Revision
	b.service.Spec.MailboxDefaults.Quota.IssueWarning = new(intstr.FromString("1Ki"))
	if other, later := mark(); other == hash || later <= since || later != b.contents.Header.Revision {
		t.Errorf("after a change it is %s since %d, revision %d", other, later, b.contents.Header.Revision)
	}
}

// claimsIn gives the aliases that a Mailbox gets among others.
func claimsIn(t *testing.T, m *v1alpha1.Mailbox, others ...*v1alpha1.Mailbox) claims {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(m)
	for _, o := range others {
		builder.WithObjects(o)
	}
	builder.WithIndex(&v1alpha1.Mailbox{}, index.MailName, func(o client.Object) []string {
		var keys []string
		for _, name := range index.Names(o.(*v1alpha1.Mailbox)) {
			keys = append(keys, index.MailNameKey("pop", name))
		}
		return keys
	})
	c, err := (&Reconciler{Client: builder.Build()}).claim(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A Mailbox that is not served holds no alias.
func TestRefusedMailboxHoldsNoAlias(t *testing.T) {
	owner, refused := box("owner", 10), box("refused", 5, "sales@example.com")
	refused.Spec.Address = owner.Spec.Address
	young := box("young", 1, "sales@example.com")
	if got := claimsIn(t, young, refused); len(got.aliases) != 0 || got.alias.Reason != ReasonAliasConflict {
		t.Errorf("beside an older one that is served: %+v", got)
	}
	if got := claimsIn(t, young, refused, owner); len(got.aliases) != 1 || got.alias.Reason != "" {
		t.Errorf("beside an older one that is refused: %+v", got)
	}
}

func server(ready bool, revision int64) fleet.Server {
	return fleet.Server{Ready: ready,
		Status: &control.Status{Directory: control.Directory{Revisions: map[string]int64{"2a": revision}}}}
}

func TestHowFarARecordHasCome(t *testing.T) {
	r := &Reconciler{started: time.UnixMilli(1000)}
	mute := fleet.Server{Ready: true, Err: errors.New("no answer")}
	for _, test := range []struct {
		name    string
		servers []fleet.Server
		since   int64
		want    Reach
	}{
		{"all have it", []fleet.Server{server(true, 7), server(true, 9)}, 7, Loaded},
		{"one has not", []fleet.Server{server(true, 6), server(true, 9)}, 7, Pending},
		{"one that is not ready does not count", []fleet.Server{server(false, 1), server(true, 9)}, 7, Loaded},
		{"one cannot be asked", []fleet.Server{mute, server(true, 9)}, 2000, Unserved},
		{"none, and it has just changed", nil, 2000, Unserved},
		{"none, and it is older than the operator", nil, 7, Unknown},
	} {
		loaded, asked := loadedBy(test.servers, "2a")
		if got := r.reach(test.since, loaded, asked); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	if behind := lagging([]fleet.Server{server(false, 6), server(true, 7), mute}, "2a", 7); len(behind) != 1 || behind[0].Ready {
		t.Errorf("%+v are behind, want the first, also if it is not ready", behind)
	}
}

func TestBoardKeepsWhatWasLoaded(t *testing.T) {
	b := NewBoard()
	name := types.NamespacedName{Namespace: "mail", Name: "alice"}
	for _, step := range []struct {
		outcome Outcome
		news    bool
		reach   Reach
	}{
		{Outcome{since: 1, Reach: Pending}, true, Pending},
		{Outcome{since: 1, Reach: Pending}, false, Pending},
		{Outcome{since: 1, Reach: Loaded}, true, Loaded},
		{Outcome{since: 1, Reach: Unserved}, false, Loaded}, // a pod that goes says nothing about the record
		{Outcome{since: 1, Reach: Pending}, true, Pending},
		{Outcome{since: 2, Reach: Unserved}, true, Unserved},
	} {
		news := b.set(name, step.outcome)
		if got, _ := b.Get(name); news != step.news || got.Reach != step.reach {
			t.Errorf("%+v: news %t, reach %d; want %t, %d", step.outcome, news, got.Reach, step.news, step.reach)
		}
	}
}

// A Mailbox goes when each server that gets clients has seen that it is to be purged, and is done with it.
func TestWhenAMailboxIsPurged(t *testing.T) {
	id := directory.MailboxID("alice@example.com")
	record := &directory.Record{ID: id, Since: 7}
	with := func(ready bool, revision int64, purging ...string) fleet.Server {
		return fleet.Server{Ready: ready, Status: &control.Status{Store: control.Store{Purging: purging},
			Directory: control.Directory{Revisions: map[string]int64{directory.BucketName(directory.Bucket(id)): revision}}}}
	}
	for name, test := range map[string]struct {
		servers []fleet.Server
		want    bool
	}{
		"nobody to ask":                    {nil, false},
		"not seen":                         {[]fleet.Server{with(true, 6)}, false},
		"at it":                            {[]fleet.Server{with(true, 7, id)}, false},
		"at another one":                   {[]fleet.Server{with(true, 7, "other")}, true},
		"one has not seen it":              {[]fleet.Server{with(true, 7), with(true, 6)}, false},
		"one that gets no clients has not": {[]fleet.Server{with(true, 7), with(false, 6)}, true},
		"one cannot be asked":              {[]fleet.Server{with(true, 7), {Ready: true}}, false},
		"so many that there may be more":   {[]fleet.Server{with(true, 7, make([]string, control.MaxPurging)...)}, false},
	} {
		if got := isPurged(test.servers, record); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
