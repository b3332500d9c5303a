//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
)

const (
	chaosReplicas  = 3
	chaosMailboxes = 4
	// chaosTime is how long servers are killed, unless chaosVariable says otherwise.
	chaosTime     = time.Minute
	chaosVariable = "POPSERVICE_CHAOS"
	// chaosPatience bounds a connection: one to a pod that is no more hangs.
	chaosPatience = 8 * time.Second
)

// TestSharedVolume has three servers of one volume killed again and again while mail is delivered, fetched and deleted by way
// of the Services. Then it looks for what is lost, what came back, and what came twice. `make chaos` does it for longer.
func TestSharedVolume(t *testing.T) {
	t.Parallel()
	s := newServiceOf(t, "shared", func(spec *v1alpha1.PopServiceSpec) {
		spec.Storage.Layout, spec.Replicas = v1alpha1.LayoutShared, new(int32(chaosReplicas))
	})
	c := &chaos{service: s, histories: make(map[*mailbox]*history), errors: make(map[string]int)}
	for i := range chaosMailboxes {
		m := s.createMailbox(t, fmt.Sprintf("user%d", i))
		c.mailboxes, c.histories[m] = append(c.mailboxes, m), newHistory()
	}
	for _, m := range c.mailboxes {
		awaitReady(t, m.Mailbox)
	}
	killed := c.run(t, chaosDuration(t))
	awaitReady(t, s.PopService)
	s.awaitReachable(t)
	for _, m := range c.mailboxes {
		c.judge(t, m)
	}
	t.Logf("killed: %v\nwhat clients saw of it:\n%s", killed, c.trouble())
}

func chaosDuration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(chaosVariable)
	if text == "" {
		return chaosTime
	}
	duration, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", chaosVariable, err)
	}
	return duration
}

// chaos is what the workers have in common.
type chaos struct {
	*service
	mailboxes []*mailbox
	histories map[*mailbox]*history

	mu     sync.Mutex
	errors map[string]int // that clients saw
}

// note counts an error, without what differs each time.
func (c *chaos) note(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors[what+": "+varying.ReplaceAllString(err.Error(), "${1}…")]++
}

var varying = regexp.MustCompile(`(RETR |after )[0-9]+|[0-9.]+[0-9]:[0-9.:>a-z-]+|<.*>`)

func (c *chaos) trouble() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text strings.Builder
	for _, what := range slices.Sorted(maps.Keys(c.errors)) {
		fmt.Fprintf(&text, "  %4d %s\n", c.errors[what], what)
	}
	return text.String()
}

// run has workers at work while servers are killed, and tells how many were killed in which way.
func (c *chaos) run(t *testing.T, duration time.Duration) map[string]int {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for i, m := range c.mailboxes {
		other := c.mailboxes[(i+1)%len(c.mailboxes)]
		workers.Go(func() { c.deliverAll(ctx, m, other) })
		for range 2 {
			workers.Go(func() { c.fetchAll(ctx, m) })
		}
	}
	defer workers.Wait()
	defer stop()
	return c.killAll(t, duration)
}

// pause lets others use the processors too: this test must not slow down those beside it more than need be.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(20*time.Millisecond + rand.N(40*time.Millisecond)):
		return true
	}
}

// deliverAll delivers messages to a mailbox, and some of them to another one too. Each is sent once, whatever is answered.
func (c *chaos) deliverAll(ctx context.Context, m, other *mailbox) {
	for i := 0; pause(ctx); i++ {
		to := []*mailbox{m}
		if i%4 == 0 {
			to = append(to, other)
		}
		size := rand.IntN(4 << 10)
		if i%8 == 0 {
			size = 200<<10 + rand.IntN(100<<10) // too large to stand in a journal
		}
		name := fmt.Sprintf("%s-%d-%d", m.Name, i, size)
		for _, m := range to {
			c.histories[m].send(name)
		}
		if err := c.deliverOne(name, size, to); err != nil {
			c.note("delivery", err)
		}
	}
}

// numbered is a letter that is known by its name, and of which every line says where it belongs.
func numbered(name string, size int) string {
	var text strings.Builder
	text.WriteString(letter(name))
	for line := 0; text.Len() < size; line++ {
		fmt.Fprintf(&text, "line %d of %s\n.%d\n", line, name, line)
	}
	return text.String()
}

// deliverOne delivers a message. A permanent refusal is a fault: an MTA would give the mail back to its sender.
func (c *chaos) deliverOne(name string, size int, to []*mailbox) error {
	conn, err := c.connectLMTP(chaosPatience)
	if err != nil {
		return err
	}
	defer conn.Close()
	commands := []string{"LHLO client.example.org", "MAIL FROM:<sender@example.org>"}
	for _, m := range to {
		commands = append(commands, "RCPT TO:<"+m.address()+">")
	}
	for _, command := range append(commands, "DATA") {
		if err := conn.command(command); err != nil {
			return c.blame(to[0], command, err)
		}
	}
	text := conn.DotWriter()
	_, err = text.Write([]byte(numbered(name, size)))
	if err := errors.Join(err, text.Close()); err != nil {
		return err
	}
	for _, m := range to { // RFC 2033 §4.2: a reply for each recipient
		if err := conn.answer(); err != nil {
			return c.blame(m, "the end of the text", err)
		}
		c.histories[m].deliver(name)
	}
	return nil
}

// blame notes a permanent refusal.
func (c *chaos) blame(m *mailbox, what string, err error) error {
	var refusal *lmtpRefusal
	if errors.As(err, &refusal) && refusal.code >= 500 {
		c.histories[m].accuse("%s was refused for good: %v", what, err)
	}
	return err
}

