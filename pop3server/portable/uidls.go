package portable

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// UIDLs are unique-ids as another server told them: one a line, each with the name of its message's file behind it, or
// without, in the order of the messages.
type UIDLs struct {
	uids  []string
	files map[string]int // to the place in uids; nil where there are no names
}

// ReadUIDLs reads such a list.
func ReadUIDLs(r io.Reader) (*UIDLs, error) {
	l := &UIDLs{}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		if err := l.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return l, lines.Err()
}

func (l *UIDLs) add(line string) error {
	uid, file, named := strings.Cut(line, " ")
	if !validUID(uid) {
		return fmt.Errorf("%q is no unique-id: it must be 1 to %d characters from ! to ~ (RFC 1939 section 7)", uid, maxUIDOctets)
	}
	if len(l.uids) > 0 && named != (l.files != nil) {
		return errors.New("either all lines must have the name of a file behind the unique-id, or none")
	}
	if named {
		if l.files == nil {
			l.files = make(map[string]int)
		}
		file = strings.TrimSpace(file)
		l.files[ParseMaildirName(file[strings.LastIndexByte(file, '/')+1:]).Base] = len(l.uids)
	}
	l.uids = append(l.uids, uid)
	return nil
}

// Apply gives messages the unique-ids of the list. In a Maildir, those that it names come first, in its order.
func (l *UIDLs) Apply(source Source) error {
	maildir, isMaildir := source.(*Maildir)
	if l.files != nil {
		if !isMaildir {
			return errors.New("the list of unique-ids names files, and only a Maildir has files: give one unique-id a line, in order")
		}
		l.applyNamed(maildir)
		return nil
	}
	messages := source.Messages()
	if len(messages) != len(l.uids) {
		return fmt.Errorf("the list has %d unique-ids and there are %d messages: it is not of these", len(l.uids), len(messages))
	}
	for i := range messages {
		messages[i].UID = l.uids[i]
	}
	return nil
}

func (l *UIDLs) applyNamed(m *Maildir) {
	place := func(i int) int {
		if at, ok := l.files[m.files[i].base]; ok {
			return at
		}
		return math.MaxInt
	}
	for i := range m.messages {
		if at := place(i); at < len(l.uids) {
			m.messages[i].UID = l.uids[at]
		}
	}
	m.sortBy(func(a, b int) int { return cmp.Compare(place(a), place(b)) })
}
