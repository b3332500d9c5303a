package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/directory"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// write replaces the directory of a server by one mailbox and lets the server read it.
func (s *server) declare(t *testing.T, revision int64, change ...func(*directory.Record)) maildrop.Mailbox {
	t.Helper()
	const address = "alice@example.com"
	r := directory.Record{ID: directory.MailboxID(address), Address: address, Owner: "mail/alice", State: directory.Enabled,
		Since: revision}
	for _, c := range change {
		c(&r)
	}
	bucket := directory.Bucket(r.ID)
	text, err := directory.Encode(directory.Header{Version: directory.Version, Bucket: directory.BucketName(bucket),
		Revision: revision}, []directory.Record{r})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(s.mailboxes.path, directory.BucketFile(bucket)), text, 0o600))
	s.mailboxes.load()
	return maildrop.Mailbox{ID: r.ID, Owner: r.Owner}
}

func (s *server) deliver(t *testing.T, box maildrop.Mailbox) {
	t.Helper()
	results, err := s.owned.Deliver(t.Context(), []maildrop.Recipient{{Mailbox: box}}, strings.NewReader("A: b\n\nbody\n"))
	must(t, errors.Join(err, results[0]))
}

// Who owns a maildrop is looked at before a changed mailbox is told to be loaded.
func TestForeignMaildropIsTold(t *testing.T) {
	s := newTestServer(t, plaintext)
	s.deliver(t, s.declare(t, 1))
	heir := func(r *directory.Record) { r.Owner = "mail/heir" }
	box := s.declare(t, 2, heir)
	if foreign := s.status().Store.Foreign; foreign[box.ID] != "mail/alice" {
		t.Errorf("the status tells of %v", foreign)
	}
	s.declare(t, 3, heir, func(r *directory.Record) { r.Adopt = true })
	if foreign := s.status().Store.Foreign; len(foreign) > 0 {
		t.Errorf("after the adoption the status tells of %v", foreign)
	}
}

// A maildrop counts as to be emptied from the moment on that the record is told to be loaded, and until it is empty.
func TestPurge(t *testing.T) {
	s := newTestServer(t, plaintext)
	box := s.declare(t, 1)
	s.deliver(t, box)
	s.declare(t, 2, func(r *directory.Record) { r.State = directory.Purged })
	if len(s.status().Store.Purging) != 1 {
		t.Errorf("the status is %+v", s.status().Store)
	}
	s.purger.purgeAll(t.Context())
	usage, err := s.store.Usage(t.Context(), box)
	if err != nil || usage.Messages != 0 || len(s.status().Store.Purging) != 0 {
		t.Errorf("%+v (%v), status %+v", usage, err, s.status().Store)
	}
	s.mailboxes.load() // the same record once more
	if len(s.status().Store.Purging) != 0 {
		t.Error("it would be emptied again")
	}
}

// The mail of somebody else stays, whatever a record says.
func TestPurgeOfSomebodyElsesMail(t *testing.T) {
	s := newTestServer(t, plaintext)
	box := s.declare(t, 1)
	s.deliver(t, box)
	s.declare(t, 2, func(r *directory.Record) { r.State, r.Owner = directory.Purged, "mail/other" })
	s.purger.purgeAll(t.Context())
	if usage, err := s.store.Usage(t.Context(), box); err != nil || usage.Messages != 1 {
		t.Errorf("%+v (%v)", usage, err)
	}
}

// A server that cannot share its volume is not ready, and says why.
func TestVolumeThatCannotBeShared(t *testing.T) {
	s := newTestServer(t, strings.Replace(plaintext, "path: DIR/maildrops", "path: DIR/maildrops, shared: true", 1))
	must(t, s.checkStore(t.Context()))
	s.unlocked = errors.New("locks keep nobody out")
	if err := s.checkStore(t.Context()); err == nil || !strings.Contains(s.status().Store.Error, "locks keep nobody out") {
		t.Errorf("checkStore gives %v, the status %+v", err, s.status().Store)
	}
}

func TestWarningText(t *testing.T) {
	w := maildrop.Warning{Address: "a@example.com", StorageOctets: 3 << 19, ProhibitReceive: 2 << 20, Time: time.Unix(0, 0).UTC()}
	usual := string(warning(config.QuotaWarning{}, w))
	for _, want := range []string{"From: <postmaster@example.com>\n", "To: <a@example.com>\n",
		"\n\nYour mailbox a@example.com holds 1.5 MiB. From 2.0 MiB"} {
		if !strings.Contains(usual, want) {
			t.Errorf("%q is not in\n%s", want, usual)
		}
	}
	w.ProhibitReceive = 0
	if text := string(warning(config.QuotaWarning{}, w)); strings.Contains(text, "takes no further mail") {
		t.Errorf("a mailbox without a quota is told\n%s", text)
	}
	own := string(warning(config.QuotaWarning{From: "it@example.com", Subject: "{used}", Text: "{address}"}, w))
	if !strings.Contains(own, "From: <it@example.com>\n") || !strings.Contains(own, "Subject: 1.5\n") ||
		!strings.HasSuffix(own, "\n\na@example.com") {
		t.Errorf("the configured one is\n%s", own)
	}
}
