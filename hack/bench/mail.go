package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/popservice/popservice/pop3server/directory"
)

const (
	domain   = "bench.test"
	owner    = "bench"
	password = "secret"
	// smallOctets and largeOctets are the sizes of messages.
	smallOctets = 2 << 10
	largeOctets = 10 << 20
)

// box is a mailbox, with the mail that is to be in it.
type box struct {
	name     string
	messages int
	octets   int
	dear     bool // its password costs what a new one costs
}

func (b box) address() string { return b.name + "@" + domain }

func (b box) id() string { return directory.MailboxID(b.address()) }

// cheap and dear are argon2id verifiers of the password. Dovecot computes the hash at each login, also when its cache has the
// verifier, and pop3d only at the first one. So that this does not hide what else a login costs, most mailboxes have a
// verifier of the least possible cost, some 10 µs.
var (
	cheap = sync.OnceValue(func() string { return verifierOf(8, 1) })
	dear  = sync.OnceValue(func() string { return verifierOf(19*1024, 2) })
)

func (b box) verifier() string {
	if b.dear {
		return dear()
	}
	return cheap()
}

func verifierOf(memoryKiB, passes uint32) string {
	salt := []byte("0123456789abcdef")
	hash := argon2.IDKey([]byte(password), salt, passes, memoryKiB, 1, 32)
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("{ARGON2ID}$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, memoryKiB, passes, text(salt), text(hash))
}

// boxesOf gives the mailboxes that the workloads need, each of them once.
func boxesOf(chosen []workload) (boxes []box) {
	known := make(map[string]bool)
	for _, w := range chosen {
		for _, b := range w.boxes {
			if !known[b.name] {
				known[b.name] = true
				boxes = append(boxes, b)
			}
		}
	}
	return boxes
}

// epoch is when the first message of each mailbox was received.
var epoch = time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second)

// received tells when a message was received: one every ten seconds.
func received(number int) time.Time { return epoch.Add(time.Duration(number) * 10 * time.Second) }

const lineOctets = 76

// lines is text as an attachment in base64 has it, 1 MiB of it.
var lines = sync.OnceValue(func() []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	source := rand.New(rand.NewPCG(1, 2))
	var text bytes.Buffer
	for text.Len() < 1<<20 {
		for range lineOctets {
			text.WriteByte(letters[source.IntN(len(letters))])
		}
		text.WriteString("\r\n")
	}
	return text.Bytes()
})

// message gives a message of about the mailbox's size, CRLF at the line ends. Equal arguments give equal messages. No line
// begins with a dot.
func message(b box, number int) []byte {
	source := rand.New(rand.NewPCG(uint64(number), uint64(len(b.name))))
	size := b.octets - b.octets/8 + source.IntN(b.octets/4)
	date := received(number).Format(time.RFC1123Z)
	text := make([]byte, 0, size+lineOctets+2)
	text = fmt.Appendf(text, "Received: from mx.example.org (mx.example.org [192.0.2.7])\r\n\tby mx.%s with ESMTPS id %08x\r\n"+
		"\tfor <%s>; %s\r\n", domain, source.Uint32(), b.address(), date)
	text = fmt.Appendf(text, "From: Sender <sender%d@example.org>\r\nTo: <%s>\r\nSubject: Message %d\r\nDate: %s\r\n"+
		"Message-ID: <%016x@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n", number%100, b.address(), number, date, source.Uint64())
	for len(text) < size {
		from := source.IntN(len(lines())/(lineOctets+2)) * (lineOctets + 2)
		text = append(text, lines()[from:min(len(lines()), from+(size-len(text)+lineOctets+1)/(lineOctets+2)*(lineOctets+2))]...)
	}
	return text
}
