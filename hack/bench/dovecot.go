package main

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

const dovecotBinary = "/usr/sbin/dovecot"

// mailUser is who Dovecot opens mailboxes as. There need not be such a user.
const mailUser = 5000

//go:embed dovecot.conf.tmpl
var dovecotTemplate string

// place is what the templates of configuration files ask for.
type place struct {
	ports
	pair
	Dir string
	UID int
}

// newDovecot lays out the files of the peer.
func newDovecot(house string, tls pair) (*server, error) {
	dir := filepath.Join(house, "dovecot")
	for _, path := range []string{dir, filepath.Join(dir, "mail"), filepath.Join(dir, "home")} {
		if err := os.Mkdir(path, 0o711); err != nil {
			return nil, err
		}
		if err := os.Chown(path, mailUser, mailUser); err != nil {
			return nil, err
		}
	}
	free, err := freePorts()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "dovecot.conf")
	if err := render(file, dovecotTemplate, place{free, tls, dir, mailUser}); err != nil {
		return nil, err
	}
	version, err := exec.Command(dovecotBinary, "--version").Output()
	return &server{
		name: "dovecot", version: strings.TrimSpace(string(version)), dir: dir, ports: free,
		log:  filepath.Join(dir, "output"),
		argv: []string{dovecotBinary, "-F", "-c", file},
	}, err
}

// render writes a configuration file.
func render(file, text string, values place) error {
	t, err := template.New(filepath.Base(file)).Option("missingkey=error").Parse(text)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	return t.Execute(out, values)
}

// writeUsers declares mailboxes to Dovecot.
func writeUsers(dir string, boxes []box) error {
	var text strings.Builder
	for _, b := range boxes {
		text.WriteString(b.name + ":" + b.verifier() + "\n")
	}
	file := filepath.Join(dir, "users")
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		return err
	}
	return os.Chmod(file, 0o644) // whatever the umask: Dovecot's own user reads it
}
