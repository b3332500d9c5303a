//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// history is what clients of one mailbox did and saw, while its servers were killed. It knows of each message what may have
// become of it, and notes as faults what must not have happened:
//
//   - a message whose delivery was acknowledged is in every list that is asked for later, until a QUIT begins that removes it;
//   - a message whose removal a QUIT has acknowledged is in no list that is asked for later;
//   - what a QUIT without a reply would have removed is there, or is gone, but not some of it;
//   - a message has one unique-id, a unique-id one message, and what is fetched is what was sent.
type history struct {
	mu       sync.Mutex
	clock    int64            // counts what happens
	letters  map[string]*fate // by the names that are written in them
	uids     map[string]*fate
	unclear  [][]*fate // what QUITs without a reply would have removed
	faults   []string
	sessions int
}

// fate is what became of a message. Times are the history's; 0 is never.
type fate struct {
	name, uid string
	delivered int64 // the delivery was acknowledged
	leaving   int64 // a QUIT began that removes it
	gone      int64 // such a QUIT was acknowledged
}

func newHistory() *history {
	return &history{letters: make(map[string]*fate), uids: make(map[string]*fate)}
}

// tick gives the time. It is called with the lock held.
func (h *history) tick() int64 {
	h.clock++
	return h.clock
}

func (h *history) fault(format string, values ...any) {
	const enough = 20
	fault := fmt.Sprintf(format, values...)
	if len(h.faults) < enough && !slices.Contains(h.faults, fault) {
		h.faults = append(h.faults, fault)
	}
}

// accuse notes a fault that was seen elsewhere.
func (h *history) accuse(format string, values ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault(format, values...)
}

// send notes that a message is about to be delivered: from now on it may turn up.
func (h *history) send(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.letters[name] = &fate{name: name}
}

// deliver notes that a delivery was acknowledged.
func (h *history) deliver(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.letters[name].delivered = h.tick()
}

// enter gives the time before a login.
func (h *history) enter() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions++
	return h.tick()
}

// list notes what a session that began at a time has in its list.
func (h *history) list(entered int64, uids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, uid := range uids {
		if f := h.uids[uid]; f != nil && f.gone != 0 && f.gone < entered {
			h.fault("message %s with unique-id %s was removed by an acknowledged QUIT, and is there again", f.name, uid)
		}
	}
}

// fetch notes which message a unique-id has. Whether it is unharmed, its reader has checked.
func (h *history) fetch(uid, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, known := h.letters[name]
	switch {
	case !known:
		h.fault("message %q with unique-id %s was never sent to this mailbox", name, uid)
		return
	case h.uids[uid] != nil && h.uids[uid] != f:
		h.fault("unique-id %s was that of message %s and is that of %s now", uid, h.uids[uid].name, name)
	case f.uid != "" && f.uid != uid:
		h.fault("message %s has the unique-ids %s and %s", name, f.uid, uid)
	}
	f.uid = uid
	h.uids[uid] = f
}

// miss notes that a message of the list could not be fetched, because it is gone: somebody must have removed it.
func (h *history) miss(uid string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.uids[uid]; f == nil || f.leaving == 0 {
		h.fault("unique-id %s was in the list, nobody has removed it, and it cannot be fetched", uid)
	}
}

// know tells whether a unique-id's message was ever fetched.
func (h *history) know(uid string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.uids[uid] != nil
}

// compare looks for what is missing in the list of a session that began at a time: of all that is in it, the names are known.
func (h *history) compare(entered int64, uids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.letters {
		if f.delivered != 0 && f.delivered < entered && f.leaving == 0 && (f.uid == "" || !slices.Contains(uids, f.uid)) {
			h.fault("message %s, unique-id %q, was acknowledged and is lost", f.name, f.uid)
		}
	}
}

// leave notes that a QUIT is about to be sent that removes messages.
func (h *history) leave(uids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.tick()
	for _, uid := range uids {
		if f := h.uids[uid]; f.leaving == 0 {
			f.leaving = now
		}
	}
}

