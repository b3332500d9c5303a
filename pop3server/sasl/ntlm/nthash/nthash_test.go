package nthash

import (
	"encoding/hex"
	"testing"
)

func TestOf(t *testing.T) {
	for password, want := range map[string]string{
		"":         "31d6cfe0d16ae931b73c59d7e0c089c0",
		"Password": "a4f49c406510bdcab6824ee7c30fd852", // [MS-NLMP] §4.2.2.1.2
		// Computed with "iconv -t UTF-16LE | openssl dgst -md4".
		"Grüße, 世界 🙂": "952f0e34f050133784be4691b4c50067",
	} {
		if hash := Of(password); hex.EncodeToString(hash[:]) != want {
			t.Errorf("Of(%q) = %x, want %s", password, hash, want)
		}
	}
}