// fetchAll opens a mailbox again and again.
func (c *chaos) fetchAll(ctx context.Context, m *mailbox) {
	for pause(ctx) {
		if err := c.fetchOnce(m); err != nil {
			c.note("session", err)
			c.suspect(m, err)
		}
	}
}

// suspect notes errors that a killed server is no excuse for.
func (c *chaos) suspect(m *mailbox, err error) {
	var bad *badLineError
	if errors.As(err, &bad) || errors.Is(err, errSpoilt) || troubled.MatchString(err.Error()) {
		c.histories[m].accuse("%v", err)
	}
}

// troubled is what a server says that cannot work with its volume, or does not know a mailbox.
var troubled = regexp.MustCompile("Logon failure|cannot be read now|is damaged|cannot be opened|messages not removed")

// fetchOnce fetches messages and deletes some of them. One session in five ends without QUIT, and then all of them stay.
func (c *chaos) fetchOnce(m *mailbox) error {
	h := c.histories[m]
	entered := h.enter()
	p, err := c.connect(chaosPatience)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.logIn(m.address(), m.password); err != nil {
		return err
	}
	uids, err := p.listUIDs()
	if err != nil {
		return err
	}
	h.list(entered, uids)
	removed, err := p.fetchSome(h, uids)
	if err != nil {
		return err
	}
	h.compare(entered, uids)
	if rand.IntN(5) == 0 {
		return nil
	}
	h.leave(removed)
	_, err = p.ask("QUIT")
	h.left(removed, err == nil)
	return err
}

// listUIDs gives the unique-ids in the order of the messages.
func (p *session) listUIDs() ([]string, error) {
	if _, err := p.ask("UIDL"); err != nil {
		return nil, err
	}
	lines, err := p.ReadDotLines()
	uids := make([]string, len(lines))
	for i, line := range lines {
		_, uids[i], _ = strings.Cut(line, " ")
	}
	return uids, err
}

// fetchSome fetches the messages that nobody knows yet and some others, and marks one of three that it has fetched as
// deleted. It gives the unique-ids of these.
func (p *session) fetchSome(h *history, uids []string) (removed []string, err error) {
	for i, uid := range uids {
		if h.know(uid) && rand.IntN(3) != 0 {
			continue
		}
		text, err := p.fetch(i + 1)
		if err != nil && strings.Contains(err.Error(), "no longer in the mailbox") {
			h.miss(uid)
			continue
		}
		if err != nil {
			return nil, err
		}
		name, err := nameOf(text)
		if err != nil {
			return nil, fmt.Errorf("unique-id %s: %w", uid, err)
		}
		h.fetch(uid, name)
		if rand.IntN(3) != 0 {
			continue
		}
		if _, err := p.ask("DELE %d", i+1); err != nil {
			return nil, fmt.Errorf("DELE: %w", err)
		}
		removed = append(removed, uid)
	}
	return removed, nil
}

var errSpoilt = errors.New("a message is not what was sent")

// nameOf gives a message's name, and checks that all of it is as it was sent.
func nameOf(text []byte) (string, error) {
	sent, err := fields(text, "Return-Path", "Delivered-To", "Received")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errSpoilt, err)
	}
	_, name, _ := bytes.Cut(sent, []byte("Subject: "))
	name, _, _ = bytes.Cut(name, []byte("\r\n"))
	var size int
	if at := bytes.LastIndexByte(name, '-'); at >= 0 {
		_, _ = fmt.Sscan(string(name[at+1:]), &size) // what is no number makes no message that was sent
	}
	if !bytes.Equal(sent, canonical(numbered(string(name), size))) {
		return "", fmt.Errorf("%w: %q has %d octets: %.200q", errSpoilt, name, len(sent), sent)
	}
	return string(name), nil
}

// judge looks at a mailbox when all is quiet: through each server, for all must see the same.
func (c *chaos) judge(t *testing.T, m *mailbox) {
	t.Helper()
	h := c.histories[m]
	var first []string
	for i, pod := range c.readyPods(t, chaosReplicas) {
		uids := c.look(t, m, pod)
		if i == 0 {
			first = uids
		}
		if strings.Join(uids, " ") != strings.Join(first, " ") {
			t.Errorf("%s: server %s lists %q, and another one %q", m.Name, pod.Name, uids, first)
		}
	}
	for _, fault := range h.end(first) {
		t.Errorf("%s: %s", m.Name, fault)
	}
	count := h.tally()
	t.Logf("%s: %+v, and %d are left", m.Name, count, len(first))
	if count.delivered < 20 || count.removed < 20 {
		t.Errorf("%s: too little has happened to tell anything: %+v", m.Name, count)
	}
}

// look fetches all that a server has in a mailbox. A server that was killed last may be called ready for a moment longer.
func (c *chaos) look(t *testing.T, m *mailbox, pod corev1.Pod) []string {
	t.Helper()
	var p *session
	await(t, settling, "a connection to server "+pod.Name, func() (bool, string) {
		var err error
		p, err = c.connectTo(podAddress(t, pod, "pop3s"), time.Minute)
		return err == nil, fmt.Sprint(err)
	})
	defer p.Close()
	if err := p.logIn(m.address(), m.password); err != nil {
		t.Fatal(err)
	}
	uids := p.uids(t)
	for i, uid := range uids {
		name, err := nameOf(p.exactly(t, i+1))
		if err != nil {
			t.Errorf("%s: unique-id %s: %v", m.Name, uid, err)
			continue
		}
		c.histories[m].fetch(uid, name)
	}
	p.quit(t)
	return uids
}
