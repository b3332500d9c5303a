package directory

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/pop3server/directory"
)

// Reach says how far a mailbox's record has come.
type Reach int

const (
	// Unknown says that the record is older than this process, and there is no server to ask.
	Unknown Reach = iota
	// Unserved says that there is no server that is ready and can be asked.
	Unserved
	// Pending says that a server that is ready has not loaded the record yet.
	Pending
	// Loaded says that every server that is ready has loaded it.
	Loaded
)

// Problem is what is wrong with a Mailbox, in the words of a condition. It is nothing if the reason is empty.
type Problem struct{ Reason, Message string }

// Outcome is what has become of a Mailbox in the directory.
type Outcome struct {
	UID        types.UID // of the Mailbox: its name may have been another one's
	Generation int64
	MailboxID  string
	// Refused says why the mailbox is not served at all.
	Refused Problem
	// Alias says which alias is left out, and why.
	Alias Problem
	// Credentials says which credential is left out, and why.
	Credentials Problem
	// Delayed says why the record could not be written yet. It is tried again.
	Delayed Problem
	Reach   Reach
	// since is the revision in which the record last changed.
	since int64
}

// Board is where the directory's controller tells of Mailboxes and the Mailboxes' controller reads it. It is filled
// anew when the operator starts. Its methods may be called at the same time.
type Board struct {
	changes  chan event.TypedGenericEvent[*v1alpha1.Mailbox]
	services chan event.TypedGenericEvent[*v1alpha1.PopService]

	mu       sync.Mutex
	outcomes map[types.NamespacedName]Outcome
	troubles map[Request]Problem
}

// NewBoard makes an empty board.
func NewBoard() *Board {
	return &Board{
		changes:  make(chan event.TypedGenericEvent[*v1alpha1.Mailbox]),
		services: make(chan event.TypedGenericEvent[*v1alpha1.PopService]),
		outcomes: make(map[types.NamespacedName]Outcome),
		troubles: make(map[Request]Problem),
	}
}

// Trouble gives the first bucket of a PopService that cannot be written, and why; no reason if there is none.
func (b *Board) Trouble(service types.NamespacedName) (bucket string, problem Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range directory.Buckets {
		if problem, ok := b.troubles[Request{service, i}]; ok {
			return directory.BucketName(i), problem
		}
	}
	return "", Problem{}
}

// setTrouble notes what is wrong with a bucket; no reason if nothing is. It tells whether that is news.
func (b *Board) setTrouble(request Request, problem Problem) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.troubles[request]
	delete(b.troubles, request)
	if problem.Reason != "" {
		b.troubles[request] = problem
	}
	return before != problem
}

// Changes tells of each Mailbox whose outcome has changed. It has to be read.
func (b *Board) Changes() <-chan event.TypedGenericEvent[*v1alpha1.Mailbox] { return b.changes }

// Troubles tells of each PopService for which Trouble may have changed; of the object, the name alone is set. It has to be
// read.
func (b *Board) Troubles() <-chan event.TypedGenericEvent[*v1alpha1.PopService] { return b.services }

// Get gives a Mailbox's outcome, if there is one yet.
func (b *Board) Get(name types.NamespacedName) (Outcome, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	outcome, ok := b.outcomes[name]
	return outcome, ok
}

// Forget gives up what is known of a Mailbox that is gone.
func (b *Board) Forget(name types.NamespacedName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.outcomes, name)
}

// set notes an outcome and tells whether it is a new one. A record that has been loaded stays loaded as long as it does not
// change: a pod is not ready before it has the whole directory, so that pods which come and go say nothing about it.
func (b *Board) set(name types.NamespacedName, outcome Outcome) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, known := b.outcomes[name]
	if known && last.Reach == Loaded && outcome.Reach < Pending && last.since == outcome.since && outcome.since > 0 {
		outcome.Reach = Loaded
	}
	b.outcomes[name] = outcome
	return !known || last != outcome
}
