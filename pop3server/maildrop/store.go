package maildrop

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

const (
	// defaultMemory bounds what is kept of maildrops that nobody uses at the moment.
	defaultMemory = 64 << 20
	// boxWeight is what a maildrop takes beside its messages, and messageWeight what each of them takes.
	boxWeight     = 2 << 10
	messageWeight = 96
	// maxIdleBoxes bounds how many journals are held open of maildrops that nobody uses.
	maxIdleBoxes = 1024
)

// Options are what a JournalStore works with.
type Options struct {
	Log *slog.Logger
	// Policy gives the policy now; nil is none.
	Policy func() Policy
	// Warning gives the message by which a user is warned of the quota; nil warns nobody.
	Warning func(Warning) []byte
	// Memory bounds what is kept in memory of maildrops that nobody uses at the moment, in octets; 0 is 64 MiB.
	Memory int64
}

// JournalStore is a Store with one journal a maildrop; see format.go. Several processes may work on one folder, on several
// machines too, where locks hold (see CheckLocks).
type JournalStore struct {
	options Options
	log     *slog.Logger
	root    string
	tmp     string
	hooks   hooks

	mu    sync.Mutex
	boxes map[string]*box
	idle  *list.List // of boxes that nobody uses, the one that was put down last in front
	spare int64      // what those weigh

	background sync.WaitGroup
	compactors chan struct{} // as many as may be at work
}

var _ Store = (*JournalStore)(nil)

// hooks are where tests look in, and make things fail.
type hooks struct {
	// reached is called with the name of each step.
	reached func(step string)
	// failing is called before an operation, which fails with its error.
	failing func(operation string) error
	// reading is called before a journal that is open is read on, which fails with its error.
	reading func() error
}

// New opens the store in a folder, which it makes if need be, and removes what killed servers have left there.
func New(root string, options Options) (*JournalStore, error) {
	s := &JournalStore{options: options, log: options.Log, root: root, tmp: filepath.Join(root, "tmp"),
		boxes: make(map[string]*box), idle: list.New(), compactors: make(chan struct{}, maxCompactors),
		hooks: hooks{reached: func(string) {}, failing: func(string) error { return nil }, reading: func() error { return nil }}}
	if s.options.Memory == 0 {
		s.options.Memory = defaultMemory
	}
	if s.options.Policy == nil {
		s.options.Policy = func() Policy { return Policy{} }
	}
	if err := makeFolders(s.tmp); err != nil {
		return nil, fmt.Errorf("open maildrop store: %w", err)
	}
	if err := sweepSpools(s.tmp, s.log); err != nil {
		return nil, fmt.Errorf("open maildrop store: %w", err)
	}
	return s, s.makeReserve()
}

// Close ends what is at work in the background, and closes all files. There must be no session any more.
func (s *JournalStore) Close() {
	s.background.Wait()
	s.mu.Lock()
	evicted := s.shrink(0, 0)
	s.mu.Unlock()
	evict(evicted)
}

var mailboxID = regexp.MustCompile(`^[a-z2-7]{26}$`)

