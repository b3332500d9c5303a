package server

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/popservice/popservice/pop3server/control"
	"github.com/popservice/popservice/pop3server/directory"
)

// mailboxes is the directory folder and the version of it that is served.
type mailboxes struct {
	path string
	log  *slog.Logger
	// before is told each version before it is served, and the one before it.
	before func(next, last *directory.Directory)

	mu     sync.Mutex // held while loading
	served atomic.Pointer[loadedDirectory]
}

// loadedDirectory is a version of the directory with what was wrong in the folder.
type loadedDirectory struct {
	*directory.Directory
	problems directory.Problems
	everRead bool // the folder could be read, then or before
}

func newMailboxes(path string, log *slog.Logger, before func(next, last *directory.Directory)) *mailboxes {
	m := &mailboxes{path: path, log: log, before: before}
	m.served.Store(&loadedDirectory{Directory: &directory.Directory{}})
	m.load()
	return m
}

// load reads the folder again.
func (m *mailboxes) load() {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.served.Load()
	next := &loadedDirectory{}
	next.Directory, next.problems = directory.Load(m.path, before.Directory)
	next.everRead = before.everRead || next.folderProblem() == nil
	m.before(next.Directory, before.Directory)
	m.served.Store(next)
	m.tell(before, next)
}

// tell logs what is new. A problem stays in the folder for as long as it takes to put it right, but is logged once.
func (m *mailboxes) tell(before, next *loadedDirectory) {
	known := make(map[string]bool)
	for _, p := range before.problems {
		known[p.Err.Error()] = true
	}
	for _, p := range next.problems {
		if !known[p.Err.Error()] {
			m.log.Warn("directory has a problem", "bucket", p.Bucket, "refused", p.Refused, "error", p.Err)
		}
	}
	if before.Len() > 0 && next.Len() == 0 {
		m.log.Warn("the directory has become empty: no mailbox is served any more", "path", m.path)
	}
	m.log.Debug("directory loaded", "mailboxes", next.Len(), "problems", len(next.problems))
}

// folderProblem gives the error of a folder that could not be read.
func (d *loadedDirectory) folderProblem() error {
	for _, p := range d.problems {
		if p.Bucket == "" {
			return p.Err
		}
	}
	return nil
}

// Lookup and LookupPrincipal are authn.Directory.
func (m *mailboxes) Lookup(address string) (directory.Record, bool) {
	return m.served.Load().Lookup(address)
}

func (m *mailboxes) LookupPrincipal(p directory.Principal) (directory.Record, bool) {
	return m.served.Load().LookupPrincipal(p)
}

// complete tells whether every mailbox that is declared is known: the folder was read, and of each bucket that is refused there
// is an older version.
func (m *mailboxes) complete() bool {
	served := m.served.Load()
	revisions := served.Revisions()
	for bucket := range served.problems.Refused() {
		if _, known := revisions[bucket]; bucket != "" && !known {
			return false
		}
	}
	return served.everRead
}

func (m *mailboxes) status() control.Directory {
	served := m.served.Load()
	return control.Directory{
		Revisions: served.Revisions(), Errors: served.problems.Refused(), Mailboxes: served.Len(),
	}
}
