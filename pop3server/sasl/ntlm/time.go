package ntlm

import "time"

// filetime counts the 100 ns intervals since 1601 in UTC ([MS-DTYP] §2.3.3 FILETIME).
type filetime uint64

const (
	filetimesPerSecond = filetime(time.Second / (100 * time.Nanosecond))
	unixEpoch          = 11644473600 // seconds from 1601 to 1970
	// maxSkew is how far a client's clock may be off: MaxLifetime, 36 hours as in Windows ([MS-NLMP] §3.1.1.1).
	maxSkew = 36 * 3600 * filetimesPerSecond
)

// fileTime gives a time after 1601.
func fileTime(t time.Time) filetime {
	return filetime(t.Unix()+unixEpoch)*filetimesPerSecond + filetime(t.Nanosecond()/100) //nolint:gosec // not negative
}

// skewed tells whether two clocks differ by more than they may.
func skewed(a, b filetime) bool { return max(a, b)-min(a, b) > maxSkew }
