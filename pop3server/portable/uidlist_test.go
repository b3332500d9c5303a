package portable

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const header = "3 V1700000000 N25022 G3085f01b7f11094c501100008c4a11c1"

func TestReadUIDList(t *testing.T) {
	const file = "1276528487.M364837P9451.host,S=1355,W=1394"
	for name, test := range map[string]struct {
		line string
		want UIDRecord
	}{
		"all keys": {"25006 PAAAAAAAB9V1tLkrZLr+vz1P5S O1 G0123 S1355 W1394 :" + file,
			UIDRecord{UID: 25006, File: file, POP3UID: "AAAAAAAB9V1tLkrZLr+vz1P5S", HasPOP3UID: true, Order: 1, GUID: "0123"}},
		"no keys":        {"1 :" + file, UIDRecord{UID: 1, File: file}},
		"unknown key":    {"1 Qx W2481 :" + file, UIDRecord{UID: 1, File: file}},
		"flags":          {"1 :" + file + ":2,S", UIDRecord{UID: 1, File: file}},
		"empty P":        {"1 P :" + file, UIDRecord{UID: 1, File: file, HasPOP3UID: true}},
		"colon in P":     {"1 P:x :" + file, UIDRecord{UID: 1, File: file, POP3UID: ":x", HasPOP3UID: true}},
		"space in name":  {"1 :a b", UIDRecord{UID: 1, File: "a b"}},
		"CRLF":           {"1 :a\r", UIDRecord{UID: 1, File: "a"}},
		"highest uid":    {"4294967295 :a", UIDRecord{UID: 4294967295, File: "a"}},
		"several spaces": {"1  O7  :a", UIDRecord{UID: 1, File: "a", Order: 7}},
	} {
		list, err := ReadUIDList(strings.NewReader(header + " P%u\n" + test.line + "\n99999"))
		want := UIDList{1700000000, 25022, "3085f01b7f11094c501100008c4a11c1", "%u", []UIDRecord{test.want}}
		if diff := cmp.Diff(want, list); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestReadUIDListRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "it has no header",
		header:                               "it has no header", // it is being written
		"1 1700000000 5\n":                   `line 1: version "1" is not supported`,
		"3 N5\n":                             "line 1: there is no uidvalidity",
		"3 V0 N5\n":                          "line 1: there is no uidvalidity",
		"3 Vx\n":                             `line 1: field "Vx": not a number`,
		"3 V4294967296\n":                    `line 1: field "V4294967296": not a number of 32 bits`,
		header + "\nx :a\n":                  `line 2: uid "x": not a number`,
		header + "\n0 :a\n":                  "line 2: uid 0: uids must ascend",
		header + "\n2 :a\n2 :b\n":            "line 3: uid 2: uids must ascend",
		header + "\n2 :a\n1 :b\n":            "line 3: uid 1: uids must ascend",
		header + "\n1 Ox :a\n":               `line 2: field "Ox": not a number`,
		header + "\n1 O1\n":                  "line 2: there is no name of a file",
		header + "\n1\n":                     "line 2: there is no name of a file",
		header + "\n1 :\n":                   `line 2: "" is no name of a file`,
		header + "\n1 ::2,S\n":               `line 2: ":2,S" is no name of a file`,
		header + "\n1 :../x\n":               `line 2: "../x" is no name of a file`,
		header + "\n1 :" + long(70<<10, "x"): "token too long",
	} {
		_, err := ReadUIDList(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), "dovecot-uidlist") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %s", text, err, want)
		}
	}
}

func long(n int, text string) string { return strings.Repeat(text, n) }

func TestUIDFormat(t *testing.T) {
	r := UIDRecord{UID: 25006, File: "base", GUID: "0123abcd"}
	for format, want := range map[string]string{
		DovecotUIDs:                            "000061ae6553f100",
		"%u":                                   "25006",
		"%v.%u":                                "1700000000.25006",
		"%Xu":                                  "61ae",
		"%Xv%Xu":                               "6553f10061ae",
		"%04u":                                 "25006",
		"%07u":                                 "0025006",
		"%3u":                                  "250",
		"%f":                                   "base",
		"%g":                                   "0123abcd",
		"x%%%u":                                "x%25006",
		"%{uid | hex(8)}%{uidvalidity|hex(8)}": "000061ae6553f100",
		"%{uid}-%{guid}-%{filename}":           "25006-0123abcd-base",
	} {
		f, err := ParseUIDFormat(format)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got := f.UID(1700000000, r); got != want {
			t.Errorf("%s gives %q, want %q", format, got, want)
		}
	}
	for format, want := range map[string]string{
		"":            "it must have",
		"%v":          "it must have",
		"abc":         "it must have",
		"%m":          `"%m" is no variable that is known here`,
		"%u%":         `"%" is no variable that is known here`,
		"%{uid":       `"%{uid" is no variable`,
		"%{md5}":      `"%{md5}" is no variable`,
		"%{uid|sha1}": "is no variable",
	} {
		if _, err := ParseUIDFormat(format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", format, err, want)
		}
	}
}

// What is read and written again says the same.
func FuzzUIDList(f *testing.F) {
	for _, seed := range []string{
		"", header + "\n", header + " P%u\n1 Px O1 Gy S1 :a,S=1:2,S\n2 P :b\n3 :c d\n4", "3 V1\n1 :a\n", "1 2 3\n4 x\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ReadUIDList(bytes.NewReader(data))
		if err != nil {
			return
		}
		var text bytes.Buffer
		n, err := list.WriteTo(&text)
		if err != nil || n != int64(text.Len()) {
			t.Fatal(n, err)
		}
		again, err := ReadUIDList(&text)
		if diff := cmp.Diff(list, again); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		for _, r := range list.Records {
			if r.UID == 0 || r.File == "" || strings.ContainsAny(r.File, "/\n:") || strings.Contains(r.POP3UID, " ") {
				t.Fatalf("%+v", r)
			}
		}
	})
}
