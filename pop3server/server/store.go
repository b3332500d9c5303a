package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/popservice/popservice/pop3server/config"
	"github.com/popservice/popservice/pop3server/maildrop"
)

// newStore opens the store. What it does with old mail and full maildrops are the settings in force at the time.
func newStore(configuration *configuration, log *slog.Logger) (*maildrop.JournalStore, error) {
	now := configuration.now()
	store, err := maildrop.New(now.Maildrop.Path, maildrop.Options{
		Log:     log,
		Policy:  func() maildrop.Policy { return policyOf(configuration.now().Maildrop.Retention) },
		Warning: func(w maildrop.Warning) []byte { return warning(configuration.now().Maildrop.QuotaWarning, w) },
	})
	if err != nil {
		return nil, storeError(now, err)
	}
	return store, nil
}

func policyOf(r config.Retention) maildrop.Policy {
	return maildrop.Policy{
		UnreadMaxAge:         time.Duration(r.UnreadMaxAgeSeconds) * time.Second,
		ReadMaxAge:           time.Duration(r.ReadMaxAgeSeconds) * time.Second,
		DeletedItemRetention: time.Duration(r.DeletedItemRetentionSeconds) * time.Second,
	}
}

// Contents of a warning where the configuration has none.
const (
	warningSubject = "Your mailbox is almost full"
	warningText    = "Your mailbox {address} holds {used} MiB. From {limit} MiB on it takes no further mail.\n" +
		"Please delete what you do not need on the server any more.\n"
	warningTextUnlimited = "Your mailbox {address} holds {used} MiB.\n" +
		"Please delete what you do not need on the server any more.\n"
)

// warning gives the message by which a user is warned (RFC 3834 for the field that keeps other programs from answering it).
func warning(c config.QuotaWarning, w maildrop.Warning) []byte {
	_, domain, _ := strings.Cut(w.Address, "@")
	from, subject, text := cmp.Or(c.From, "postmaster@"+domain), cmp.Or(c.Subject, warningSubject), cmp.Or(c.Text, warningText)
	if c.Text == "" && w.ProhibitReceive == 0 {
		text = warningTextUnlimited
	}
	fill := strings.NewReplacer("{address}", w.Address, "{used}", mebibytes(w.StorageOctets),
		"{limit}", mebibytes(w.ProhibitReceive))
	var b strings.Builder
	fmt.Fprintf(&b, "From: <%s>\nTo: <%s>\nDate: %s\n", from, w.Address, w.Time.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Subject: %s\n", fill.Replace(subject))
	b.WriteString("Auto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" +
		"Content-Transfer-Encoding: 8bit\n\n")
	b.WriteString(fill.Replace(text))
	return []byte(b.String())
}

// mebibytes gives a size with one decimal.
func mebibytes(octets int64) string { return fmt.Sprintf("%.1f", float64(octets)/(1<<20)) }

// checkStore tells whether the store works, and, where other servers share it, whether locks keep them apart.
func (s *server) checkStore(ctx context.Context) error {
	if s.unlocked != nil {
		return s.unlocked
	}
	return s.store.Check(ctx)
}
