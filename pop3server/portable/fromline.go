package portable

import (
	"regexp"
	"strings"
	"time"
)

// fromDate finds the date at the end of a line such as
//
//	From alice@example.org Tue Nov 24 12:00:00 2026
//
// with a zone before or behind the year, as some write it.
var fromDate = regexp.MustCompile(
	`\s([A-Z][a-z]{2})\s+(\d{1,2})\s+(\d{1,2}:\d{2}(?::\d{2})?)\s+` +
		`(?:([A-Z]{1,5}|[+-]\d{4})\s+)?(\d{4})(?:\s+([A-Z]{1,5}|[+-]\d{4}))?$`)

// parseFrom reads the line in front of a message. It is one only if it has a date: text that nobody has quoted begins with
// "From " too.
func parseFrom(line string) (received time.Time, ok bool) {
	if !strings.HasPrefix(line, fromMark) {
		return time.Time{}, false
	}
	m := fromDate.FindStringSubmatch(strings.TrimRight(line, " \t\r\n"))
	if m == nil {
		return time.Time{}, false
	}
	clock, zone := m[3], m[4]+m[6]
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	if !strings.HasPrefix(zone, "+") && !strings.HasPrefix(zone, "-") { // a zone's name means nothing outside its place
		zone = "+0000"
	}
	received, err := time.Parse("Jan 2 15:04:05 2006 -0700", strings.Join([]string{m[1], m[2], clock, m[5], zone[:5]}, " "))
	return received.UTC(), err == nil
}

// formatFrom gives such a line; the date is in UTC.
func formatFrom(received time.Time) string {
	return fromMark + "MAILER-DAEMON " + received.UTC().Format(time.ANSIC) + "\n"
}
