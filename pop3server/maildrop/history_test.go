package maildrop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// history runs a random history on two stores that share a folder, and in a model of what they should have.
type history struct {
	root     string
	policy   Policy
	stores   [2]*JournalStore
	sessions []*client
	count    int

	live    []*modelled          // by number
	removed map[uint64]*modelled // by number
	waiting []*modelled          // in new/, by name
	used    map[string]bool      // unique-ids of all messages that anybody has seen
	highest uint64               // number that anybody has seen
}

// modelled is a message as it should be.
type modelled struct {
	text     string
	file     string // its name in new/
	former   string
	received time.Time
	seen     bool
	number   uint64 // 0 as long as nobody has listed it
}

// client is a session and what it should see.
type client struct {
	Session
	store    int
	snapshot []Message
	messages []*modelled
	marked   []*modelled
}

func TestRandomHistories(t *testing.T) {
	t.Parallel()
	base := memoryFolder(t)
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(root) }()
		h := &history{root: root, used: map[string]bool{}, removed: map[uint64]*modelled{}}
		h.policy = rapid.SampledFrom([]Policy{
			{}, {DeletedItemRetention: time.Hour}, {UnreadMaxAge: 10 * time.Hour}, {ReadMaxAge: 10 * time.Hour},
			{UnreadMaxAge: 20 * time.Hour, ReadMaxAge: 10 * time.Hour, DeletedItemRetention: time.Hour},
			{UnreadMaxAge: 10 * time.Hour, ReadMaxAge: 20 * time.Hour},
		}).Draw(t, "policy")
		h.stores = [2]*JournalStore{h.start(t), h.start(t)}
		t.Repeat(map[string]func(*rapid.T){
			"": h.check, "deliver": h.deliver, "deliver to full": h.deliverToFull, "import": h.importSome, "put new": h.putNew,
			"open": h.open, "read": h.read, "mark": h.mark, "delete": h.delete, "close": h.close, "restore": h.restore,
			"compact": h.compact, "administrate": h.administrate, "restart": h.restart, "usage": h.usage,
		})
		h.end(t)
	})
}