// left notes what became of the QUIT.
func (h *history) left(uids []string, acknowledged bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.tick()
	var group []*fate
	for _, uid := range uids {
		f := h.uids[uid]
		group = append(group, f)
		if acknowledged && f.gone == 0 {
			f.gone = now
		}
	}
	if !acknowledged {
		h.unclear = append(h.unclear, group)
	}
}

// end compares what there is at the end, and gives all faults.
func (h *history) end(uids []string) []string {
	entered := h.enter()
	h.list(entered, uids)
	h.compare(entered, uids)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, group := range h.unclear {
		h.checkWhole(group, uids)
	}
	return h.faults
}

// checkWhole: a QUIT without a reply has removed all or nothing. What other QUITs may have removed says nothing about this one.
func (h *history) checkWhole(group []*fate, uids []string) {
	var here, away []string
	for _, f := range group {
		switch {
		case f.gone != 0 || h.unclearQuits(f) > 1:
		case slices.Contains(uids, f.uid):
			here = append(here, f.name)
		default:
			away = append(away, f.name)
		}
	}
	if len(here) > 0 && len(away) > 0 {
		h.fault("a QUIT without a reply has removed %s and not %s", strings.Join(away, ", "), strings.Join(here, ", "))
	}
}

func (h *history) unclearQuits(f *fate) (count int) {
	for _, group := range h.unclear {
		if slices.Contains(group, f) {
			count++
		}
	}
	return count
}

// tally counts what happened.
type tally struct{ sent, delivered, fetched, removed, unclear, sessions int }

func (h *history) tally() tally {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := tally{sent: len(h.letters), fetched: len(h.uids), unclear: len(h.unclear), sessions: h.sessions}
	for _, f := range h.letters {
		if f.delivered != 0 {
			count.delivered++
		}
		if f.gone != 0 {
			count.removed++
		}
	}
	return count
}

// TestHistoriesAreJudged: a history that notices nothing would find every server faultless.
func TestHistoriesAreJudged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		happens func(h *history)
		left    []string
		fault   string
	}{
		"all is well":  {func(h *history) { h.pass("a", "1"); h.pass("b", "2"); h.quit(true, "1") }, []string{"2"}, ""},
		"lost":         {func(h *history) { h.pass("a", "1") }, nil, "was acknowledged and is lost"},
		"never listed": {func(h *history) { h.send("a"); h.deliver("a") }, nil, "was acknowledged and is lost"},
		"no reply":     {func(h *history) { h.send("a") }, nil, ""},
		"back again":   {func(h *history) { h.pass("a", "1"); h.quit(true, "1") }, []string{"1"}, "is there again"},
		"torn QUIT": {func(h *history) { h.pass("a", "1"); h.pass("b", "2"); h.quit(false, "1", "2") }, []string{"2"},
			"has removed a and not b"},
		"QUIT without a reply": {func(h *history) { h.pass("a", "1"); h.pass("b", "2"); h.quit(false, "1", "2") }, nil, ""},
		"twice": {func(h *history) { h.pass("a", "1"); h.fetch("2", "a") }, []string{"1", "2"},
			"has the unique-ids 1 and 2"},
		"unique-id used again": {func(h *history) { h.pass("a", "1"); h.pass("b", "1") }, []string{"1"}, "was that of message a"},
		"a stranger's":         {func(h *history) { h.fetch("1", "x") }, []string{"1"}, "was never sent"},
		"vanished":             {func(h *history) { h.pass("a", "1"); h.miss("1") }, []string{"1"}, "cannot be fetched"},
	} {
		h := newHistory()
		test.happens(h)
		faults := strings.Join(h.end(test.left), "\n")
		if (faults != "") != (test.fault != "") || !strings.Contains(faults, test.fault) {
			t.Errorf("%s: the faults are %q, want %q", name, faults, test.fault)
		}
	}
}

// pass is a message that is delivered and fetched.
func (h *history) pass(name, uid string) {
	h.send(name)
	h.deliver(name)
	h.fetch(uid, name)
}

func (h *history) quit(acknowledged bool, uids ...string) {
	h.leave(uids)
	h.left(uids, acknowledged)
}
