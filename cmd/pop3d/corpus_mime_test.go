package main_test

import (
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"strconv"
	"strings"
)

// mimeTraps are single messages of RFC 2045 to 2049 and of what came before.
func mimeTraps() []sent {
	const text, multi = ".\r\n..\r\n\x00\xff\r\n.x\r\n", "Content-Type: multipart/mixed; "
	return []sent{
		part("base64", "base64", inBase64(strings.Repeat(text, 100), 76)),
		part("base64 in one line", "base64", inBase64(strings.Repeat(text, 9000), 0)),
		part("base64 with dots between", "base64", "Lg0K\r\n.\r\nLg0K\r\n..\r\n===\r\n"), part("base64 cut", "base64", "Lg0KLg"),
		part("quoted-printable", "quoted-printable", inQuotedPrintable(strings.Repeat(text, 100))),
		part("quoted-printable, soft line ends and dots", "quoted-printable", "one=\r\n.=\r\n..=\r\n=2E\r\n.=20\r\n=\r\n=\n.\r\n="),
		part("quoted-printable, broken", "quoted-printable", "=\r\n=X\r\n=2\r\n=.\r\n=0D=0A.\r\n"),
		part("8bit", "8bit", "Gr\xfc\xdfe\r\n.\xff\r\n"), part("binary", "binary", text+"\r\r\n\n\r.\x00"),
		part("unknown encoding", "x-dots", "....\r\n.\r\n"),
		part("uuencode", "7bit", "begin 644 x\r\n#+@T*\r\n.\r\n`\r\nend\r\n"),
		part("yEnc", "8bit", "=ybegin line=128 size=4 name=x\r\n.\x57\x37\x34\r\n=yend size=4\r\n"),
		part("OpenPGP", "7bit", "-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\n- -- \r\n.\r\n- .\r\n-----END PGP SIGNATURE-----\r\n"),
		{"MIME, partial", "Content-Type: message/partial; id=x; number=1; total=2\r\n\r\nSubject: inner\r\n\r\n.\r\n"},
		{"MIME, delivery status", "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;a\r\n\r\n.Action: x\r\n\r\n"},
		{"MIME, boundary of 5,000 octets", multipart(strings.Repeat("b", 5000), ".\r\n", true)},
		{"MIME, no parts", multi + "boundary=b\r\n\r\n--b--\r\n"},
		{"MIME, no boundary", "Content-Type: multipart/mixed\r\n\r\n--\r\n.\r\n----\r\n"},
		{"MIME, boundary that is not there", multi + "boundary=b\r\n\r\n.\r\n"},
		{"MIME, boundary behind spaces", multi + "boundary=\"b \"\r\n\r\n--b \r\n\r\n.\r\n--b -- \r\n"},
		{"MIME, preamble and epilogue of dots", multi + "boundary=b\r\n\r\n.\r\n--b\r\n\r\nx\r\n--b--\r\n.\r\n"},
		{"MIME, bare LFs", strings.ReplaceAll(nest(3, "b", ".\r\n", true), "\r\n", "\n")},
		{"MIME, bare CRs", strings.ReplaceAll(nest(3, "b", ".\r\n", true), "\r\n", "\r")},
		{"MIME, 1,000 parts", multi + "boundary=.\r\n\r\n" + strings.Repeat("--.\r\n\r\n.\r\n", 1000) + "--.--\r\n"},
	}
}

// part is a message of one part in a transfer encoding.
func part(name, encoding, body string) sent {
	return sent{"MIME, " + name, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: " + encoding + "\r\n\r\n" + body}
}

// inBase64 gives lines of so many octets, or one line.
func inBase64(text string, width int) string {
	rest := base64.StdEncoding.EncodeToString([]byte(text))
	var lines strings.Builder
	for width > 0 && len(rest) > width {
		lines.WriteString(rest[:width] + "\r\n")
		rest = rest[width:]
	}
	return lines.String() + rest + "\r\n"
}

func inQuotedPrintable(text string) string {
	var all strings.Builder
	w := quotedprintable.NewWriter(&all)
	_, _ = w.Write([]byte(text)) // a strings.Builder takes everything
	_ = w.Close()
	return all.String()
}

// multipartNests are messages within messages, of which some do not end what they have begun. N in a boundary is the level.
func multipartNests() (all []sent) {
	const leaf = "\r\n.\r\n..leaf\r\n.\r\n"
	add := func(what string, depth int, text string) {
		all = append(all, sent{fmt.Sprintf("MIME, %s, %d deep", what, depth), text})
	}
	for _, depth := range []int{2, 3, 10, 100} {
		add("multipart", depth, nest(depth, "bN", leaf, true))
		add("multipart, boundaries of dots", depth, nest(depth, "..N", leaf, true))
		add("multipart, one boundary", depth, nest(depth, "same", leaf, true))
		add("multipart, boundaries that begin alike", depth, nest(depth, "b.N.", leaf, true))
		add("multipart, not ended", depth, nest(depth, ".N", leaf, false))
		add("multipart, leaf not ended", depth, nest(depth, "N", "\r\n8 bits \xff, NUL \x00\r\n.", false))
		add("message", depth, inMessages(depth, subject+leaf))
		add("message, leaf of no header", depth, inMessages(depth, leaf))
		add("message, not ended", depth, strings.TrimSuffix(inMessages(depth, ""), "\r\n"))
		add("messages of multiparts", depth, inMessages(depth, nest(depth, "bN", inMessages(depth, subject+leaf), true)))
	}
	return all
}

// nest gives a multipart in a multipart, and so on, around a leaf, with or without the lines that end each of them.
func nest(depth int, boundary, leaf string, ended bool) string {
	text := leaf
	for level := range depth {
		text = multipart(strings.ReplaceAll(boundary, "N", strconv.Itoa(level)), text, ended)
	}
	return text
}

// multipart is an entity of two parts, of which the first one is a dot line and the second one may be an entity again.
func multipart(boundary, entity string, ended bool) string {
	text := "Content-Type: multipart/mixed;\r\n boundary=\"" + boundary + "\"\r\n\r\n" +
		".\r\n--" + boundary + "\r\n\r\n.\r\n--" + boundary + "\r\n" + entity
	if ended {
		text += "\r\n--" + boundary + "--\r\n"
	}
	return text
}

// inMessages gives a message that is the body of a message, and so on.
func inMessages(depth int, text string) string {
	return strings.Repeat("Content-Type: message/rfc822\r\n\r\n", depth) + text
}
