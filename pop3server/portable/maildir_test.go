package portable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseMaildirName(t *testing.T) {
	at := time.Unix(1276528487, 0).UTC()
	for name, want := range map[string]MaildirName{
		"1276528487.M364837P9451.host,S=1355,W=1394:2,FS": {"1276528487.M364837P9451.host,S=1355,W=1394", at, "FS"},
		"1276528487.M364837P9451.host":                    {"1276528487.M364837P9451.host", at, ""},
		"1276528487.x:2,":                                 {"1276528487.x", at, ""},
		"1276528487.x:1,S":                                {"1276528487.x", at, ""},
		"1276528487.x:2,RS,S":                             {"1276528487.x", at, "RS"},
		"1276528487":                                      {"1276528487", time.Time{}, ""}, // no time without a dot behind it
		"message:2,S":                                     {"message", time.Time{}, "S"},
		"0.x":                                             {"0.x", time.Time{}, ""},
		"-1.x":                                            {"-1.x", time.Time{}, ""},
		"253402300799.x":                                  {"253402300799.x", time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), ""},
		"253402300800.x":                                  {"253402300800.x", time.Time{}, ""},
		"99999999999999999999.x":                          {"99999999999999999999.x", time.Time{}, ""},
		"":                                                {"", time.Time{}, ""},
	} {
		if diff := cmp.Diff(want, ParseMaildirName(name)); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
}

func FuzzMaildirName(f *testing.F) {
	for _, seed := range []string{"1276528487.M364837P9451.host,S=1355,W=1394:2,FS", "x:2,S", ":", "1.:", "", "9.\xff:2,,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		n := ParseMaildirName(name)
		if !strings.HasPrefix(name, n.Base) || strings.Contains(n.Base, ":") || strings.ContainsAny(n.Flags, ",") {
			t.Fatalf("%q gives %+v", name, n)
		}
		again := ParseMaildirName(n.Base + ":2," + n.Flags)
		if diff := cmp.Diff(n, again); diff != "" {
			t.Fatal(diff)
		}
		if !n.Received.IsZero() && (n.Received.Unix() < 1 || n.Received.Year() > 9999) {
			t.Fatalf("%q gives %v", name, n.Received)
		}
		if uid := uidOf(n.Base); !validUID(uid) || uid != uidOf(n.Base) {
			t.Fatalf("%q gives the unique-id %q", name, uid)
		}
	})
}

// Dovecot's unique-ids and order: P, then the format; O, then uid. What Dovecot does not know comes last, by time.
func TestMaildirWithList(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, map[string]string{
		"cur/100.a:2,S": "a", "cur/200.b,S=1:2,": "b", "new/300.c": "c", "cur/400.d:2,RS": "d", "cur/600.f:2,": "f", "new/500.e": "e",
		"cur/.hidden": "x", "tmp/700.g": "x", "cur/sub/800.h": "x",
		"dovecot-uidlist": "3 V1700000000 N10 G00\n1 :100.a\n2 Pold-b O2 :200.b,S=1\n3 O1 :300.c\n4 P :400.d\n5 :gone\n",
	})
	numbers, err := ParseUIDFormat("%u")
	must(t, err)
	for want, f := range map[string]*UIDFormat{
		"000000036553f100 old-b 000000016553f100 400.d 500.e 600.f": nil,
		"3 old-b 1 400.d 500.e 600.f":                               numbers,
	} {
		m, err := OpenMaildir(folder, f)
		must(t, err)
		var got, rest []string
		for i, message := range m.Messages() {
			got = append(got, message.UID)
			rest = append(rest, fmt.Sprintf("%s %t %d", read(t, m, i), message.Seen, message.Received.Unix()))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("unique-ids %v, want %s", got, want)
		}
		if fmt.Sprint(rest) != "[c false 300 b false 200 a true 100 d true 400 e false 500 f false 600]" {
			t.Errorf("messages %v", rest)
		}
	}
	put(t, folder, map[string]string{"dovecot-uidlist": "3 V1 N2 G00 P%u.%v\n1 :100.a\n"})
	m, err := OpenMaildir(folder, nil)
	must(t, err)
	if m.Messages()[0].UID != "1.1" {
		t.Errorf("unique-ids %v", uidsOf(m))
	}
}

