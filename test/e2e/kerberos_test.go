//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jcmturner/gokrb5/v8/keytab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/popservice/popservice/test/kerberos/realm"
)

const (
	keytabSecret = "keytab"
	realmName    = "E2E.EXAMPLE"
)

// newRealm starts a Kerberos realm, whose KDC listens within the cluster's network.
func newRealm(t *testing.T, name string) *realm.Realm {
	t.Helper()
	r, err := realm.Start(name, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// newKeytab adds the service of a host to a realm.
func newKeytab(t *testing.T, r *realm.Realm, host string) []byte {
	t.Helper()
	text, err := r.AddService("pop/" + host)
	if err != nil {
		t.Fatal(err)
	}
	noteKeytab(t, text)
	return text
}

// noteKeytab notes the keys of a keytab.
func noteKeytab(t *testing.T, text []byte) {
	t.Helper()
	for _, key := range keytabKeys(t, text) {
		noteSecret(key)
	}
}

// keytabKeys are the keys of a keytab in the forms in which they may turn up.
func keytabKeys(t *testing.T, text []byte) (keys []string) {
	t.Helper()
	parsed := keytab.New()
	if err := parsed.Unmarshal(text); err != nil {
		t.Fatal(err)
	}
	for i := range parsed.Entries {
		keys = append(keys, formsOf(parsed.Entries[i].Key.KeyValue)...)
	}
	return keys
}

func secretWithKeytab(namespace string, text []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: keytabSecret},
		Data:       map[string][]byte{"keytab": text},
	}
}

// enroll adds somebody to a realm and gives the password, which is another one than the mailbox's.
func enroll(t *testing.T, r *realm.Realm, name string) string {
	t.Helper()
	password := newPassword()
	if err := r.AddUser(name, password); err != nil {
		t.Fatal(err)
	}
	return password
}

// kinit gives the user's programs a ticket of somebody in a realm.
func (u *mailUser) kinit(t *testing.T, r *realm.Realm, name, password string) {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(r.Dir, "krb5.conf"))
	if err != nil {
		t.Fatal(err)
	}
	u.write(t, "krb5.conf", string(config))
	u.must(t, password+"\n", u.inRealm("kinit", name)...)
}

// inRealm is a command in the realm of the last ticket.
func (u *mailUser) inRealm(command ...string) []string {
	return append([]string{"env", "KRB5_CONFIG=" + filepath.Join(u.home, "krb5.conf"),
		"KRB5CCNAME=FILE:" + filepath.Join(u.home, "tickets")}, command...)
}

// gssapi logs in as MIT Kerberos does it, by way of python3-gssapi, and gives the server's last line.
func (u *mailUser) gssapi(t *testing.T, options ...string) string {
	t.Helper()
	text, err := os.ReadFile("../kerberos/testdata/client.py")
	if err != nil {
		t.Fatal(err)
	}
	command := u.inRealm("/usr/bin/python3", "-", u.service.host()+":995", "pop@"+u.service.host(),
		"tls="+filepath.Join(u.home, "ca.pem"))
	said, err := u.run(t, string(text), append(command, options...)...)
	if strings.Contains(said, "Traceback") {
		t.Fatal(err)
	}
	return strings.TrimSpace(said)
}

// ticketParts are the parts of the user's file of tickets, by which tickets and session keys would be recognized.
func (u *mailUser) ticketParts(t *testing.T) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(u.home, "tickets"))
	if err != nil {
		t.Fatal(err)
	}
	const octets = 32
	return slices.Collect(slices.Chunk(text[:len(text)-len(text)%octets], octets))
}
