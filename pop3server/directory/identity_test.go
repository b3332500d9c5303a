package directory

import (
	"regexp"
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for address, want := range map[string]string{
		" Alice@Example.COM ":               "alice@example.com",
		"a+b@x":                             "a+b@x",
		"a@b@x":                             "a@b@x",
		"müller@example.com":                "müller@example.com",
		"alice":                             "",
		"@example.com":                      "",
		"alice@":                            "",
		"a b@example.com":                   "",
		"a/b@example.com":                   "",
		"a\r\nb@example.com":                "",
		`"a"@example.com`:                   "",
		strings.Repeat("a", 250) + "@x.org": "",
	} {
		got, err := Normalize(address)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Normalize(%q) = %q, %v; want %q", address, got, err, want)
		}
	}
}

// The folders of all maildrops hang on these values: they must never change.
func TestMailboxIDIsForever(t *testing.T) {
	const address, want = "alice@example.com", "76gzqgp4byjl6djerexelgd6es"
	if got := MailboxID(address); got != want {
		t.Errorf("MailboxID(%q) = %q, want %q", address, got, want)
	}
	if got := BucketFile(Bucket(want)); got != "21.jsonl" {
		t.Errorf("its bucket is %s, want 21.jsonl", got)
	}
	if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(MailboxID("x@y")) {
		t.Error("not 26 characters of a-z and 2-7")
	}
}