// Without a list, a message has the name of its file, as with qmail; one that no client could take is replaced.
func TestMaildirWithoutList(t *testing.T) {
	folder := t.TempDir()
	modified := time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC)
	put(t, folder, map[string]string{"new/300.c": "c", "cur/100.a:2,S": "a", "cur/" + long(80, "x"): "x", "cur/sp ace": "s"})
	for _, name := range []string{long(80, "x"), "sp ace"} {
		must(t, os.Chtimes(filepath.Join(folder, "cur", name), modified, modified))
	}
	m, err := OpenMaildir(folder, nil)
	must(t, err)
	uids := uidsOf(m)
	if len(uids) != 4 || uids[0] != "100.a" || uids[1] != "300.c" || len(uids[2]) != 32 || len(uids[3]) != 32 ||
		uids[2] == uids[3] {
		t.Errorf("unique-ids %v", uids)
	}
	for _, message := range m.Messages()[2:] {
		if !message.Received.Equal(modified) {
			t.Errorf("%+v", message)
		}
	}
}

// A message that another program gives flags meanwhile is found; one that it removes is told.
func TestMaildirChanges(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, map[string]string{"new/100.a": "a", "new/200.b": "b", "cur/300.c": "c"})
	m, err := OpenMaildir(folder, nil)
	must(t, err)
	must(t, os.Rename(filepath.Join(folder, "new/100.a"), filepath.Join(folder, "cur/100.a:2,S")))
	must(t, os.Remove(filepath.Join(folder, "new/200.b")))
	if got := read(t, m, 0); got != "a" {
		t.Errorf("%q", got)
	}
	if _, err := m.Open(1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed message: %v", err)
	}
}

func TestMaildirRefused(t *testing.T) {
	folder := t.TempDir()
	if _, err := OpenMaildir(folder, nil); err == nil || !strings.Contains(err.Error(), "is no Maildir") {
		t.Errorf("an empty folder: %v", err)
	}
	put(t, folder, map[string]string{"new/1.a": "a", "dovecot-uidlist": header + "\nx :1.a\n"})
	if _, err := OpenMaildir(folder, nil); err == nil || !strings.Contains(err.Error(), "dovecot-uidlist, line 2") {
		t.Errorf("a bad list: %v", err)
	}
	put(t, folder, map[string]string{"dovecot-uidlist": "3 V1 P%q\n1 :1.a\n"})
	if _, err := OpenMaildir(folder, nil); err == nil || !strings.Contains(err.Error(), `"%q" is no variable`) {
		t.Errorf("a bad format: %v", err)
	}
}

func TestUIDLs(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, map[string]string{"new/100.a": "a", "cur/200.b:2,S": "b", "new/300.c": "c"})
	for text, want := range map[string]string{
		"x\ny\n\nz":                               "[x y z]",
		"z 300.c\n x  200.b:2,\nq gone\n":         "[z x 100.a]",
		"z /var/mail/new/300.c\nx cur/200.b:2,\n": "[z x 100.a]",
	} {
		m, err := OpenMaildir(folder, nil)
		must(t, err)
		l, err := ReadUIDLs(strings.NewReader(text))
		must(t, err)
		if err := l.Apply(m); err != nil || fmt.Sprint(uidsOf(m)) != want {
			t.Errorf("%q gives %v, %v", text, uidsOf(m), err)
		}
	}
	for text, want := range map[string]string{
		"x\ny z\n":           "line 2: either all lines",
		"y z\n\nx\n":         "line 3: either all lines",
		long(71, "x") + "\n": "line 1:",
		"\xc3\xa4\n":         "is no unique-id",
	} {
		if _, err := ReadUIDLs(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	m, err := OpenMaildir(folder, nil)
	must(t, err)
	l, err := ReadUIDLs(strings.NewReader("x\ny\n"))
	must(t, err)
	if err := l.Apply(m); err == nil || !strings.Contains(err.Error(), "has 2 unique-ids and there are 3 messages") {
		t.Errorf("too few: %v", err)
	}
}