// use gives a maildrop, for as long as the function that comes with it is not called.
func (s *JournalStore) use(id string) (*box, func(), error) {
	if !mailboxID.MatchString(id) {
		return nil, nil, fmt.Errorf("maildrop %q: an id has 26 characters of a-z and 2-7", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.boxes[id]
	if !ok {
		b = &box{store: s, id: id, folder: filepath.Join(s.root, id[:2], id)}
		s.boxes[id] = b
	}
	if b.element != nil {
		s.idle.Remove(b.element)
		s.spare -= b.weight
		b.element = nil
	}
	b.users++
	var once sync.Once
	return b, func() { once.Do(func() { s.putDown(b) }) }, nil
}

// putDown ends a use. What nobody uses is kept for the next one, as long as there is room.
func (s *JournalStore) putDown(b *box) {
	weight := b.weigh()
	s.mu.Lock()
	var evicted []*box
	if b.users--; b.users == 0 {
		b.weight = weight
		b.element = s.idle.PushFront(b)
		s.spare += weight
		evicted = s.shrink(s.options.Memory, maxIdleBoxes)
	}
	s.mu.Unlock()
	evict(evicted)
}

func (b *box) weigh() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.st == nil {
		return boxWeight
	}
	return boxWeight + messageWeight*int64(cap(b.st.live)+len(b.st.removed))
}

// shrink gives up those that were not used for the longest time.
func (s *JournalStore) shrink(memory int64, count int) (evicted []*box) {
	for s.idle.Len() > 0 && (s.spare > memory || s.idle.Len() > count) {
		b := s.idle.Remove(s.idle.Back()).(*box)
		s.spare -= b.weight
		b.element = nil
		delete(s.boxes, b.id)
		evicted = append(evicted, b)
	}
	return evicted
}

// DropReplaced closes journals of maildrops that nobody uses at the moment, where another server has put a new one in their
// place: they take room as long as they are open. It is to be called from time to time.
func (s *JournalStore) DropReplaced() {
	s.mu.Lock()
	var idle []*box
	for e := s.idle.Front(); e != nil; e = e.Next() {
		idle = append(idle, e.Value.(*box))
	}
	s.mu.Unlock()
	for _, b := range idle {
		b.mu.Lock()
		if b.journal != nil && b.journal.isReplaced() {
			b.forget()
		}
		b.mu.Unlock()
	}
}

// evict closes maildrops that were given up.
func evict(boxes []*box) {
	for _, b := range boxes {
		b.saveIndex()
		b.mu.Lock()
		b.forget()
		b.mu.Unlock()
	}
}

// Open implements Store.
func (s *JournalStore) Open(ctx context.Context, box Mailbox) (Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, done, err := s.use(box.ID)
	if err != nil {
		return nil, err
	}
	session, err := b.open(box)
	if err != nil {
		done()
		return nil, fmt.Errorf("maildrop %s: %w", box.ID, err)
	}
	session.done = done
	return session, nil
}

// open takes a snapshot, after what is to be done before one.
func (b *box) open(box Mailbox) (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.takeOver(box); err != nil { // mail can be read all the same
		b.store.log.Error("mail that another delivery agent has put into new/ cannot be taken over", "mailbox", b.id, "error", err)
	}
	if err := b.refresh(); err != nil {
		return nil, err
	}
	if err := b.st.checkOwner(box); err != nil {
		return nil, err
	}
	if b.st == nil {
		return &session{box: b, mailbox: box}, nil
	}
	if err := b.settle(box); err != nil {
		if err := b.withoutSettling(box, err); err != nil {
			return nil, err
		}
	}
	live := b.st.live
	return &session{box: b, mailbox: box, journal: b.journal.acquire(), messages: live[:len(live):len(live)]}, nil
}

// withoutSettling lets a session go on where what is too old could not be removed, as on a volume that is full: its user may
// make room. One whose maildrop is still another one's does not.
func (b *box) withoutSettling(box Mailbox, failed error) error {
	if err := b.refresh(); err != nil {
		return errors.Join(failed, err)
	}
	if b.st == nil || b.st.owner != box.Owner {
		return failed
	}
	b.store.log.Error("messages that are too old cannot be removed", "mailbox", b.id, "error", failed)
	return nil
}

// settle adopts the maildrop, and removes what is too old, where that is to be.
func (b *box) settle(box Mailbox) error {
	now := time.Now()
	expired := b.st.expired(b.store.options.Policy(), now)
	if (b.st.owner == box.Owner || box.anyone) && len(expired) == 0 {
		return nil
	}
	return b.store.withReserve(func() error {
		return b.writeLocked(box, true, func(st *state, w *batch) error {
			if uids := setOf(st.expired(b.store.options.Policy(), now)); len(uids) > 0 {
				w.add(&removeRecord{reasonRetention, now.Unix(), uids})
			}
			return nil
		})
	})
}

// Usage implements Store.
func (s *JournalStore) Usage(ctx context.Context, box Mailbox) (Usage, error) {
	if err := ctx.Err(); err != nil {
		return Usage{}, err
	}
	b, done, err := s.use(box.ID)
	if err != nil {
		return Usage{}, err
	}
	defer done()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(); err != nil {
		return Usage{}, fmt.Errorf("maildrop %s: %w", box.ID, err)
	}
	if err := b.st.checkOwner(box); err != nil {
		return Usage{}, fmt.Errorf("maildrop %s: %w", box.ID, err)
	}
	if b.st == nil {
		return Usage{}, nil
	}
	return b.st.usage(), nil
}

// Check implements Store.
func (s *JournalStore) Check(context.Context) error {
	probe, err := os.CreateTemp(s.tmp, "probe-*")
	if err == nil {
		_, err = probe.WriteString("probe")
		err = errors.Join(err, probe.Sync(), probe.Close(), os.Remove(probe.Name()))
	}
	if err = classify(err); err != nil && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("maildrop store does not work: %w", err)
	}
	_, err = os.ReadDir(s.root)
	return err
}

// reserveOctets are kept back so that mail can be removed, and the room be given back, when the volume is full.
const reserveOctets = 1 << 20

func (s *JournalStore) reservePath() string { return filepath.Join(s.root, "reserve") }

// makeReserve takes the reserve, unless the volume is full, or so small that it would be.
func (s *JournalStore) makeReserve() error {
	file, err := os.OpenFile(s.reservePath(), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return classifyOpen(err)
	}
	err = allocate(file, reserveOctets)
	if classified := classify(err); errors.Is(classified, ErrNoSpace) || errors.Is(err, syscall.EOPNOTSUPP) {
		err = nil
	}
	return errors.Join(err, file.Close())
}

func classifyOpen(err error) error {
	if errors.Is(classify(err), ErrNoSpace) {
		return nil
	}
	return fmt.Errorf("open maildrop store: %w", err)
}

// withReserve runs f, and once more without the reserve where the volume is full.
func (s *JournalStore) withReserve(f func() error) error {
	err := f()
	if !errors.Is(err, ErrNoSpace) {
		return err
	}
	if freed := os.Truncate(s.reservePath(), 0); freed != nil {
		return err
	}
	err = f()
	_ = s.makeReserve() // of what has become free; otherwise the next time
	return err
}
