package ntlm

import (
	"testing"
	"unicode"
	"unicode/utf16"
)

func TestUpcase(t *testing.T) {
	for lower, upper := range map[string]string{
		"alice.bob-1@example.com": "ALICE.BOB-1@EXAMPLE.COM",
		"äöüéñøåþÿ":               "ÄÖÜÉÑØÅÞŸ",
		"βγς":                     "ΒΓΣ",
		"жүэ":                     "ЖҮЭ",
		"世界":                      "世界",
		"ß":                       "ß", // not SS
		"ı":                       "ı", // not I
		"ſ":                       "ſ", // not S
		"µ":                       "µ", // U+00B5, not U+039C
		"İ":                       "İ",
		"K":                       "K", // U+212A
		"ǆǅ":                      "Ǆǅ",
		"ŉﬁ":                      "ŉﬁ",
		"𐐨🙂":                      "𐐨🙂", // U+10428 has an upper case
	} {
		got := mapped(utf16.Encode([]rune(lower)), upcase)
		if string(utf16.Decode(got)) != upper {
			t.Errorf("upcase(%q) = %q, want %q", lower, string(utf16.Decode(got)), upper)
		}
	}
}

// No code unit becomes a surrogate, two code units, or ASCII that it was not before, and nothing changes twice.
func TestUpcaseOfAllCodeUnits(t *testing.T) {
	for unit := range uint16(0xffff) {
		upper := upcase(unit)
		if utf16.IsSurrogate(rune(upper)) != utf16.IsSurrogate(rune(unit)) || upcase(upper) != upper ||
			upper < 0x80 && unit >= 0x80 || unicode.ToUpper(rune(unit)) > 0xffff {
			t.Errorf("upcase(%04x) = %04x", unit, upper)
		}
	}
}

// Names that differ in what is no character would be the same text.
func TestNamesOfNoCharacters(t *testing.T) {
	for name, octets := range map[string]string{
		"odd length":        "a\x00b",
		"high alone":        "\x00\xd8",
		"low alone":         "\x00\xdc",
		"low before high":   "\x00\xdc\x00\xd8",
		"high before ASCII": "\x00\xd8a\x00",
	} {
		if got, err := parseName([]byte(octets), true); err == nil {
			t.Errorf("%s: %q", name, got.text)
		}
	}
	if got, err := parseName([]byte("\xfd\xff\x01\xd8\x28\xdc"), true); err != nil || got.text != "\ufffd\U00010428" {
		t.Errorf("parseName = %q, %v", got.text, err)
	}
}
