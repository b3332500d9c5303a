package resources

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/pop3server/config"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// documented is what the page on authentication has; a block without a kind is a part of a PopService.
type documented struct {
	page      string
	services  []Input
	mailboxes []v1alpha1.Mailbox
	files     int // configuration files of pop3d
}

// readAuthentication reads the page. A block that has a field that there is not, or that no server would take, is an error.
func readAuthentication(t *testing.T) (d documented) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	d.page = string(page)
	for _, block := range yamlBlock.FindAllStringSubmatch(d.page, -1) {
		if err := d.add([]byte(block[1])); err != nil {
			t.Errorf("%v:\n%s", err, block[1])
		}
	}
	return d
}

func (d *documented) add(text []byte) error {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal(text, &head); err != nil {
		return err
	}
	switch head.Kind {
	case "", "PopService":
		in := input()
		d.services = append(d.services, in)
		return yaml.UnmarshalStrict(text, in.Service)
	case "Mailbox":
		var m v1alpha1.Mailbox
		err := yaml.UnmarshalStrict(text, &m)
		d.mailboxes = append(d.mailboxes, m)
		return err
	case config.Kind:
		d.files++
		_, err := config.Parse(text)
		return err
	}
	return fmt.Errorf("a block of kind %q", head.Kind)
}

// What the page on authentication has users write is a configuration that the servers take.
func TestDocumentedAuthenticationIsTaken(t *testing.T) {
	d := readAuthentication(t)
	if len(d.services) < 5 || len(d.mailboxes) < 4 || d.files != 1 {
		t.Errorf("the page has %d PopServices, %d Mailboxes and %d files", len(d.services), len(d.mailboxes), d.files)
	}
	shown := make(map[v1alpha1.Mechanism]bool)
	for _, in := range d.services {
		if _, err := NewConfig(in); err != nil {
			t.Errorf("%+v: %v", in.Service.Spec.Authentication, err)
		}
		for _, m := range in.Service.Spec.Authentication.Mechanisms {
			shown[m] = true
		}
	}
	for _, m := range config.Mechanisms() {
		if !shown[v1alpha1.Mechanism(m)] {
			t.Errorf("the page does not show %s", m)
		}
	}
}

// The page tells how to make each Secret that it refers to, and its Mailboxes fit its PopServices.
func TestDocumentedCredentialsFit(t *testing.T) {
	d := readAuthentication(t)
	for _, name := range d.secrets() {
		if !strings.Contains(d.page, "create secret generic "+name+" ") {
			t.Errorf("the page does not say how to make Secret %s", name)
		}
	}
	for _, m := range d.mailboxes {
		if m.Spec.ServiceRef.Name != "pop" || !strings.HasPrefix(string(m.Spec.Address), m.Name+"@") {
			t.Errorf("Mailbox %s is %s of %s", m.Name, m.Spec.Address, m.Spec.ServiceRef.Name)
		}
		for _, c := range m.Spec.Credentials {
			if p := c.Principal; p != nil && !d.vouches(p) {
				t.Errorf("Mailbox %s: nobody vouches for %+v", m.Name, *p)
			}
		}
	}
}

// secrets are those that the page refers to.
func (d *documented) secrets() (names []string) {
	for _, in := range d.services {
		a := in.Service.Spec.Authentication
		if a.Kerberos != nil {
			names = append(names, a.Kerberos.KeytabSecretRef.Name)
		}
		if a.ClientCASecretRef != nil {
			names = append(names, a.ClientCASecretRef.Name)
		}
	}
	for _, m := range d.mailboxes {
		for _, c := range m.Spec.Credentials {
			if c.PasswordSecretRef != nil {
				names = append(names, c.PasswordSecretRef.Name)
			}
			if c.VerifierSecretRef != nil {
				names = append(names, c.VerifierSecretRef.Name)
			}
		}
	}
	return names
}

// vouches tells whether one of the page's PopServices has the authority of a principal.
func (d *documented) vouches(p *v1alpha1.Principal) bool {
	return slices.ContainsFunc(d.services, func(in Input) bool {
		a := in.Service.Spec.Authentication
		switch p.Kind {
		case v1alpha1.PrincipalKerberos:
			return a.Kerberos != nil && p.Issuer == ""
		case v1alpha1.PrincipalCertificate:
			return a.ClientCASecretRef != nil && p.Issuer == ""
		}
		return a.OAuth != nil && slices.ContainsFunc(a.OAuth.Issuers, func(i v1alpha1.Issuer) bool { return i.URL == p.Issuer })
	})
}