func (h *history) start(t *rapid.T) *JournalStore {
	memory := rapid.SampledFrom([]int64{0, 1}).Draw(t, "memory") // with 1, nothing is kept of what nobody uses
	s, err := New(h.root, Options{Log: slog.New(slog.DiscardHandler), Policy: func() Policy { return h.policy }, Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *history) store(t *rapid.T) (int, *JournalStore) {
	i := rapid.IntRange(0, 1).Draw(t, "store")
	return i, h.stores[i]
}

// raw draws a message as a client may send it.
func (h *history) raw(t *rapid.T) string {
	h.count++
	head := fmt.Sprintf("Subject: %d\r\n\r\n", h.count)
	piece := rapid.SampledFrom([]string{"text", ".", "..", "\r\n", "\n", "\r", "\r\r\n", "\x00", "\xff", "PMD1"})
	pieces := rapid.SliceOfN(piece, 0, 20)
	text := head + strings.Join(pieces.Draw(t, "pieces"), "")
	switch rapid.IntRange(0, 9).Draw(t, "size") {
	case 0: // at the limit
		size := inlineOctets - len(canonicalize([]byte(text))) - 2 + rapid.IntRange(-2, 2).Draw(t, "more")
		text += "\r\n" + strings.Repeat("x", size)
	case 1:
		text += strings.Repeat(text+"\n", 1+inlineOctets/len(text))
	}
	return text
}

func (h *history) expect(raw string) *modelled {
	m := &modelled{text: canonicalize([]byte(raw)), received: time.Now()}
	return m
}

func (h *history) deliver(t *rapid.T) {
	_, s := h.store(t)
	raw := h.raw(t)
	deliver(t, s, alice, raw)
	h.live = append(h.live, h.expect(raw))
}

// storage is what a message takes by the format.
func (m *modelled) storage() int64 {
	const head = prefixOctets + 8 + 8 + 8 + 4*4 + 16 + 16 + 2
	inline, file := int64(len(m.text)), int64(0)
	if inline > inlineOctets {
		inline, file = 0, inline
	}
	return (head+int64(len(m.former))+inline+7)/8*8 + file
}

func (h *history) storage() (octets int64) {
	for _, m := range h.live {
		octets += m.storage()
	}
	return octets
}

func (h *history) deliverToFull(t *rapid.T) {
	_, s := h.store(t)
	raw := h.raw(t)
	m, box := h.expect(raw), alice
	box.ProhibitReceive = max(1, h.storage()+m.storage()*rapid.Int64Range(0, 1).Draw(t, "room")+
		rapid.Int64Range(-1, 1).Draw(t, "more"))
	results, err := s.Deliver(context.Background(), []Recipient{{Mailbox: box}}, strings.NewReader(raw))
	over := h.storage()+m.storage() > box.ProhibitReceive
	if err != nil || over != errors.Is(results[0], ErrOverQuota) || !over && results[0] != nil {
		t.Fatalf("quota %d, used %d, message %d: %v %v", box.ProhibitReceive, h.storage(), m.storage(), err, results)
	}
	if !over {
		h.live = append(h.live, m)
	}
}

// importSome imports messages, some of which are old, with unique-ids of another server.
func (h *history) importSome(t *rapid.T) {
	_, s := h.store(t)
	im, err := s.NewImport(context.Background(), alice)
	if err != nil {
		t.Fatal(err)
	}
	h.refuseKnown(t, im)
	for range rapid.IntRange(1, 3).Draw(t, "imported") {
		raw := h.raw(t)
		m := h.expect(raw)
		m.received = h.age(t)
		m.seen = rapid.Bool().Draw(t, "seen")
		switch rapid.IntRange(0, 2).Draw(t, "uid") {
		case 0:
			m.former = fmt.Sprintf("former-%d", h.count)
		case 1:
			m.former = fmt.Sprint(1_000_000 * h.count)
		}
		if err := im.Add(Imported{UID: m.former, Received: m.received, Seen: m.seen, Body: strings.NewReader(raw)}); err != nil {
			t.Fatal(err)
		}
		h.live = append(h.live, m)
	}
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
}

func (h *history) refuseKnown(t *rapid.T, im *Import) {
	for _, m := range h.live {
		if m.number == 0 {
			continue
		}
		err := im.Add(Imported{UID: m.uid(), Body: strings.NewReader(hello)})
		if !errors.Is(err, ErrKnownUID) {
			t.Fatalf("unique-id %s was taken twice: %v", m.uid(), err)
		}
	}
}

func (m *modelled) uid() string { return cmp.Or(m.former, strconv.FormatUint(m.number, 10)) }

// age draws a time of delivery that no limit of a policy is near.
func (h *history) age(t *rapid.T) time.Time {
	hours := rapid.SampledFrom([]int{0, 5, 15, 25}).Draw(t, "hours")
	return time.Now().Add(-time.Duration(hours) * time.Hour)
}

func (h *history) putNew(t *rapid.T) {
	raw := h.raw(t)
	m := h.expect(raw)
	m.received, m.file = h.age(t), fmt.Sprintf("%d.%d", rapid.IntRange(10, 99).Draw(t, "name"), h.count)
	putNew(t, h.root, m.file, raw)
	path := filepath.Join(h.root, "aa", alice.ID, "new", m.file)
	if err := os.Chtimes(path, m.received, m.received); err != nil {
		t.Fatal(err)
	}
	h.waiting = append(h.waiting, m)
}

// opened does in the model what Open does: mail in new/ is taken over, then what is too old is removed.
func (h *history) opened() {
	slices.SortFunc(h.waiting, func(a, b *modelled) int { return cmp.Compare(a.file, b.file) })
	h.live = append(h.live, h.waiting...)
	h.waiting = nil
	h.live = slices.DeleteFunc(h.live, func(m *modelled) bool {
		limit := h.policy.UnreadMaxAge
		if m.seen {
			limit = h.policy.ReadMaxAge
		}
		if limit == 0 || time.Since(m.received) <= limit {
			return false
		}
		if m.number != 0 {
			h.removed[m.number] = m
		}
		return true
	})
}

// number learns the numbers of messages that nobody has seen so far, and checks that all have risen.
func (h *history) number(t *rapid.T, messages []Message) {
	for i, m := range messages {
		want := h.live[i]
		if want.number == 0 {
			want.number = m.uid
			if m.uid <= h.highest || h.used[m.UID()] {
				t.Fatalf("unique-id %s (number %d) was used before; the highest is %d", m.UID(), m.uid, h.highest)
			}
			h.highest, h.used[m.UID()] = m.uid, true
		}
		if want.number != m.uid || want.uid() != m.UID() || m.Octets != int64(len(want.text)) || m.StorageOctets != want.storage() {
			t.Fatalf("row %d is %+v, want %s, number %d, %d octets", i, m, want.uid(), want.number, len(want.text))
		}
	}
}

func (h *history) openOn(t *rapid.T, i int) *client {
	h.opened()
	session := openDrop(t, h.stores[i], alice)
	if got, want := len(session.Messages()), len(h.live); got != want {
		t.Fatalf("store %d lists %d messages, want %d: %v", i, got, want, uids(session.Messages()))
	}
	h.number(t, session.Messages())
	return &client{session, i, slices.Clone(session.Messages()), slices.Clone(h.live), nil}
}

func (h *history) open(t *rapid.T) {
	i, _ := h.store(t)
	h.sessions = append(h.sessions, h.openOn(t, i))
}

// client draws one that has messages, of which there is one after this.
func (h *history) client(t *rapid.T) *client {
	some := slices.DeleteFunc(slices.Clone(h.sessions), func(c *client) bool { return len(c.messages) == 0 })
	if len(some) == 0 {
		h.deliver(t)
		h.open(t)
		some = h.sessions[len(h.sessions)-1:]
	}
	return rapid.SampledFrom(some).Draw(t, "session")
}

func (c *client) some(t *rapid.T) (int, *modelled) {
	i := rapid.IntRange(0, len(c.messages)-1).Draw(t, "message")
	return i, c.messages[i]
}

func (h *history) read(t *rapid.T) {
	c := h.client(t)
	if diff := gocmp.Diff(c.snapshot, c.Messages(), gocmp.AllowUnexported(Message{})); diff != "" {
		t.Fatalf("the snapshot has changed (-want +got):\n%s", diff)
	}
	c.Rest()
	for range rapid.IntRange(1, 4).Draw(t, "messages at one time") {
		h.readOne(t, c)
	}
}

func (h *history) readOne(t *rapid.T, c *client) {
	i, m := c.some(t)
	r, err := c.Body(context.Background(), c.snapshot[i])
	if !slices.Contains(h.live, m) {
		if !errors.Is(err, ErrVanished) {
			t.Fatalf("a removed message opens: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil || string(text) != m.text {
		t.Fatalf("message %s is %q, want %q, %v", m.uid(), clip(string(text)), clip(m.text), err)
	}
	dotted := strings.HasPrefix(m.text, ".") || strings.Contains(m.text, "\n.")
	if inFile := c.snapshot[i].flags&flagFile != 0; c.snapshot[i].Dotless() == (dotted || inFile) {
		t.Fatalf("message %s has dots: %t, is in a file: %t", m.uid(), dotted, inFile)
	}
}

func clip(text string) string { return text[:min(len(text), 200)] }

func (h *history) mark(t *rapid.T) {
	c := h.client(t)
	i, m := c.some(t)
	c.MarkRead(c.snapshot[i])
	c.marked = append(c.marked, m)
}

// written does in the model what becomes of a session's read marks.
func (h *history) written(c *client) {
	for _, m := range c.marked {
		m.seen = m.seen || slices.Contains(h.live, m)
	}
	c.marked = nil
}

func (h *history) delete(t *rapid.T) {
	c := h.client(t)
	var messages []Message
	var going []*modelled
	for range rapid.IntRange(0, len(c.messages)).Draw(t, "removals") {
		i, m := c.some(t) // one can be named twice
		messages, going = append(messages, c.snapshot[i]), append(going, m)
	}
	remove(t, c, messages...)
	h.live = slices.DeleteFunc(h.live, func(m *modelled) bool {
		if slices.Contains(going, m) {
			h.removed[m.number] = m
			return true
		}
		return false
	})
	if len(messages) > 0 {
		h.written(c)
	}
}

func (h *history) close(t *rapid.T) {
	if len(h.sessions) == 0 {
		h.open(t)
	}
	i := rapid.IntRange(0, len(h.sessions)-1).Draw(t, "session")
	h.closeOne(t, h.sessions[i])
	h.sessions = slices.Delete(h.sessions, i, i+1)
}

func (h *history) closeOne(t *rapid.T, c *client) {
	if err := errors.Join(c.Close(), c.Close()); err != nil { // the second does nothing
		t.Fatal(err)
	}
	h.written(c)
}

// contents gives what a store has, which is a maildrop after this.
func (h *history) contents(t *rapid.T, s *JournalStore) Contents {
	for _, s := range h.stores {
		s.background.Wait() // a compaction that is at work forgets what was removed
	}
	c, err := s.Inspect(context.Background(), alice.ID)
	if errors.Is(err, ErrNoMaildrop) {
		h.deliver(t)
		c, err = s.Inspect(context.Background(), alice.ID)
	}
	if err != nil || len(c.Damage) > 0 {
		t.Fatal(err, c.Damage)
	}
	return c
}

// restore brings back messages that the store has still; with DeletedItemRetention, that is all of them.
func (h *history) restore(t *rapid.T) {
	_, s := h.store(t)
	var numbers []uint64
	kept := 0
	for _, e := range h.contents(t, s).Messages {
		m, ok := h.removed[e.Number()]
		if !ok {
			continue
		}
		kept++
		if rapid.Bool().Draw(t, "restored") {
			numbers = append(numbers, e.Number())
			h.live = append(h.live, m)
			delete(h.removed, e.Number())
		}
	}
	if h.policy.DeletedItemRetention > 0 && kept != len(h.removed)+len(numbers) {
		t.Fatalf("%d removed messages are kept, want %d", kept, len(h.removed)+len(numbers))
	}
	if err := s.Change(context.Background(), alice.ID, Change{Restore: numbers}); err != nil {
		t.Fatal(err)
	}
	h.sort()
}

// sort puts restored messages where they were. Those without a number are newer than all others.
func (h *history) sort() {
	slices.SortStableFunc(h.live, func(a, b *modelled) int { return cmp.Compare(a.number-1, b.number-1) })
}

// administrate removes a message, and raises the next unique-id.
func (h *history) administrate(t *rapid.T) {
	_, s := h.store(t)
	c := h.contents(t, s)
	change := Change{NextUID: h.highest + rapid.Uint64Range(0, 50).Draw(t, "next")}
	for i, m := range h.live {
		if m.number != 0 && rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
			change.Remove = []uint64{m.number}
			h.removed[m.number] = m
			h.live = slices.Delete(slices.Clone(h.live), i, i+1)
			break
		}
	}
	if err := s.Change(context.Background(), alice.ID, change); err != nil {
		t.Fatal(err)
	}
	if after := h.contents(t, s); after.NextUID < max(c.NextUID, change.NextUID) {
		t.Fatalf("the next unique-id is %d after %d, wanted %d", after.NextUID, c.NextUID, change.NextUID)
	}
}

func (h *history) compact(t *rapid.T) {
	_, s := h.store(t)
	before := h.contents(t, s)
	if err := s.Compact(context.Background(), alice.ID); err != nil {
		t.Fatal(err)
	}
	after := h.contents(t, s)
	if after.NextUID != before.NextUID || after.Owner != before.Owner || !after.Made.Equal(before.Made) ||
		after.Usage != before.Usage || after.Generation != before.Generation+1 {
		t.Fatalf("compaction has made %+v of %+v", after, before)
	}
}

// restart opens the store anew. Sessions end by a crash or are closed.
func (h *history) restart(t *rapid.T) {
	i, s := h.store(t)
	orderly := rapid.Bool().Draw(t, "orderly")
	h.sessions = slices.DeleteFunc(h.sessions, func(c *client) bool {
		if c.store != i {
			return false
		}
		if orderly {
			h.closeOne(t, c)
		}
		return true
	})
	if orderly {
		s.Close()
	}
	h.stores[i] = h.start(t)
}

func (h *history) usage(t *rapid.T) {
	i, s := h.store(t)
	u, err := s.Usage(context.Background(), alice)
	if want := (Usage{int64(len(h.live)), h.storage()}); err != nil || u != want {
		t.Fatalf("store %d: usage %+v, %v; want %+v", i, u, err, want)
	}
}

// check looks at everything now and then: not always, so that states may also be stale for longer.
func (h *history) check(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "check") > 0 {
		return
	}
	i, _ := h.store(t)
	h.checkOn(t, i)
}

func (h *history) checkOn(t *rapid.T, i int) {
	c := h.openOn(t, i)
	for j, m := range c.messages {
		if got := body(t, c, c.snapshot[j]); got != m.text {
			t.Fatalf("message %s is %q, want %q", m.uid(), clip(got), clip(m.text))
		}
		if age := c.snapshot[j].Received().Sub(m.received).Abs(); age > time.Minute {
			t.Fatalf("message %s was received at %v, want %v", m.uid(), c.snapshot[j].Received(), m.received)
		}
	}
	h.closeOne(t, c)
}

func (h *history) end(t *rapid.T) {
	for _, c := range h.sessions {
		h.closeOne(t, c)
	}
	for i, s := range h.stores {
		h.checkOn(t, i)
		s.Close()
	}
	if len(h.stores[0].boxes)+len(h.stores[1].boxes) > 0 {
		t.Fatal("maildrops are still in use")
	}
}
