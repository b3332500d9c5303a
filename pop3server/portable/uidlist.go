package portable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// UIDListName is the name of Dovecot's list of unique-ids in a Maildir.
const UIDListName = "dovecot-uidlist"

// maxUIDListLine bounds the length of a line in it.
const maxUIDListLine = 64 << 10

// UIDList is a dovecot-uidlist of version 3:
//
//	3 V<uidvalidity> N<next uid> G<guid> [P<format of unique-ids>]
//	<uid> [<key><value> …] :<base name of the file>
type UIDList struct {
	Validity uint64
	Next     uint64
	GUID     string
	// Format is how unique-ids are made of uids; empty if the list does not say.
	Format  string
	Records []UIDRecord
}

// UIDRecord is a message of the list.
type UIDRecord struct {
	UID  uint64
	File string // up to the flags
	// POP3UID is the unique-id that clients know, if HasPOP3UID; an empty one stands for the name of the file.
	POP3UID    string
	HasPOP3UID bool
	// Order is the message's place in the order that clients see; 0 is behind all that have one.
	Order uint64
	GUID  string
}

// ReadUIDList reads a list. A last line without an end is being written, and is left out, as Dovecot does it.
func ReadUIDList(r io.Reader) (UIDList, error) {
	var list UIDList
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxUIDListLine)
	lines.Split(endedLines)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		parse := list.addRecord
		if number == 1 {
			parse = list.parseHeader
		}
		if err := parse(line); err != nil {
			return UIDList{}, fmt.Errorf("%s, line %d: %w", UIDListName, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return UIDList{}, fmt.Errorf("%s: %w", UIDListName, err)
	}
	if list.Validity == 0 {
		return UIDList{}, fmt.Errorf("%s: it has no header", UIDListName)
	}
	return list, nil
}

// endedLines is a bufio.SplitFunc for lines that are written to their end.
func endedLines(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := slices.Index(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}

func (l *UIDList) parseHeader(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	if version != "3" {
		return fmt.Errorf("version %q is not supported: Dovecot 1.1 and later write version 3", version)
	}
	for _, field := range strings.Fields(rest) {
		var err error
		switch value := field[1:]; field[0] {
		case 'V':
			l.Validity, err = parseUint32(value)
		case 'N':
			l.Next, err = parseUint32(value)
		case 'G':
			l.GUID = value
		case 'P':
			l.Format = value
		}
		if err != nil {
			return fmt.Errorf("field %q: %w", field, err)
		}
	}
	if l.Validity == 0 {
		return errors.New("there is no uidvalidity")
	}
	return nil
}

func (l *UIDList) addRecord(line string) error {
	number, rest, _ := strings.Cut(line, " ")
	uid, err := parseUint32(number)
	if err != nil {
		return fmt.Errorf("uid %q: %w", number, err)
	}
	if n := len(l.Records); uid == 0 || n > 0 && uid <= l.Records[n-1].UID {
		return fmt.Errorf("uid %d: uids must ascend", uid)
	}
	r := UIDRecord{UID: uid}
	if r.File, err = r.parseFields(rest); err != nil {
		return err
	}
	l.Records = append(l.Records, r)
	return nil
}

// parseFields reads the fields of a record and gives the name of the file, which is all that comes behind a colon.
func (r *UIDRecord) parseFields(rest string) (file string, err error) {
	for !strings.HasPrefix(rest, ":") {
		var field string
		var more bool
		if field, rest, more = strings.Cut(rest, " "); !more {
			return "", errors.New("there is no name of a file")
		}
		if field == "" {
			continue
		}
		if err := r.parseField(field[0], field[1:]); err != nil {
			return "", fmt.Errorf("field %q: %w", field, err)
		}
	}
	file, _, _ = strings.Cut(rest[1:], ":")
	if file == "" || strings.ContainsAny(file, "/\r") {
		return "", fmt.Errorf("%q is no name of a file", rest[1:])
	}
	return file, nil
}

// parseField takes what is of use here. Other keys are sizes, which the files tell themselves.
func (r *UIDRecord) parseField(key byte, value string) (err error) {
	switch key {
	case 'P':
		r.POP3UID, r.HasPOP3UID = value, true
	case 'O':
		r.Order, err = parseUint32(value)
	case 'G':
		r.GUID = value
	}
	return err
}

func parseUint32(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, errors.New("not a number of 32 bits")
	}
	return n, nil
}

// WriteTo implements io.WriterTo.
func (l *UIDList) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: bufio.NewWriter(w)}
	out.printf("3 V%d N%d G%s", l.Validity, l.Next, l.GUID)
	if l.Format != "" {
		out.printf(" P%s", l.Format)
	}
	out.printf("\n")
	for _, r := range l.Records {
		out.printf("%d", r.UID)
		if r.HasPOP3UID {
			out.printf(" P%s", r.POP3UID)
		}
		if r.Order > 0 {
			out.printf(" O%d", r.Order)
		}
		if r.GUID != "" {
			out.printf(" G%s", r.GUID)
		}
		out.printf(" :%s\n", r.File)
	}
	return out.n, out.w.Flush()
}

// counter counts what is written. Errors show when it is flushed.
type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) printf(format string, values ...any) {
	n, _ := fmt.Fprintf(c.w, format, values...)
	c.n += int64(n)
}
