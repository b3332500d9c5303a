// Package directory is the list of mailboxes that a server serves: its file format, and a reader that follows changes.
//
// # Format
//
// The directory is a folder with at most 64 bucket files, named 00.jsonl to 3f.jsonl (two lower-case hexadecimal digits).
// A mailbox stands in the bucket that Bucket gives for its ID, so that a change of one mailbox rewrites one small
// file and the number of files never changes. A bucket without mailboxes may have no file. Other files are ignored.
//
// A bucket file is UTF-8 text, one JSON object a line, each line ended by LF. The first line is a Header, each further one
// is a Record; records stand in ascending order of their IDs, and an ID stands in one record only.
//
//	{"version":1,"bucket":"2a","revision":1764000000000}
//	{"id":"vq3…","address":"alice@example.com","owner":"mail/alice","state":"Enabled",…}
//
// In Kubernetes each bucket is one Secret, and all 64 are sources of one projected volume. Outside Kubernetes any program may
// write the same files, best each one beside its place and then renamed into it.
package directory

// Version is the version of the format in the Header.
const Version = 1

// Buckets is the number of bucket files.
const Buckets = 64

// Header is the first line of a bucket file.
type Header struct {
	Version int `json:"version"`
	// Bucket is the name of the bucket, which must be that of the file: "00" to "3f".
	Bucket string `json:"bucket"`
	// Revision rises with each version of this bucket that is written. It is at least the writer's clock in
	// Unix milliseconds, so that it rises even when the bucket was removed and written anew.
	Revision int64 `json:"revision"`
}

// State says whether a mailbox takes part.
type State string

// The states.
const (
	Enabled  State = "Enabled"
	Disabled State = "Disabled" // no login, and delivery is refused with 550 5.2.1
	// Purged is a mailbox that is no more, whose mail the servers are to remove.
	Purged State = "Purged"
)

// Record is one mailbox.
type Record struct {
	// ID names the maildrop's folder; it is MailboxID(Address).
	ID string `json:"id"`
	// Address is the mailbox's address in the form that Normalize gives.
	Address string `json:"address"`
	// Aliases are further addresses, normalized and sorted, under which mail is taken and the mailbox is opened.
	Aliases []string `json:"aliases,omitempty"`
	// Owner names what declared this mailbox, "namespace/name" in Kubernetes. A maildrop serves only the owner that made it.
	Owner string `json:"owner"`
	// Adopt lets the owner take over a maildrop that another one has made.
	Adopt bool  `json:"adopt,omitempty"`
	State State `json:"state"`
	Quota Quota `json:"quota"`
	// NoPOP3 refuses logins, and lets mail in.
	NoPOP3 bool `json:"noPOP3,omitempty"`
	// Size says what STAT and LIST tell, Storage or Exact; empty is what the server's configuration says.
	Size string `json:"size,omitempty"`
	// Delegates are addresses of other mailboxes, normalized and sorted, whose users may open this one.
	Delegates []string `json:"delegates,omitempty"`
	// Credentials are the ways in; any one of them will do.
	Credentials []Credential `json:"credentials,omitempty"`
	// Since is the revision of the bucket in which this record last changed: a server that has loaded that revision or a
	// later one has this record.
	Since int64 `json:"since,omitempty"`
}

// Quota bounds a maildrop, in octets; 0 is unlimited.
type Quota struct {
	IssueWarning    int64 `json:"issueWarning,omitempty"`
	ProhibitReceive int64 `json:"prohibitReceive,omitempty"`
}

// Credential is one way in: a password in each of the forms that the server's mechanisms need, or a principal.
type Credential struct {
	// Name tells credentials of one mailbox apart, in logs too.
	Name string `json:"name"`
	// Verifier is what a password is checked against, in the forms of package directory/verifier.
	Verifier string `json:"verifier,omitempty"`
	// SCRAM is what SCRAM-SHA-256 proves a password by, {SCRAM-SHA-256}… in the form of package directory/verifier.
	SCRAM string `json:"scram,omitempty"`
	// NT is what NTLM proves a password by, {NT}… in the form of package directory/verifier. It is as good as the password.
	NT string `json:"nt,omitempty"`
	// Principal is whom another authority vouches for. Where it is set, there is no password.
	Principal Principal `json:"principal,omitzero"`
	// Source says what the verifiers were made from, so that the writer can tell whether they are still good without making them
	// again. The server does not look at it.
	Source string `json:"source,omitempty"`
}

// PrincipalKind is a kind of authority that vouches for users.
type PrincipalKind string

// The kinds.
const (
	Kerberos    PrincipalKind = "Kerberos"    // a realm's KDC
	OAuth       PrincipalKind = "OAuth"       // an issuer of tokens
	Certificate PrincipalKind = "Certificate" // an authority of client certificates
)

// Principal is a user as an authority names it.
type Principal struct {
	Kind PrincipalKind `json:"kind"`
	// Name is user@REALM for Kerberos, the claim's value for OAuth, and an e-mail address for a certificate.
	Name string `json:"name"`
	// Issuer is the URL of the OAuth issuer; empty for other kinds.
	Issuer string `json:"issuer,omitempty"`
}
