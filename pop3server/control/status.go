// Package control is the API that the operator reads from a running server: what it has loaded and what it serves.
//
// It is HTTP under mutual TLS with one resource, GET Path, whose answer is a Status as JSON. It names no mailbox by its
// address.
package control

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Path is where a server tells its Status.
const Path = "/v1/status"

// ServerName is the name that the server's certificate on the control port must carry, whatever the address.
const ServerName = "pop3d.popservice.io"

// ClientName is the common name that a client's certificate must carry, besides chaining to the client CA.
const ClientName = "popservice-operator"

// Status is what a server has loaded and serves.
type Status struct {
	Version      string        `json:"version"`
	Config       Config        `json:"config"`
	Directory    Directory     `json:"directory"`
	Certificates []Certificate `json:"certificates,omitempty"` // of the POP3 listeners
	LMTPTLS      *LMTPTLS      `json:"lmtpTLS,omitempty"`      // nil where the configuration that runs has none
	// Files are what logins need beside the directory, as far as the configuration that runs names them.
	Files    []File `json:"files,omitempty"`
	Store    Store  `json:"store,omitzero"`
	Sessions int    `json:"sessions"`
	Draining bool   `json:"draining,omitempty"`
}

// Config is the configuration that the server runs.
type Config struct {
	Revision string `json:"revision,omitempty"`
	// Error says why a newer file was refused; empty when the file is the configuration that runs.
	Error string `json:"error,omitempty"`
}

// Directory is the list of mailboxes that the server serves.
type Directory struct {
	// Revisions gives the loaded revision of each bucket that has a file, by the bucket's name ("00" to "3f").
	Revisions map[string]int64 `json:"revisions,omitempty"`
	// Errors says, by bucket, why a newer file was refused.
	Errors    map[string]string `json:"errors,omitempty"`
	Mailboxes int               `json:"mailboxes"`
}

// Store is where the mail is.
type Store struct {
	// Error says why the server cannot work on it; empty if it can.
	Error string `json:"error,omitempty"`
	// Foreign are the maildrops, by their ids, that belong to another owner than the directory says, and to whom; at most
	// MaxForeign.
	Foreign map[string]string `json:"foreign,omitempty"`
	// Purging are the maildrops, by their ids, that are still to be emptied, as the directory says; at most MaxPurging.
	Purging []string `json:"purging,omitempty"`
}

// MaxForeign bounds Store.Foreign, and MaxPurging Store.Purging: where there are so many, there may be more.
const (
	MaxForeign = 1000
	MaxPurging = 1000
)

// Names of files. Behind FileIssuerCA stand a space and the issuer's URL.
const (
	FileKeytab   = "keytab"
	FileClientCA = "client authorities"
	FileSCRAMKey = "SCRAM key"
	FileIssuerCA = "authorities of issuer"
)

// File is a file that a server reads again when it changes.
type File struct {
	Name string `json:"name"`
	// Fingerprint is that of the file that counts now; empty when none could ever be read.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Error says why the file could not be loaded, be it that an older one still counts.
	Error string `json:"error,omitempty"`
}

// LMTPTLS is what the LMTP port makes TLS with.
type LMTPTLS struct {
	Certificate Certificate `json:"certificate"`
	// ClientCA is nil where clients need no certificate.
	ClientCA *ClientCA `json:"clientCA,omitempty"`
}

// ClientCA is the file of the authorities that clients' certificates must chain to.
type ClientCA struct {
	// Fingerprint is that of the file whose authorities count now; empty when none could ever be read.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Error says why the file could not be loaded, be it that the authorities of an older one still count.
	Error string `json:"error,omitempty"`
}

// Fingerprint is the SHA-256 of a certificate, or of a file, in lower-case hexadecimal digits: what the operator and the server
// know something by.
func Fingerprint(octets []byte) string {
	sum := sha256.Sum256(octets)
	return hex.EncodeToString(sum[:])
}

// Certificate is a certificate that the server serves, or fails to.
type Certificate struct {
	Name string `json:"name"`
	// Fingerprint is that of the leaf; empty when none is served.
	Fingerprint string    `json:"fingerprint,omitempty"`
	NotAfter    time.Time `json:"notAfter,omitzero"`
	// Error says why the files could not be loaded, be it that an older certificate is still served.
	Error string `json:"error,omitempty"`
}
