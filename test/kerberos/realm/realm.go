// Package realm is a Kerberos realm for tests: MIT Kerberos' KDC, with a database in a folder, on a port of the loopback
// interface that nobody else has. Nothing of the machine's own Kerberos configuration is read or changed.
//
// It takes the programs krb5kdc, kdb5_util, kadmin.local and kinit: Debian's packages krb5-kdc, krb5-admin-server and
// krb5-user.
package realm

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"
)

//go:embed krb5.conf
var clientConfig string

//go:embed kdc.conf
var serverConfig string

// startTime is how long the KDC may take until it answers.
const startTime = 30 * time.Second

// Realm is a realm whose KDC runs.
type Realm struct {
	Name         string // "EXAMPLE.COM"
	Dir          string // of all its files
	KDC          string // where it listens: "127.0.0.1:34567"
	BindingAware bool   // clients tell that they send a channel binding where there is one
	process      *exec.Cmd
}

// Start makes a realm whose files are in the folder, which must be there, and starts its KDC. After an error nothing runs.
func Start(name, dir string) (*Realm, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	r := &Realm{Name: name, Dir: dir, KDC: address}
	if err := errors.Join(r.write("kdc.conf", serverConfig), r.WriteConfig()); err != nil {
		return nil, err
	}
	if _, err := r.Run("", "kdb5_util", "create", "-s", "-P", "of-the-database"); err != nil {
		return nil, err
	}
	r.process = r.command("krb5kdc", "-n")
	if err := r.process.Start(); err != nil {
		return nil, err
	}
	return r, r.await()
}

// freeAddress gives an address that is free now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until the KDC listens, and stops it if it does not.
func (r *Realm) await() error {
	for end := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp4", r.KDC)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(r.Dir, "kdc.log"))
			return errors.Join(fmt.Errorf("the KDC does not listen: %w; its log: %s", err, log), r.Stop())
		}
	}
}

// Stop ends the KDC.
func (r *Realm) Stop() error {
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = r.process.Wait() // its status is that of the signal
	return nil
}

// WriteConfig writes the clients' configuration, after a field was changed.
func (r *Realm) WriteConfig() error { return r.write("krb5.conf", clientConfig) }

func (r *Realm) write(file, text string) error {
	var b strings.Builder
	if err := template.Must(template.New(file).Parse(text)).Execute(&b, r); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Dir, file), []byte(b.String()), 0o600)
}

// Environment is what a program needs to be in the realm, and to have the ticket of the last Login.
func (r *Realm) Environment() []string {
	return []string{"KRB5_CONFIG=" + filepath.Join(r.Dir, "krb5.conf"), "KRB5_KDC_PROFILE=" + filepath.Join(r.Dir, "kdc.conf")}
}

func (r *Realm) command(program string, args ...string) *exec.Cmd {
	path, err := exec.LookPath(program)
	if err != nil {
		path = "/usr/sbin/" + program // where Debian has it, and not all users look
	}
	command := exec.Command(path, args...)
	command.Env = append(os.Environ(), r.Environment()...)
	return command
}

// Run runs a program in the realm and gives what it prints.
func (r *Realm) Run(input, program string, args ...string) (string, error) {
	command := r.command(program, args...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %q: %w: %s", program, args, err, output)
	}
	return string(output), nil
}

// AddUser adds somebody with a password.
func (r *Realm) AddUser(name, password string) error {
	_, err := r.Run("", "kadmin.local", "addprinc", "-pw", password, name)
	return err
}

// AddService adds a service "pop/mail.example.com" with random keys, of the encryption types "aes256-cts:normal" if any are
// given, and gives its keytab.
func (r *Realm) AddService(name string, etypes ...string) ([]byte, error) {
	types := []string{}
	if len(etypes) > 0 {
		types = []string{"-e", strings.Join(etypes, ",")}
	}
	add := append(append([]string{"addprinc", "-randkey"}, types...), name)
	if _, err := r.Run("", "kadmin.local", add...); err != nil {
		return nil, err
	}
	return r.keytab(name)
}

// Rekey gives a service new random keys, with the next number, and gives its keytab. It has the old keys too if they are kept;
// if not, tickets that were issued before are good for nothing.
func (r *Realm) Rekey(name string, keepOld bool) ([]byte, error) {
	change := []string{"cpw", "-randkey"}
	if keepOld {
		change = append(change, "-keepold")
	}
	if _, err := r.Run("", "kadmin.local", append(change, name)...); err != nil {
		return nil, err
	}
	return r.keytab(name)
}

// keytab gives all keys that the database has of a service.
func (r *Realm) keytab(name string) ([]byte, error) {
	file := filepath.Join(r.Dir, "keytab")
	defer func() { _ = os.Remove(file) }()
	if _, err := r.Run("", "kadmin.local", "ktadd", "-norandkey", "-k", file, name); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// Login gets a ticket for somebody. It becomes that of all programs in the realm.
func (r *Realm) Login(name, password string) error {
	_, err := r.Run(password+"\n", "kinit", name)
	return err
}
